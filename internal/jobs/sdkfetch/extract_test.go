package sdkfetch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

func tgz(tb testing.TB, files map[string]string) []byte {
	tb.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for name, body := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))}); err != nil {
			tb.Fatal(err)
		}
		_, _ = w.Write([]byte(body))
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func zipped(tb testing.TB, files map[string]string) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, body := range files {
		w, err := z.Create(name)
		if err != nil {
			tb.Fatal(err)
		}
		_, _ = w.Write([]byte(body))
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func extract(t *testing.T, ecosystem string, data []byte) (Extracted, error) {
	t.Helper()
	return Extract(t.Context(), Archive{Ecosystem: ecosystem, Name: "a.test/m", Version: "v1.0.0", Data: data, Limits: DefaultConfig().Archive, Readme: true, API: true, Files: true, Sections: true})
}

func TestExtract_SortsHostileArchives(t *testing.T) {
	t.Parallel()
	bomb := strings.Repeat("\x00", 12<<20)
	for name, c := range map[string]struct {
		ecosystem string
		data      []byte
		want      tasks.Reason
	}{
		"a tar bomb":        {"npm", tgz(t, map[string]string{"package/x": bomb}), tasks.ReasonTooLarge},
		"a zip bomb":        {"go", zipped(t, map[string]string{"a.test/m@v1.0.0/x": bomb}), tasks.ReasonTooLarge},
		"a path outside":    {"npm", tgz(t, map[string]string{"package/../../x": ""}), tasks.ReasonRejected},
		"another module":    {"go", zipped(t, map[string]string{"b.test/m@v1.0.0/x": ""}), tasks.ReasonRejected},
		"a tarball cut off": {"npm", tgz(t, map[string]string{"package/x": strings.Repeat("abcd", 999)})[:60], tasks.ReasonRejected},
		"no zip":            {"go", []byte("PK not really"), tasks.ReasonRejected},
	} {
		_, err := extract(t, c.ecosystem, c.data)
		if f := fault.Of(err); f == nil || f.Reason != c.want || f.Verdict != fault.Permanent || f.Message == "" {
			t.Errorf("%s: got %+v, want %s", name, f, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Extract(ctx, Archive{Ecosystem: "npm", Data: tgz(t, map[string]string{"p/x": ""}), Limits: DefaultConfig().Archive}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestExtract_BearsPoorPackages(t *testing.T) {
	t.Parallel()
	x, err := extract(t, "npm", tgz(t, map[string]string{"package/index.js": "", "package/README": "\xff plain", "package/readme.md": strings.Repeat("long ", 200_000)}))
	if err != nil || x.Manifest != nil || len(x.API) != 0 || len(x.Readme) > maxReadme+8 || !strings.HasPrefix(x.Readme, "long") || len(x.Warnings) != 3 {
		t.Errorf("got %d bytes of readme, %v, %v", len(x.Readme), x.Warnings, err)
	}
	x, err = extract(t, "go", zipped(t, map[string]string{
		"a.test/m@v1.0.0/big.go": "package m\n\n// " + strings.Repeat("x", 300<<10), "a.test/m@v1.0.0/bad.go": "nonsense", "a.test/m@v1.0.0/m.go": "package m\n\nfunc M() {}"}))
	if err != nil || len(x.API) != 1 || len(x.Warnings) != 2 || !strings.Contains(strings.Join(x.Warnings, " "), "over 256 KiB") {
		t.Errorf("got %v, %v, %v", x.API, x.Warnings, err)
	}
}

func TestExtract_BoundsTheAPI(t *testing.T) {
	t.Parallel()
	var src strings.Builder
	src.WriteString("package m\n")
	for i := range maxSymbols + 100 {
		fmt.Fprintf(&src, "\nfunc F%d() {}\n", i)
	}
	x, err := extract(t, "go", zipped(t, map[string]string{"a.test/m@v1.0.0/m.go": src.String()}))
	if err != nil || len(x.API) != maxSymbols || !x.APITruncated || len(x.Warnings) != 1 {
		t.Errorf("got %d names, truncated %v, %v, %v", len(x.API), x.APITruncated, x.Warnings, err)
	}
	x = Extracted{}
	for range maxSymbols {
		x.API = append(x.API, tasks.SDKSymbol{Doc: strings.Repeat("d", 4000)})
	}
	x.trimAPI()
	if raw, _ := json.Marshal(x.API); len(raw) > maxAPIBytes*5/4 || !x.APITruncated {
		t.Errorf("got %d bytes, truncated %v", len(raw), x.APITruncated)
	}
}

func TestSections(t *testing.T) {
	t.Parallel()
	got := sections("intro *text*\n\n# One `x`\n\nbody [link](http://x.test)\n\n- item\n\n```go\n# not a heading\n```\n\nTwo\n---\n\n> quote\n")
	if len(got) != 3 {
		t.Fatalf("got %+v, want 3 sections", got)
	}
	if got[0].Body != "intro text" || got[1].Heading != "One x" || got[1].Anchor != "one-x" || got[1].Level != 1 || got[1].Body != "body link\n\nitem" ||
		got[1].Code != "# not a heading" || got[2].Heading != "Two" || got[2].Body != "quote" {
		t.Errorf("got %+v", got)
	}
	if got := sections(strings.Repeat("# h\n", 3000)); len(got) > maxSections+1 {
		t.Errorf("got %d sections", len(got))
	}
}

func TestHandle_RefusesBadInput(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Go.Proxy, cfg.NPM.Registry = "https://proxy.test", "https://registry.test"
	j := New(cfg, Extract, nil)
	for _, c := range [][4]string{
		{"pypi", "x", "", "ecosystem"}, {"npm", "", "", "name"}, {"npm", ".hidden", "", "name"}, {"npm", "x", "file:..", "version"},
		{"go", "fmt", "", "name"}, {"go", "a.test/m", "^1", "version"},
	} {
		_, err := handle(t, j, c[0], c[1], c[2])
		f := fault.Of(err)
		if f == nil || f.Reason != tasks.ReasonInvalid || len(f.Fields) == 0 || f.Fields[0].Path != c[3] {
			t.Errorf("%v: got %+v, want a fault at %s", c, f, c[3])
		}
	}
	none := New(DefaultConfig(), Extract, nil)
	_, err := handle(t, none, "npm", "x", "")
	wantReason(t, err, tasks.ReasonRejected, fault.Permanent, "NPM_CONFIG_REGISTRY")
	_, err = handle(t, none, "go", "a.test/m", "")
	wantReason(t, err, tasks.ReasonRejected, fault.Permanent, "GOPROXY")
}

// TestHandle_NeverLeavesTheRegistry has a registry that sends its callers to
// another server in every way it can.
func TestHandle_NeverLeavesTheRegistry(t *testing.T) {
	t.Parallel()
	inside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the inner server was asked for %s", r.URL.Path)
	}))
	defer inside.Close()
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/named":
			_, _ = fmt.Fprintf(w, `{"name":"named","versions":{"1.0.0":{"dist":{"tarball":"%s/secret.tgz"}}}}`, inside.URL)
		case "/sent":
			_, _ = fmt.Fprintf(w, `{"name":"sent","versions":{"1.0.0":{}}}`)
		case "/sent/-/sent-1.0.0.tgz", "/a.test/m/@v/list":
			http.Redirect(w, r, inside.URL+"/secret", http.StatusTemporaryRedirect)
		default:
			http.NotFound(w, r)
		}
	}))
	defer registry.Close()
	cfg := DefaultConfig()
	cfg.Go.Proxy, cfg.NPM.Registry = registry.URL, registry.URL
	j := New(cfg, Extract, nil)
	_, err := handle(t, j, "npm", "named", "")
	wantReason(t, err, tasks.ReasonNotFound, fault.Permanent, "tarball") // asked at the registry itself
	r, err := handle(t, j, "npm", "sent", "")
	wantReason(t, err, tasks.ReasonRejected, fault.Permanent, "another host")
	if len(r.Sources) != 2 || r.Sources[1].OK || r.Sources[1].Error == "" {
		t.Errorf("got sources %+v, want the failure told", r.Sources)
	}
	_, err = handle(t, j, "go", "a.test/m", "")
	wantReason(t, err, tasks.ReasonRejected, fault.Permanent, "another host")
}

