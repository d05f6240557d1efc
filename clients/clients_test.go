package clients

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/api"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/internal/webhooks"
	"github.com/jobyard/jobyard/internal/worker"
	"github.com/jobyard/jobyard/tasks"
)

var update = flag.Bool("update", false, "write the generated clients anew")

// yard serves the API, if it works with a worker that answers searches: "fail"
// fails.
func yard(t *testing.T, works bool) (at yardAt) {
	t.Helper()
	b := brokertest.Start(t)
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, at.key, err = keys.New(b).Add(t.Context(), keys.Key{Name: "test", Actions: []keys.Action{keys.Admin}}); err != nil {
		t.Fatal(err)
	}
	if _, at.slow, err = keys.New(b).Add(t.Context(), keys.Key{Name: "slow", Actions: []keys.Action{keys.Read}, Rate: 0.2}); err != nil {
		t.Fatal(err)
	}
	doorKeys, err := api.OpenKeys(t.Context(), b, c)
	if err != nil {
		t.Fatal(err)
	}
	h, err := api.New(api.DefaultConfig(), api.Deps{
		Client: c, Keys: doorKeys, Webhooks: webhooks.New(b), Ready: b.Ping, Metrics: http.NotFoundHandler(), Registry: prometheus.NewRegistry(), Log: zerolog.Nop(),
		Stopping: t.Context().Done(), Version: "0",
	})
	if err != nil {
		t.Fatal(err)
	}
	serve := func(h http.Handler) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	at.url, at.cut = serve(h), serve(cutting(h, &at.cuts))
	over := make(chan struct{})
	at.mute = serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	t.Cleanup(func() { close(over) })
	if works {
		work(t, b)
	}
	return at
}

// yardAt is where a yard is served, and by which keys: one for all, and one
// that may ask every five seconds.
type yardAt struct {
	url, key, slow string
	// cut is a network that cuts each stream once, and counts that; mute one
	// from which nothing comes.
	cut, mute string
	cuts      *atomic.Int32
}

// cutting ends the connection of each stream as its first bytes would go out,
// once.
func cutting(next http.Handler, cuts **atomic.Int32) http.Handler {
	*cuts = new(atomic.Int32)
	var known sync.Map
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/events") || strings.HasSuffix(r.URL.Path, "/results") {
			if _, again := known.LoadOrStore(r.URL.Path, true); !again {
				w = &cutWriter{w, *cuts}
			}
		}
		next.ServeHTTP(w, r)
	})
}

type cutWriter struct {
	http.ResponseWriter
	cuts *atomic.Int32
}

func (w *cutWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *cutWriter) Write([]byte) (int, error) {
	if conn, _, err := http.NewResponseController(w.ResponseWriter).Hijack(); err == nil {
		w.cuts.Add(1)
		conn.Close()
	}
	return 0, http.ErrHijacked
}

func work(t *testing.T, b *broker.Broker) {
	t.Helper()
	jobs := worker.Jobs{}
	worker.Register(jobs, tasks.Search, func(_ context.Context, p tasks.SearchPayload) (tasks.SearchResult, error) {
		if p.Query == "fail" {
			return tasks.SearchResult{}, fault.PermanentError(tasks.ReasonNotFound, "nothing there")
		}
		return tasks.SearchResult{Total: 1, Hits: []tasks.SearchHit{{Title: p.Query}}}, nil
	})
	cfg := worker.DefaultConfig()
	cfg.Slots, cfg.DrainTimeout = map[string]int{"search": 2}, 0
	w, err := worker.New(cfg, b, &worker.Registry{Jobs: jobs}, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestGenerated holds the clients to the API's description.
func TestGenerated(t *testing.T) {
	t.Parallel()
	answer, err := http.Get(yard(t, false).url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var s spec
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	runtime, err := read("python/runtime.tmpl.py")
	if err != nil {
		t.Fatal(err)
	}
	code, types := typescript(s)
	for name, want := range map[string]string{"typescript/jobyard.js": code, "typescript/jobyard.d.ts": types, "python/jobyard.py": python(s, runtime)} {
		if *update {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := read(name); err != nil || got != want {
			t.Errorf("%s is not what the API's description gives (%v): go test ./clients -run Generated -update", name, err)
		}
	}
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not on PATH", program)
	}
	at := yard(t, true)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "YARD_URL="+at.url, "YARD_KEY="+at.key, "YARD_SLOW_KEY="+at.slow, "YARD_CUT_URL="+at.cut, "YARD_MUTE_URL="+at.mute, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", program, err, out)
	}
	if n := at.cuts.Load(); n < 2 {
		t.Errorf("%s: %d streams were cut, want two", program, n)
	}
}

func TestTypeScript(t *testing.T) {
	t.Parallel()
	run(t, "node", "typescript/jobyard.test.js")
}

// TestTypeScript_Types compiles a caller: the types are what callers see.
func TestTypeScript_Types(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("tsc")
	if err != nil {
		t.Skip("tsc is not on PATH: apt-get install node-typescript")
	}
	cmd := exec.CommandContext(t.Context(), path, "--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom", "--module", "nodenext",
		"--moduleResolution", "nodenext", "typescript/types.test.ts")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestPython(t *testing.T) {
	t.Parallel()
	run(t, "python3", "python/test_jobyard.py")
}
