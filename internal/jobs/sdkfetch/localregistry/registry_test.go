package localregistry

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func fetch(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	resp, err := http.Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestRegistry_ServesBothProtocols(t *testing.T) {
	t.Parallel()
	r, err := New(Example())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/go/example.test/greeter/@v/list":                             "v1.0.0\nv1.1.0\n",
		"/go/example.test/greeter/@latest":                             `"v1.1.0"`,
		"/go/example.test/greeter/@v/v1.0.0.mod":                       "module example.test/greeter",
		"/go/example.test/greeter/@v/v1.0.0.info":                      "2026-01-01",
		"/go/sumdb/" + sumName + "/lookup/example.test/greeter@v1.1.0": "example.test/greeter v1.1.0 h1:",
		"/npm/@example%2Fgreeter":                                      `"latest":"1.1.0"`,
	} {
		if code, body := fetch(t, r, path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: got %d %.200q, want %q in it", path, code, body, want)
		}
	}
	for _, path := range []string{"/", "/npm/other", "/go/example.test/other/@v/list", "/go/example.test/greeter/@v/v9.9.9.zip"} {
		if code, _ := fetch(t, r, path); code != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, code)
		}
	}
}

func TestNew_GivesTheSameBytesEachTime(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/go/example.test/greeter/@v/v1.1.0.zip", "/npm/@example/greeter/-/greeter-1.1.0.tgz"} {
		var bodies [2]string
		for i := range bodies {
			r, err := New(Example())
			if err != nil {
				t.Fatal(err)
			}
			_, bodies[i] = fetch(t, r, path)
		}
		if bodies[0] == "" || bodies[0] != bodies[1] {
			t.Errorf("%s: got %d and %d bytes that differ", path, len(bodies[0]), len(bodies[1]))
		}
	}
}

func TestNew_RefusesBrokenSources(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"a package.json that is none": "npm/x@1.0.0/package.json",
		"a version that is none":      "npm/x@one/package.json",
		"a module path that is none":  "go/Bad Path@v1.0.0/go.mod.txt",
	} {
		src := fstest.MapFS{"go/a.test/m@v1.0.0/go.mod.txt": {Data: []byte("module a.test/m")}, "npm/a@1.0.0/package.json": {Data: []byte("{}")}, file: {Data: []byte("{")}}
		if strings.Contains(file, "one") {
			src[file] = &fstest.MapFile{Data: []byte("{}")}
		}
		if _, err := New(src); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
