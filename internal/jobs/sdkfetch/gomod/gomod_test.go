package gomod

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/upstream"
	"github.com/jobyard/jobyard/tasks"
)

// proxy serves fixed texts by path and notes what was asked; a number alone is
// a status.
type proxy struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func serve(t *testing.T, files map[string]string) *proxy {
	t.Helper()
	p := &proxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.URL.Path)
		p.mu.Unlock()
		body, ok := files[r.URL.Path]
		var code int
		if _, err := fmt.Sscanf(body, "%d", &code); err == nil && len(body) == 3 {
			w.WriteHeader(code)
			return
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(p.Close)
	return p
}

func client(s Settings) *Client { return New(s, upstream.New(upstream.DefaultLimits(), nil)) }

func resolve(t *testing.T, c *Client, path, version string) (string, error) {
	t.Helper()
	f, err := c.Resolve(t.Context(), &upstream.Trace{}, path, version)
	return f.Version, err
}

func info(v string) string { return `{"Version":"` + v + `","Time":"2026-01-02T03:04:05Z"}` }

// moduleFiles builds the files of a module with the given versions and go.mod texts.
func moduleFiles(path string, mods map[string]string) map[string]string {
	out := map[string]string{}
	for v, mod := range mods {
		out["/"+path+"/@v/"+v+".info"] = info(v)
		out["/"+path+"/@v/"+v+".mod"] = mod
		out["/"+path+"/@v/list"] += v + "\n"
	}
	return out
}

func TestResolve_AnswersQueriesAsTheGoCommandDoes(t *testing.T) {
	t.Parallel()
	files := moduleFiles("a.test/m", map[string]string{
		"v1.0.0": "module a.test/m", "v1.2.0": "module a.test/m", "v1.2.3": "module a.test/m", "v1.3.0-rc.1": "module a.test/m", "v1.10.0": "module a.test/m",
		"v1.11.0": "module a.test/m\nretract v1.11.0 // broken\nretract [v1.2.1, v1.2.9]", "v2.0.0+incompatible": "module a.test/m", "v1.12.0-beta": "module a.test/m\n\ngo 1.20",
	})
	files["/a.test/m/@v/main.info"] = info("v1.11.1-0.20260102030405-abcdefabcdef")
	files["/a.test/m/@v/list"] += "v1.5\nnonsense\nv3.0.0\n\nv1.4.0-0.20260102030405-abcdefabcdef\n"
	c := client(Settings{Proxy: serve(t, files).URL})
	for q, want := range map[string]string{
		"": "v1.10.0", "latest": "v1.10.0", "v1": "v1.10.0", "v1.2": "v1.2.0", "v1.2.3": "v1.2.3", "v1.3": "v1.3.0-rc.1", "<v1.2.3": "v1.2.0", "<=v1.2.0": "v1.2.0",
		">v1.2.3": "v1.10.0", ">=v1.2.0": "v1.2.0", ">=v1.3": "v1.10.0", ">v1.11.0": "v1.12.0-beta", "main": "v1.11.1-0.20260102030405-abcdefabcdef", "v1.11.0": "v1.11.0",
		">=v1.11.0\t": "",
	} {
		got, err := resolve(t, c, "a.test/m", q)
		if want == "" {
			if fault.Of(err) == nil || fault.Of(err).Reason != tasks.ReasonInvalid {
				t.Errorf("%q: got %s, %v, want it refused", q, got, err)
			}
		} else if err != nil || got != want {
			t.Errorf("%q: got %s, %v, want %s", q, got, err, want)
		}
	}
	f, err := c.Resolve(t.Context(), &upstream.Trace{}, "a.test/m", "v1.11.0")
	if err != nil || f.LatestMod == nil || !slices.Equal(f.LatestMod.Retracted("v1.11.0"), []string{"broken"}) || !slices.Equal(f.LatestMod.Retracted("v1.2.3"), []string{"retracted by module author"}) {
		t.Errorf("got %+v, %v", f, err)
	}
	if f.Newest() != "v1.10.0" || f.Latest != "v1.11.0" {
		t.Errorf("got the newest %s and the latest %s, want v1.10.0 and the retracted v1.11.0", f.Newest(), f.Latest)
	}
	if slices.Contains(f.Versions, "v2.0.0+incompatible") || slices.Contains(f.Versions, "v3.0.0") || len(f.Versions) != 7 {
		t.Errorf("got %v", f.Versions)
	}
}

