package sdkfetch

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/localregistry"
	"github.com/jobyard/jobyard/internal/library"
	"github.com/jobyard/jobyard/tasks"
)

// local starts the registry of the demonstration. The change function may alter
// an answer's bytes on their way.
func local(t *testing.T, change func(path string, body []byte) []byte) Config {
	t.Helper()
	reg, err := localregistry.New(localregistry.Example())
	if err != nil {
		t.Fatal(err)
	}
	var h http.Handler = reg
	if change != nil {
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			reg.ServeHTTP(rec, r)
			w.WriteHeader(rec.Code)
			_, _ = w.Write(change(r.URL.Path, rec.Body.Bytes()))
		})
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	cfg := DefaultConfig()
	cfg.Go.Proxy, cfg.Go.SumDB, cfg.NPM.Registry = s.URL+localregistry.GoPath, reg.SumDB(), s.URL+localregistry.NPMPath
	return cfg
}

func TestHandle_ModuleOfTheDemonstration(t *testing.T) {
	t.Parallel()
	j := New(local(t, nil), throughJSON, nil)
	r, err := handle(t, j, "go", "example.test/greeter", "latest", tasks.SDKParts()...)
	if err != nil {
		t.Fatal(err)
	}
	if r.Version != "v1.1.0" || r.License != "MIT" || r.Engines["go"] != "1.24" || r.Dependencies["example.test/phrases"] != "v0.3.0" ||
		!strings.Contains(r.Description, "language of your choice") || len(r.Files) != 5 || len(r.Warnings) != 0 {
		t.Errorf("got %+v", r)
	}
	if !r.Dist.Verified || r.Dist.VerifiedBy != "sumdb" || !strings.HasPrefix(r.Dist.Integrity, "h1:") {
		t.Errorf("got %+v, want it verified by the checksum database", r.Dist)
	}
	var names []string
	for _, s := range r.API {
		names = append(names, s.Kind+" "+strings.TrimPrefix(s.Package, "example.test/")+"."+s.Name)
	}
	want := []string{"const greeter.Default", "var greeter.ErrLanguage", "func greeter.Hello", "type greeter.Greeter", "func greeter.New", "method greeter.Greeter.Greet", "func greeter/polite.Hello"}
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	r, err = handle(t, j, "go", "example.test/greeter", "v1.0.0")
	if err != nil || !slices.Equal(r.Retracted, []string{"Greets everybody in English only."}) || !r.Dist.Verified {
		t.Errorf("got retracted %q, %+v, %v", r.Retracted, r.Dist, err)
	}
	for _, s := range r.Sources {
		if !s.OK || s.Source == "" {
			t.Errorf("got source %+v", s)
		}
	}
}

