package npm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/datatest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/upstream"
	"github.com/jobyard/jobyard/tasks"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "lodash.merge", "@types/node", "JSONStream", "@a-b/c_d.e", "3d", "-"} {
		if err := CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".a", "_a", "a/b", "@a", "@a/", "@/a", "@a/b/c", "a b", "a%2fb", "ä", "node_modules", "@a/.b", strings.Repeat("a", 215)} {
		var in *tasks.InvalidError
		if err := CheckName(bad); !errors.As(err, &in) || in.Fields[0].Path != "name" {
			t.Errorf("%q: got %v, want a fault at name", bad, err)
		}
	}
}

func TestParseRC(t *testing.T) {
	t.Parallel()
	s := ParseRC(`
; a comment
# another
registry=https://registry.test/npm/
@corp:registry = "http://corp.test:4873"
//corp.test:4873/:_authToken=${TOKEN}
//registry.test/npm/:_auth=dXNlcjpwdw==
//old.test/:username=ann
//old.test/:_password=c2VjcmV0
//bad.test/:_password=%%%
always-auth=true
broken line
`, func(n string) string { return map[string]string{"TOKEN": "s3cret"}[n] })
	if s.Registry != "https://registry.test/npm/" || s.Scopes["@corp"] != "http://corp.test:4873" {
		t.Errorf("got %+v", s)
	}
	got := map[string]string{}
	for _, c := range s.Credentials {
		got[c.Prefix] = c.header
	}
	want := map[string]string{"//corp.test:4873/": "Bearer s3cret", "//registry.test/npm/": "Basic dXNlcjpwdw==", "//old.test/": "Basic YW5uOnNlY3JldA=="}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	raw, _ := json.Marshal(s)
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v", s, s), string(raw)} {
		if strings.Contains(text, "s3cret") || strings.Contains(text, "c2VjcmV0") {
			t.Errorf("a secret is printed: %s", text)
		}
	}
}