func TestResolve_OldModules(t *testing.T) {
	t.Parallel()
	// Without a go.mod of its own the highest compatible version does not bar +incompatible ones.
	files := moduleFiles("a.test/old", map[string]string{"v1.0.0": "module a.test/old\n", "v3.1.0+incompatible": "module a.test/old\n"})
	files["/a.test/none/@v/list"] = ""
	files["/a.test/none/@latest"] = info("v0.0.0-20260102030405-abcdefabcdef")
	// A proxy that only keeps what was asked of it lists pseudo-versions and knows no latest.
	files["/a.test/kept/@v/list"] = "v0.0.0-20250102030405-aaaaaaaaaaaa\nv0.0.0-20260102030405-bbbbbbbbbbbb\nv0.0.0-20240102030405-cccccccccccc\n"
	files["/a.test/kept/@v/v0.0.0-20260102030405-bbbbbbbbbbbb.info"] = info("v0.0.0-20260102030405-bbbbbbbbbbbb")
	c := client(Settings{Proxy: serve(t, files).URL})
	for _, q := range [][3]string{
		{"a.test/old", "", "v3.1.0+incompatible"}, {"a.test/old", "v3.1.0", "v3.1.0+incompatible"}, {"a.test/none", "", "v0.0.0-20260102030405-abcdefabcdef"},
		{"a.test/kept", "", "v0.0.0-20260102030405-bbbbbbbbbbbb"},
	} {
		if got, err := resolve(t, c, q[0], q[1]); err != nil || got != q[2] {
			t.Errorf("%v: got %s, %v", q, got, err)
		}
	}
	_, err := resolve(t, c, "a.test/old", "v4.0.0")
	if f := fault.Of(err); f.Reason != tasks.ReasonNotFound || !strings.Contains(f.Message, "a.test/old/v4") {
		t.Errorf("got %+v, want a hint at the path", f)
	}
}

func TestResolve_RefusesBadInput(t *testing.T) {
	t.Parallel()
	c := client(Settings{Proxy: "https://proxy.test"})
	for _, q := range [][3]string{
		{"fmt", "", "name"}, {"a.test/../b", "", "name"}, {"a.test/M m", "", "name"}, {"A.test", "", ""},
		{"a.test/m", "^1.2.3", "version"}, {"a.test/m", "1.2.3", "version"}, {"a.test/m", "upgrade", "version"}, {"a.test/m", "<=v1.2", "version"},
		{"a.test/m", ">x", "version"}, {"a.test/m/v2", "v1.0.0", "version"}, {"a.test/m", "feature/x", "version"}, {"a.test/m", "v1 || v2", "version"},
	} {
		if q[2] == "" {
			continue
		}
		var in *tasks.InvalidError
		if _, err := resolve(t, c, q[0], q[1]); !errors.As(err, &in) || in.Fields[0].Path != q[2] {
			t.Errorf("%v: got %v, want a fault at %s", q, err, q[2])
		}
	}
}

func TestResolve_GoesOnlyWhereItMay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings Settings
		text     string
	}{
		"nothing set":     {Settings{}, "GOPROXY"},
		"off":             {Settings{Proxy: "off"}, "forbids"},
		"direct":          {Settings{Proxy: "direct"}, "version control"},
		"a file":          {Settings{Proxy: "file:///srv/mods"}, "cannot be read"},
		"a private path":  {Settings{Proxy: "https://proxy.test", Private: "*.corp,a.test"}, "private"},
		"no proxy for it": {Settings{Proxy: "https://proxy.test", NoProxy: "a.test/m"}, "private"},
	} {
		_, err := resolve(t, client(c.settings), "a.test/m", "")
		if f := fault.Of(err); f.Reason != tasks.ReasonRejected || f.Verdict != fault.Permanent || !strings.Contains(f.Message, c.text) {
			t.Errorf("%s: got %+v, want it rejected with %q", name, f, c.text)
		}
	}
	if err := (Settings{Proxy: "https://ann:s3cret@/x"}).Validate(); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, want an error without the password", err)
	}
}