func TestHandle_PackageOfTheDemonstration(t *testing.T) {
	t.Parallel()
	j := New(local(t, nil), throughJSON, nil)
	r, err := handle(t, j, "npm", "@example/greeter", "^1.0.0", tasks.SDKParts()...)
	if err != nil {
		t.Fatal(err)
	}
	if r.Version != "1.1.0" || r.License != "MIT" || r.Engines["node"] != ">=20" || r.Dependencies["@example/phrases"] != "^0.3.0" ||
		r.PeerDependencies["react"] != ">=18" || r.Repository != "https://git.example.test/greeter" || r.Tags["next"] != "2.0.0-beta.1" ||
		r.Deprecated == nil || *r.Deprecated != "" || !r.Dist.Verified || r.PublishedAt.IsZero() || len(r.Warnings) != 0 {
		t.Errorf("got %+v", r)
	}
	var names []string
	for _, s := range r.API {
		names = append(names, s.Name+" "+s.Kind)
	}
	slices.Sort(names)
	if want := []string{"Greeter class", "GreeterOptions interface", "Language type", "default class", "hello func", "polite namespace"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	r, err = handle(t, j, "npm", "@example/greeter", "1.0.0")
	if err != nil || r.Deprecated == nil || !strings.Contains(*r.Deprecated, "use 1.1.0") {
		t.Errorf("got deprecated %v, %v", r.Deprecated, err)
	}
	if len(r.Sources) != 2 || r.Sources[0].Source != "packument" || r.Sources[0].ETag == "" {
		t.Errorf("got sources %+v", r.Sources)
	}
}

func TestHandle_IndexesReadmeAndAPI(t *testing.T) {
	t.Parallel()
	var got []library.Document
	index := func(_ context.Context, d library.Document) (string, error) {
		got = append(got, d)
		return "7-0", nil
	}
	j := New(local(t, nil), throughJSON, index)
	p := tasks.SDKFetchPayload{Ecosystem: "npm", Name: "@example/greeter", Include: []string{"dependencies"}, Index: true}
	for range 2 {
		r, err := j.Handle(t.Context(), p)
		if err != nil || r.Token != "7-0" || r.Readme != "" || len(r.API) != 0 {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
	d := got[0]
	if d.URI != "pkg:npm/%40example/greeter@1.1.0" || d.SHA256 == "" || d.SHA256 != got[1].SHA256 || d.URI != got[1].URI {
		t.Errorf("got %s %s, then %s %s", d.URI, d.SHA256, got[1].URI, got[1].SHA256)
	}
	var headings []string
	for _, s := range d.Sections {
		headings = append(headings, s.Heading)
	}
	if want := []string{"@example/greeter", "Install", "Use", "GreeterOptions"}; !slices.Equal(headings[:4], want) {
		t.Errorf("got %v, want %v first", headings, want)
	}
	if use := d.Sections[2]; !strings.Contains(use.Code, "new Greeter") || use.Anchor != "use" || use.Level != 2 {
		t.Errorf("got %+v", use)
	}
	broken := New(local(t, nil), throughJSON, func(context.Context, library.Document) (string, error) { return "", errors.New("disk full") })
	if _, err := broken.Handle(t.Context(), p); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v, want the library's error", err)
	}
	_, err := New(local(t, nil), Extract, nil).Handle(t.Context(), p)
	wantReason(t, err, tasks.ReasonRejected, fault.Permanent, "no library")
}

// TestHandle_CatchesForgery changes one thing that a registry sends at a time.
func TestHandle_CatchesForgery(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		suffix, old, new string
		ecosystem        string
		text             string
	}{
		"go.mod":               {".mod", "go 1.24", "go 1.25", "go", "go.mod"},
		"a hash in the lookup": {"lookup/example.test/greeter@v1.1.0", "h1:", "h1:A", "go", "does not hold"},
		"the signature":        {"lookup/example.test/greeter@v1.1.0", "\n— ", "\n— x", "go", "does not hold"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := local(t, func(path string, body []byte) []byte {
				if strings.HasSuffix(path, c.suffix) {
					return []byte(strings.ReplaceAll(string(body), c.old, c.new))
				}
				return body
			})
			_, err := handle(t, New(cfg, Extract, nil), c.ecosystem, "example.test/greeter", "v1.1.0")
			wantReason(t, err, tasks.ReasonIntegrity, fault.Permanent, c.text)
		})
	}
	t.Run("a zip of other files", func(t *testing.T) {
		t.Parallel()
		cfg := local(t, nil)
		forged := func(ctx context.Context, a Archive) (Extracted, error) {
			x, err := Extract(ctx, a)
			x.Hash = "h1:forged"
			return x, err
		}
		r, err := handle(t, New(cfg, forged, nil), "go", "example.test/greeter", "v1.1.0")
		wantReason(t, err, tasks.ReasonIntegrity, fault.Permanent, "archive")
		if r.Readme != "" || len(r.API) != 0 || r.Dist.Verified {
			t.Errorf("a forged archive was handed out: %+v", r)
		}
	})
}

func TestHandle_SaysWhyNothingIsVerified(t *testing.T) {
	t.Parallel()
	_, otherKey, err := note.GenerateKey(rand.Reader, "other.example.test")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		set  func(*Config)
		text string
	}{
		"no database":                  {func(c *Config) { c.Go.SumDB = "" }, "not set"},
		"off":                          {func(c *Config) { c.Go.SumDB = "off" }, "is off"},
		"a name alone":                 {func(c *Config) { c.Go.SumDB = "sum.example.test" }, `set GOSUMDB="sum.example.test+<hash>+<key>"`},
		"a broken key":                 {func(c *Config) { c.Go.SumDB = "sum.example.test+key" }, "cannot be read"},
		"an exempt module":             {func(c *Config) { c.Go.NoSumDB = "example.test" }, "exempts"},
		"a database that no proxy has": {func(c *Config) { c.Go.SumDB = otherKey }, "https://other.example.test"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := local(t, nil)
			c.set(&cfg)
			r, err := handle(t, New(cfg, Extract, nil), "go", "example.test/greeter", "")
			if err != nil || r.Dist.Verified || r.Dist.VerifiedBy != "" || !strings.HasPrefix(r.Dist.Integrity, "h1:") ||
				!strings.Contains(strings.Join(r.Warnings, "\n"), c.text) {
				t.Errorf("got %+v, %v, %v, want a warning with %q", r.Dist, r.Warnings, err, c.text)
			}
		})
	}
}

// TestHandle_RunsAlongside fetches many at once through one job.
func TestHandle_RunsAlongside(t *testing.T) {
	t.Parallel()
	j := New(local(t, nil), Extract, nil)
	var wg sync.WaitGroup
	var bad atomic.Int32
	for i := range 50 {
		wg.Go(func() {
			p := tasks.SDKFetchPayload{Ecosystem: "npm", Name: "@example/greeter"}
			if i%2 == 0 {
				p = tasks.SDKFetchPayload{Ecosystem: "go", Name: "example.test/greeter"}
			}
			if r, err := j.Handle(context.Background(), p); err != nil || !r.Dist.Verified {
				bad.Add(1)
			}
		})
	}
	wg.Wait()
	if bad.Load() > 0 {
		t.Errorf("%d of 50 failed", bad.Load())
	}
}