func FuzzExtract(f *testing.F) {
	f.Add("npm", tgz(f, map[string]string{"package/package.json": `{"types":"i.d.ts"}`, "package/i.d.ts": "export const a: 1", "package/README.md": "# x\n\n```\ny\n```"}))
	f.Add("go", zipped(f, map[string]string{"a.test/m@v1.0.0/m.go": "package m\n\nfunc M() {}", "a.test/m@v1.0.0/LICENSE": "MIT"}))
	f.Fuzz(func(t *testing.T, ecosystem string, data []byte) {
		a := Archive{Ecosystem: ecosystem, Name: "a.test/m", Version: "v1.0.0", Data: data, Limits: DefaultConfig().Archive, Readme: true, API: true, Files: true, Sections: true}
		a.Limits.MaxTotalBytes, a.Limits.MaxKeptBytes = 4<<20, 1<<20
		x, err := Extract(t.Context(), a)
		if err != nil {
			return
		}
		if _, err := json.Marshal(x); err != nil || len(x.API) > maxSymbols {
			t.Fatalf("got %d names, %v", len(x.API), err)
		}
	})
}

func TestFetch_SaysThatVersionsWereCut(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, maxVersions, maxVersions + 1} {
		f := fetch{}
		f.versions(make([]string, n))
		if len(f.result.Versions) != min(n, maxVersions) || (len(f.result.Warnings) == 1) != (n > maxVersions) {
			t.Errorf("%d: got %d versions and %v", n, len(f.result.Versions), f.result.Warnings)
		}
	}
}