func TestGet_FallsThroughAsGoproxySays(t *testing.T) {
	t.Parallel()
	good := moduleFiles("a.test/m", map[string]string{"v1.0.0": "module a.test/m"})
	for name, c := range map[string]struct {
		first, sep, rest string
		want             tasks.Reason // empty: it works
	}{
		"not found, comma":       {"404", ",", "good", ""},
		"gone, comma":            {"410", ",", "good", ""},
		"an error, comma":        {"500", ",", "good", tasks.ReasonUpstream},
		"refused, comma":         {"403", ",", "good", tasks.ReasonUpstream},
		"an error, pipe":         {"500", "|", "good", ""},
		"refused, pipe":          {"403", "|", "good", ""},
		"not found, then direct": {"404", ",", "direct", tasks.ReasonNotFound},
		"an error, then off":     {"503", "|", "off", tasks.ReasonUpstream},
		"an error, then unknown": {"503", "|", "empty", tasks.ReasonUpstream},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := map[string]string{}
			for p := range good {
				bad[p] = c.first
			}
			if c.first == "404" {
				bad = nil
			}
			rest := map[string]string{"good": serve(t, good).URL, "empty": serve(t, nil).URL}[c.rest]
			if rest == "" {
				rest = c.rest
			}
			got, err := resolve(t, client(Settings{Proxy: serve(t, bad).URL + c.sep + rest}), "a.test/m", "v1.0.0")
			if c.want == "" {
				if err != nil || got != "v1.0.0" {
					t.Errorf("got %s, %v", got, err)
				}
			} else if f := fault.Of(err); f == nil || f.Reason != c.want {
				t.Errorf("got %+v, want %s", f, c.want)
			}
		})
	}
}

func TestResolve_EscapesCapitals(t *testing.T) {
	t.Parallel()
	p := serve(t, moduleFiles("git.test/!burnt!sushi/!t", map[string]string{"v1.0.0-!r!c1": "module git.test/BurntSushi/T"}))
	_, _ = resolve(t, client(Settings{Proxy: p.URL}), "git.test/BurntSushi/T", "v1.0.0-RC1")
	if !slices.Contains(p.asked, "/git.test/!burnt!sushi/!t/@v/v1.0.0-!r!c1.info") {
		t.Errorf("got %v", p.asked)
	}
}

func TestResolve_RefusesOddAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		info string
		text string
	}{
		"no JSON":                  {"<html>", "not readable"},
		"another version":          {info("v1.9.9"), "another version"},
		"a version it cannot have": {info("v7.0.0"), "cannot have"},
		"a path":                   {info("../../x"), "cannot have"},
	} {
		files := moduleFiles("a.test/m", map[string]string{"v1.0.0": "module a.test/m"})
		files["/a.test/m/@v/v1.0.0.info"] = c.info
		_, err := resolve(t, client(Settings{Proxy: serve(t, files).URL}), "a.test/m", "v1.0.0")
		if f := fault.Of(err); f == nil || f.Reason != tasks.ReasonUpstream || !strings.Contains(f.Message, c.text) {
			t.Errorf("%s: got %+v, want upstream with %q", name, f, c.text)
		}
	}
}

func TestRepository(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"github.com/a/b/c/v2": "https://github.com/a/b", "example.test/x": "", "github.com/a": ""} {
		if got := Repository(path, Info{}); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	var in Info
	in.Origin.URL = "https://git.test/x.git"
	if got := Repository("x.test/y", in); got != "https://git.test/x" {
		t.Errorf("got %q", got)
	}
}

func FuzzParseMod(f *testing.F) {
	f.Add([]byte("// Deprecated: x\nmodule a.test/m\n\ngo 1.20\nrequire b.test/c v1.0.0 // indirect\nretract [v1.0.0, v1.1.0] // why\n"), "v1.0.5")
	f.Fuzz(func(t *testing.T, data []byte, version string) {
		facts, err := ParseMod(data)
		if err != nil {
			return
		}
		for _, why := range facts.Retracted(version) {
			if why == "" || len(why) > 600 {
				t.Fatalf("got the reason %q", why)
			}
		}
	})
}

func FuzzParseQuery(f *testing.F) {
	for _, q := range []string{"v1.2.3", "v1", ">=v1.2", "main", "latest", "v2.0.0+incompatible"} {
		f.Add("a.test/m", q)
	}
	f.Fuzz(func(t *testing.T, path, text string) {
		if CheckPath(path) != nil {
			return
		}
		q, err := parseQuery(path, text)
		if err == nil {
			_ = q.pick([]string{"v1.0.0", "v1.1.0-rc"}, anyVersion)
			_ = notFound(path, q, []string{"v1.0.0"})
		}
	})
}

func FuzzParseProxies(f *testing.F) {
	f.Add("https://a.test,http://b.test/x|direct")
	f.Fuzz(func(t *testing.T, list string) {
		entries, err := parseProxies(list)
		for _, e := range entries {
			if err == nil && e.word == "" && (e.base.Host == "" || e.base.Scheme != "http" && e.base.Scheme != "https") {
				t.Fatalf("got %+v", e)
			}
		}
	})
}