func TestIntegrity(t *testing.T) {
	t.Parallel()
	data := []byte("some bytes")
	sri := Compute(data)
	for name, c := range map[string]struct {
		sri, shasum string
		stated, ok  bool
	}{
		"sha512":               {sri, "", true, true},
		"another hash":         {Compute([]byte("other")), "", true, false},
		"one of several":       {Compute([]byte("other")) + " " + sri + "?opt", "", true, true},
		"the strongest counts": {sri + " sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "", true, true},
		"a shasum alone":       {"", "e6b1f2b1b8d6f8a4a9e5e7ddb1f3f9f0e3f5b8aa", true, false},
		"nothing":              {"", "", false, false},
		"what cannot be read":  {"md5-xx sha512-short", "zz", false, false},
	} {
		in := parseIntegrity(c.sri, c.shasum)
		if in.Stated() != c.stated {
			t.Errorf("%s: got stated %v", name, in.Stated())
			continue
		}
		if c.stated && (in.Verify(data) == nil) != c.ok {
			t.Errorf("%s: got %v", name, in.Verify(data))
		}
	}
}

func TestParseManifest_BearsOddTypes(t *testing.T) {
	t.Parallel()
	m, err := ParseManifest([]byte(`{"name":"x","description":["no"],"license":[{"type":"MIT"},"ISC"],"engines":["node"],"dependencies":{"a":"1","b":2},
		"repository":{"type":"git","url":"git+ssh://git@github.com/a/b.git"},"homepage":false,"peerDependencies":[]}`))
	if err != nil || m.SPDX() != "MIT OR ISC" || m.Repository != "https://github.com/a/b" || m.Description != "" || !maps.Equal(m.Requires(), map[string]string{"a": "1"}) {
		t.Errorf("got %+v, %v", m, err)
	}
	for in, want := range map[string]string{"a/b": "https://github.com/a/b", "github:a/b": "https://github.com/a/b", "git@gitlab.com:a/b.git": "https://gitlab.com/a/b",
		"git://x.test/a.git#main": "https://x.test/a", "https://u:p@x.test/a": "", "javascript:alert(1)": "", "": ""} {
		if got := address(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	p, err := Decode(strings.NewReader(`{"name":"x","dist-tags":{"latest":"1.5.0","next":"2.0.0-b"},"versions":{
		"1.0.0":{}, "1.5.0":{}, "1.6.0":{"deprecated":"no"}, "1.7.0":{}, "2.0.0-b":{}, "0.1.0":{"deprecated":true}, "odd":{}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{"": "1.5.0", "latest": "1.5.0", "next": "2.0.0-b", "^1.0.0": "1.5.0", "1.6.x": "1.6.0", ">1.5.0 <2": "1.7.0", "~0.1": "0.1.0",
		"*": "1.5.0", "1.0.0": "1.0.0", "v1.0.0": "1.0.0", "=1.0.0": "1.0.0", "2.0.0-b": "2.0.0-b"} {
		if got, err := p.Pick(spec); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %s", spec, got, err, want)
		}
	}
	for _, spec := range []string{"3", "nope", "9.9.9"} {
		if _, err := p.Pick(spec); fault.Of(err).Reason != tasks.ReasonNotFound {
			t.Errorf("%q: got %v, want not_found", spec, err)
		}
	}
	for _, spec := range []string{"file:../x", "npm:other@1", "git+ssh://x", "a/b", "y ~ z ^", "\x01"} {
		var in *tasks.InvalidError
		if err := CheckSpec(spec); !errors.As(err, &in) || in.Fields[0].Path != "version" {
			t.Errorf("%q: got %v, want a fault at version", spec, err)
		}
	}
	delete(p.Tags, "latest")
	if got, _ := p.Pick(""); got != "1.7.0" {
		t.Errorf("without the tag: got %s, want the highest release", got)
	}
}

func TestTarballURL_StaysOnTheRegistry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ base, stated, want string }{
		{"https://r.test", "https://r.test/x/-/x-1.0.0.tgz", "https://r.test/x/-/x-1.0.0.tgz"},
		{"https://r.test", "http://other.test/x/-/x-1.0.0.tgz", "https://r.test/x/-/x-1.0.0.tgz"},
		{"http://r.test/npm", "http://other.test/x/-/x-1.0.0.tgz?q=1", "http://r.test/npm/x/-/x-1.0.0.tgz"},
		{"http://r.test/npm", "http://other.test/npm/x/-/x-1.0.0.tgz", "http://r.test/npm/x/-/x-1.0.0.tgz"},
		{"http://r.test/npm", "http://r.test/files/1?sig=2", "http://r.test/files/1?sig=2"},
		{"https://r.test", "http://169.254.1.1/latest/meta-data", "https://r.test/latest/meta-data"},
		{"https://r.test/npm", "", "https://r.test/npm/@s/x/-/x-1.0.0.tgz"},
		{"https://r.test", "file:///etc/passwd", ""}, {"https://r.test", "http://u:p@r.test/x", ""},
		{"https://r.test", "http://r.test/../../x", ""}, {"https://r.test", "http://r.test/%2e%2e/x", ""}, {"https://r.test", ":", ""},
	} {
		base, err := parseBase(c.base)
		if err != nil {
			t.Fatal(err)
		}
		u, err := tarballURL(base, c.stated, "@s/x", "1.0.0")
		got := ""
		if err == nil {
			got = u.String()
		} else if fault.Of(err).Reason != tasks.ReasonRejected {
			t.Errorf("%s: got %v, want rejected", c.stated, err)
		}
		if got != c.want {
			t.Errorf("%s on %s: got %q, want %q", c.stated, c.base, got, c.want)
		}
	}
}

func TestClient_SendsCredentialsOnlyWhereTheyBelong(t *testing.T) {
	t.Parallel()
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization") + " " + r.URL.EscapedPath()
		_, _ = io.WriteString(w, `{"name":"@corp/x","versions":{"1.0.0":{}}}`)
	}))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http:")
	c := New(Settings{Scopes: map[string]string{"@corp": s.URL + "/npm/"}, Credentials: []Credential{
		{host + "/", "Bearer short"}, {host + "/npm/", "Bearer long"}, {host + "/np", "Bearer wrong"}, {"//else.test/", "Bearer wrong"}}}, upstream.New(upstream.DefaultLimits(), nil))
	if _, err := c.Packument(t.Context(), &upstream.Trace{}, "@corp/x"); err != nil {
		t.Fatal(err)
	}
	if want := "Bearer long /npm/@corp%2Fx"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err := c.Packument(t.Context(), &upstream.Trace{}, "plain")
	if f := fault.Of(err); f.Reason != tasks.ReasonRejected || !strings.Contains(f.Message, "NPM_CONFIG_REGISTRY") {
		t.Errorf("got %+v, want the missing setting named", f)
	}
}

func TestClient_RefusesOddAnswers(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{
		"html": "<html>please log in</html>", "number": "42", "empty": "", "list": "[1,2]", "no versions": `{"name":"no versions"}`,
		"cut": `{"name":"cut","versions":{"1.0.0":{"na`, "versions of an odd type": `{"name":"x","versions":[]}`, "deep": `{"a":` + strings.Repeat("[", 20000),
		"garbage": `{"name":"` + strings.Repeat("x", 10<<20),
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, bodies[strings.TrimPrefix(r.URL.Path, "/")])
	}))
	defer s.Close()
	c := New(Settings{Registry: s.URL}, upstream.New(upstream.DefaultLimits(), nil))
	for name := range bodies {
		_, err := c.Packument(t.Context(), &upstream.Trace{}, name)
		if f := fault.Of(err); f.Reason != tasks.ReasonUpstream || f.Verdict != fault.Retryable {
			t.Errorf("%s: got %+v, want a retryable upstream fault", name, f)
		}
	}
	l := upstream.DefaultLimits()
	l.MaxMetadataBytes = 1 << 20
	_, err := New(Settings{Registry: s.URL}, upstream.New(l, nil)).Packument(t.Context(), &upstream.Trace{}, "garbage")
	if fault.Of(err).Reason != tasks.ReasonTooLarge {
		t.Errorf("got %v, want too_large", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Packument(ctx, &upstream.Trace{}, "html"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestDecode_RealPackuments(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(datatest.Path(t, "sdk", "npm", "packuments"), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.Contains(name, "synthetic") {
			continue // hand-made, with the fields that the others lack
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Decode(f)
		_ = f.Close()
		if err != nil || len(p.Versions) < 10 || p.Tags["latest"] == "" || len(p.Times) == 0 || p.Tells {
			t.Errorf("%s: got %v, %v", name, p, err)
			continue
		}
		for v, m := range p.Versions {
			if !m.Integrity().Stated() || p.Notice(v) != nil {
				t.Errorf("%s@%s: got integrity %q, notice %v", name, v, m.Integrity().Text, p.Notice(v))
			}
		}
		if numbers := p.Numbers(10_000); len(numbers) != len(p.Versions) || !slices.Contains(numbers, p.Tags["latest"]) {
			t.Errorf("%s: got %d of %d versions", name, len(numbers), len(p.Versions))
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"name":"x","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"license":["MIT"],"deprecated":true,"dist":{"shasum":"a"}}},"time":{"1.0.0":"2020-01-01T00:00:00Z"}}`, "^1")
	f.Fuzz(func(t *testing.T, text, spec string) {
		p, err := Decode(strings.NewReader(text))
		if err != nil {
			return
		}
		if v, err := p.Pick(spec); err == nil && p.Versions[v] == nil {
			t.Fatalf("picked %q, which is not there", v)
		}
	})
}

func FuzzParseRC(f *testing.F) {
	f.Add("registry=http://r.test\n@a:registry=${X}\n//r.test/:_authToken=t\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := ParseRC(text, func(string) string { return "v" })
		if raw, err := json.Marshal(s); err != nil || !json.Valid(raw) {
			t.Fatal(err)
		}
	})
}

func FuzzCheckSpec(f *testing.F) {
	f.Add("^1.2.3 || beta")
	f.Fuzz(func(_ *testing.T, spec string) { _ = CheckSpec(spec) })
}

func BenchmarkDecode(b *testing.B) {
	raw, err := os.ReadFile(datatest.Path(b, "sdk", "npm", "packuments", "expo.json"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := Decode(strings.NewReader(string(raw))); err != nil {
			b.Fatal(err)
		}
	}
}