// TestExtract_SaysWhatTheAPILeavesOut tells apart no declarations, declarations
// that nothing leads to, and import paths beside the package itself.
func TestExtract_SaysWhatTheAPILeavesOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		manifest string
		files    map[string]string
		pkg      string // of the names in the API
		text     string
	}{
		"no declarations": {`{"name":"pkg"}`, nil, "", "has no TypeScript declarations"},
		"none is led to":  {`{"name":"pkg","main":"index.js"}`, map[string]string{"types/a.d.ts": "export const a: 1"}, "", "no import path leads to the package's 1"},
		"further paths": {`{"name":"pkg","exports":{".":"./index.js","./a":"./a.js"}}`,
			map[string]string{"index.d.ts": "export const i: 1", "a.d.ts": "export const a: 1"}, "pkg", "does not list: 1, as ./a"},
		"only a path inside": {`{"name":"pkg","exports":{"./a":"./a.js"}}`, map[string]string{"a.d.ts": "export const a: 1"}, "pkg/a", ""},
	} {
		files := map[string]string{"package/package.json": c.manifest}
		for p, text := range c.files {
			files["package/"+p] = text
		}
		x, err := Extract(t.Context(), Archive{Ecosystem: "npm", Name: "pkg", Version: "1.0.0", Data: tgz(t, files), Limits: DefaultConfig().Archive, API: true})
		if err != nil {
			t.Fatal(err)
		}
		pkg := ""
		if len(x.API) > 0 {
			pkg = x.API[0].Package
		}
		if warned := strings.Join(x.Warnings, "\n"); pkg != c.pkg || !strings.Contains(warned, c.text) || c.text == "" && warned != "" {
			t.Errorf("%s: got names of %q and the warnings %q", name, pkg, warned)
		}
	}
}
