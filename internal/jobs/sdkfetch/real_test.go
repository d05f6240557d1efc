package sdkfetch

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/mod/semver"

	"github.com/jobyard/jobyard/internal/datatest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/npm"
	"github.com/jobyard/jobyard/tasks"
)

// dataServer serves the shared data as a module proxy below /go and an npm
// registry below /npm. With flip set it changes one byte of each archive.
func dataServer(tb testing.TB, flip *atomic.Bool) *httptest.Server {
	tb.Helper()
	root := datatest.Path(tb, "sdk")
	serve := func(w http.ResponseWriter, file string) bool {
		raw, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		if ext := filepath.Ext(file); flip != nil && flip.Load() && (ext == ".zip" || ext == ".tgz") {
			raw[len(raw)/2] ^= 1
		}
		_, _ = w.Write(raw)
		return true
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/go/", func(w http.ResponseWriter, r *http.Request) {
		file := filepath.Join(root, "gomod", filepath.FromSlash(path.Clean("/"+strings.TrimPrefix(r.URL.Path, "/go/"))))
		if serve(w, file) {
			return
		}
		// Some modules of the data have files but no list.
		mods, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*.mod"))
		if filepath.Base(file) != "list" || len(mods) == 0 {
			http.NotFound(w, r)
			return
		}
		for _, m := range mods {
			_, _ = w.Write([]byte(strings.TrimSuffix(filepath.Base(m), ".mod") + "\n"))
		}
	})
	mux.HandleFunc("/npm/", func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/npm/")
		file := filepath.Join(root, "npm", "tarballs", path.Base(name))
		if !strings.Contains(name, "/-/") {
			matches, _ := filepath.Glob(filepath.Join(root, "npm", "packuments", strings.ReplaceAll(name, "/", "*")+"*.json"))
			for _, m := range matches {
				base := strings.TrimSuffix(filepath.Base(m), ".json")
				if base == path.Base(name) || base == name+".synthetic" {
					file = m
				}
			}
		}
		if !serve(w, file) {
			http.NotFound(w, r)
		}
	})
	server := httptest.NewServer(mux)
	tb.Cleanup(server.Close)
	return server
}

func dataJob(tb testing.TB, flip *atomic.Bool) *Job {
	s := dataServer(tb, flip)
	cfg := DefaultConfig()
	cfg.Go.Proxy, cfg.NPM.Registry = s.URL+"/go", s.URL+"/npm"
	return New(cfg, throughJSON, nil)
}

// throughJSON runs Extract the way a child process would: its input and output
// cross as JSON.
func throughJSON(ctx context.Context, a Archive) (Extracted, error) {
	raw, err := json.Marshal(a)
	if err != nil {
		return Extracted{}, err
	}
	var in Archive
	if err := json.Unmarshal(raw, &in); err != nil {
		return Extracted{}, err
	}
	x, err := Extract(ctx, in)
	if err != nil {
		return Extracted{}, err
	}
	if raw, err = json.Marshal(x); err != nil {
		return Extracted{}, err
	}
	var out Extracted
	err = json.Unmarshal(raw, &out)
	return out, err
}

func handle(t *testing.T, j *Job, ecosystem, name, version string, include ...string) (tasks.SDKFetchResult, error) {
	t.Helper()
	return j.Handle(t.Context(), tasks.SDKFetchPayload{Ecosystem: ecosystem, Name: name, Version: version, Include: include})
}

func wantReason(t *testing.T, err error, reason tasks.Reason, verdict fault.Verdict, text string) {
	t.Helper()
	f := fault.Of(err)
	if f == nil || f.Reason != reason || f.Verdict != verdict || !strings.Contains(f.Message, text) {
		t.Errorf("got %+v, want %s with verdict %d and %q", f, reason, verdict, text)
	}
}

// TestQuality_HashesEqualGoSum checks h1 of all modules that have a zip.
func TestQuality_HashesEqualGoSum(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(datatest.Path(t, "sdk", "gomod", "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	var flip atomic.Bool
	flip.Store(true)
	j, flipped := dataJob(t, nil), dataJob(t, &flip)
	all, equal, noticed := 0, 0, 0
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) != 3 || strings.HasSuffix(f[1], "/go.mod") {
			continue
		}
		all++
		r, err := handle(t, j, "go", f[0], f[1])
		if err != nil {
			t.Errorf("%s@%s: %v", f[0], f[1], err)
			continue
		}
		if r.Dist.Integrity == f[2] {
			equal++
		}
		if r.Dist.Verified || r.Dist.VerifiedBy != "" {
			t.Errorf("%s@%s: got %+v, want it not verified since no database is set", f[0], f[1], r.Dist)
		}
		if len(r.API) == 0 || r.License == "" || r.Readme == "" || r.PublishedAt.IsZero() || !slices.Contains(r.Versions, f[1]) {
			t.Errorf("%s@%s: got %d names, license %q, %d bytes of readme, %s, %q, versions %v", f[0], f[1], len(r.API), r.License, len(r.Readme), r.PublishedAt, r.Repository, r.Versions)
		}
		if broken, err := handle(t, flipped, "go", f[0], f[1]); err != nil || broken.Dist.Integrity != f[2] {
			noticed++
		}
		if !slices.IsSortedFunc(r.Versions, func(a, b string) int { return semver.Compare(b, a) }) {
			t.Errorf("%s: versions are not newest first: %v", f[0], r.Versions)
		}
	}
	datatest.Quality(t, "sdk_fetch_go_hashes_equal", datatest.Share(equal, all), 1)
	datatest.Quality(t, "sdk_fetch_go_changes_noticed", datatest.Share(noticed, all), 1)
}

// TestQuality_StatusEqualsGoList checks deprecation and retraction as go list
// tells them.
func TestQuality_StatusEqualsGoList(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(datatest.Path(t, "sdk", "gomod", "expected-status.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	j := dataJob(t, nil)
	modules, equal := 0, 0
	for mv, raw := range all {
		name, version, ok := strings.Cut(mv, "@")
		if !ok {
			continue
		}
		var want struct {
			Deprecated string
			Retracted  []string
		}
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		modules++
		r, err := handle(t, j, "go", name, version, "dependencies")
		if err != nil {
			t.Errorf("%s: %v", mv, err)
			continue
		}
		if r.Deprecated == nil || *r.Deprecated != want.Deprecated || !slices.Equal(r.Retracted, want.Retracted) {
			t.Logf("%s: got deprecated %v, retracted %q, want %+v", mv, r.Deprecated, r.Retracted, want)
			continue
		}
		equal++
	}
	datatest.Quality(t, "sdk_fetch_go_status_equal", datatest.Share(equal, modules), 1)
}

func TestHandle_ResolvesModuleQueries(t *testing.T) {
	t.Parallel()
	datatest.Path(t, "sdk", "gomod", "github.com", "gorilla", "mux")
	j := dataJob(t, nil)
	for _, c := range [][3]string{
		{"github.com/gorilla/mux", "", "v1.8.1"}, {"github.com/gorilla/mux", "latest", "v1.8.1"}, {"github.com/gorilla/mux", "v1", "v1.8.1"},
		{"github.com/gorilla/mux", "v1.8", "v1.8.1"}, {"github.com/gorilla/mux", ">v1.8.0", "v1.8.1"}, {"github.com/gorilla/mux", ">=v1.8.1", "v1.8.1"},
		{"github.com/BurntSushi/toml", "v1.4.0", "v1.4.0"}, {"github.com/golang/protobuf", "<=v1.6.0", "v1.5.4"},
	} {
		r, err := handle(t, j, "go", c[0], c[1], "dependencies")
		if err != nil || r.Version != c[2] {
			t.Errorf("%s@%s: got %q, %v, want %s", c[0], c[1], r.Version, err, c[2])
		}
	}
	r, err := handle(t, j, "go", "github.com/golang/protobuf", "v1.5.4", "dependencies")
	if err != nil || r.Engines["go"] != "1.17" || r.Dependencies["google.golang.org/protobuf"] != "v1.33.0" || len(r.Dependencies) != 2 {
		t.Errorf("got engines %v, dependencies %v, %v", r.Engines, r.Dependencies, err)
	}
	_, err = handle(t, j, "go", "github.com/gorilla/mux", "v1.7.9")
	wantReason(t, err, tasks.ReasonNotFound, fault.Permanent, "v1.7.4")
	_, err = handle(t, j, "go", "github.com/gorilla/nothing", "")
	wantReason(t, err, tasks.ReasonNotFound, fault.Permanent, "no module")
}

func TestHandle_DescribesPackages(t *testing.T) {
	t.Parallel()
	datatest.Path(t, "sdk", "npm", "tarballs", "nanoid-5.1.16.tgz")
	j := dataJob(t, nil)
	for name, c := range map[string]struct{ version, resolved, license, engine string }{
		"nanoid":       {"5.1.16", "5.1.16", "MIT", "^18 || >=20"},
		"ms":           {"^2.0.0", "2.1.3", "MIT", ""},
		"expo-haptics": {"~57.0.0 <57.0.4", "57.0.3", "MIT", ""},
	} {
		r, err := handle(t, j, "npm", name, c.version, tasks.SDKParts()...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Version != c.resolved || r.License != c.license || r.Engines["node"] != c.engine || r.Readme == "" || len(r.Files) == 0 || r.Repository == "" {
			t.Errorf("%s: got %s, %s, %v, %d bytes of readme, %d files, %s", name, r.Version, r.License, r.Engines, len(r.Readme), len(r.Files), r.Repository)
		}
		if !r.Dist.Verified || r.Dist.VerifiedBy != "sri" || !strings.HasPrefix(r.Dist.Integrity, "sha512-") || r.Dist.Size == 0 {
			t.Errorf("%s: got %+v, want it verified", name, r.Dist)
		}
		if r.Deprecated != nil {
			t.Errorf("%s: got deprecated %q, want null: this registry strips the field", name, *r.Deprecated)
		}
		if wantAPI := name != "ms"; wantAPI != (len(r.API) > 0) {
			t.Errorf("%s: got %d names and %v", name, len(r.API), r.Warnings)
		}
	}
	r, err := handle(t, j, "npm", "expo-haptics", "57.0.3", "dependencies")
	if err != nil || r.PeerDependencies["expo"] != "*" || len(r.Files)+len(r.API)+len(r.Readme) != 0 || r.Dist.Verified {
		t.Errorf("got %+v, %v, want the dependencies alone", r, err)
	}
	_, err = handle(t, j, "npm", "lodash", "^99")
	wantReason(t, err, tasks.ReasonNotFound, fault.Permanent, "newest are")
	_, err = handle(t, j, "npm", "lodash", "nosuchtag")
	wantReason(t, err, tasks.ReasonNotFound, fault.Permanent, "latest")
	_, err = handle(t, j, "npm", "no-such-package", "")
	wantReason(t, err, tasks.ReasonNotFound, fault.Permanent, "no package")
	_, err = handle(t, j, "npm", "lodash", "4.17.21") // its tarball is not in the data
	wantReason(t, err, tasks.ReasonNotFound, fault.Permanent, "tarball")
}

func TestHandle_TellsDeprecationOnlyIfTheRegistryDoes(t *testing.T) {
	t.Parallel()
	datatest.Path(t, "sdk", "npm", "packuments", "example-pkg.synthetic.json")
	j := dataJob(t, nil)
	for version, want := range map[string]string{"1.0.0": "use example-pkg@2", "2.0.0": "", "latest": ""} {
		r, err := handle(t, j, "npm", "example-pkg", version, "dependencies")
		if err != nil || r.Deprecated == nil || *r.Deprecated != want {
			t.Errorf("%s: got %v, %v, want %q", version, r.Deprecated, err, want)
		}
	}
	r, _ := handle(t, j, "npm", "example-pkg", "next", "dependencies")
	if r.Version != "3.0.0-rc.1" {
		t.Errorf("got %s, want what next is", r.Version)
	}
}

// packed lists name and version of every tarball of the data.
func packed(t *testing.T) [][2]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(datatest.Path(t, "sdk", "npm", "packuments"), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out [][2]string
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := npm.Decode(f)
		_ = f.Close()
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for v := range p.Versions {
			ball := filepath.Join(datatest.Path(t, "sdk", "npm", "tarballs"), path.Base(p.Name)+"-"+v+".tgz")
			if _, err := os.Stat(ball); err == nil {
				out = append(out, [2]string{p.Name, v})
			}
		}
	}
	return out
}

// TestQuality_VerifiesEveryTarball checks the integrity of all tarballs, and
// that one flipped byte of any is a fault.
func TestQuality_VerifiesEveryTarball(t *testing.T) {
	t.Parallel()
	var flip atomic.Bool
	good, bad := dataJob(t, nil), dataJob(t, &flip)
	flip.Store(true)
	all, verified, refused := packed(t), 0, 0
	for _, nv := range all {
		r, err := handle(t, good, "npm", nv[0], nv[1])
		if err == nil && r.Dist.Verified && r.Dist.VerifiedBy == "sri" {
			verified++
		} else {
			t.Logf("%v: got %+v, %v, want it verified", nv, r.Dist, err)
		}
		r, err = handle(t, bad, "npm", nv[0], nv[1])
		wantReason(t, err, tasks.ReasonIntegrity, fault.Permanent, "sha512")
		if r.Readme == "" && len(r.API) == 0 && !r.Dist.Verified {
			refused++
		}
	}
	t.Logf("%d tarballs", len(all))
	datatest.Quality(t, "sdk_fetch_npm_verified", datatest.Share(verified, len(all)), 1)
	datatest.Quality(t, "sdk_fetch_npm_changes_refused", datatest.Share(refused, len(all)), 1)
}

func BenchmarkExtractModule(b *testing.B) {
	raw, err := os.ReadFile(datatest.Path(b, "sdk", "gomod", "github.com", "gorilla", "mux", "@v", "v1.8.1.zip"))
	if err != nil {
		b.Fatal(err)
	}
	a := Archive{Ecosystem: "go", Name: "github.com/gorilla/mux", Version: "v1.8.1", Data: raw, Limits: DefaultConfig().Archive, Readme: true, API: true}
	for b.Loop() {
		if _, err := Extract(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHandlePackage(b *testing.B) {
	j := dataJob(b, nil)
	for b.Loop() {
		if _, err := j.Handle(b.Context(), tasks.SDKFetchPayload{Ecosystem: "npm", Name: "nanoid", Version: "5.1.16"}); err != nil {
			b.Fatal(err)
		}
	}
}
