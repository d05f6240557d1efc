package monitor

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func (y *testYard) get(method, path string, header ...string) *httptest.ResponseRecorder {
	y.tb.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	y.monitor.Handler().ServeHTTP(w, r)
	return w
}

func TestHandler_Routes(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	if got := y.get("GET", "/readyz").Code; got != 503 {
		t.Errorf("/readyz before the first sample: got %d, want 503", got)
	}
	if got := y.get("GET", "/api/overview").Code; got != 503 {
		t.Errorf("/api/overview before the first sample: got %d, want 503", got)
	}
	y.sample(0)
	for _, tt := range []struct {
		method, path string
		code         int
		kind         string
	}{
		{"GET", "/", 200, "text/html"},
		{"HEAD", "/", 200, "text/html"},
		{"GET", "/page/app.js", 200, "text/javascript"},
		{"GET", "/page/style.css", 200, "text/css"},
		{"GET", "/page/icon.svg", 200, "image/svg+xml"},
		{"GET", "/page/frame.html", 404, ""},
		{"GET", "/queues", 200, "text/html"},
		{"GET", "/nodes", 200, "text/html"},
		{"GET", "/tasks", 200, "text/html"},
		{"GET", "/tasks/0198-a.b", 200, "text/html"},
		{"GET", "/dead", 200, "text/html"},
		{"GET", "/leaks", 200, "text/html"},
		{"GET", "/login", 404, "text/plain"},
		{"GET", "/page/pages.css", 200, "text/css"},
		{"GET", "/scale", 200, "application/json"},
		{"GET", "/api/dead", 200, "application/json"},
		{"GET", "/api/tasks", 200, "application/json"},
		{"GET", "/api/tasks?kind=none", 400, "application/json"},
		{"GET", "/api/tasks?state=gone", 400, "application/json"},
		{"GET", "/api/tasks?reason=bad", 400, "application/json"},
		{"GET", "/api/tasks?skip=-1", 400, "application/json"},
		{"GET", "/api/tasks?limit=1e9", 400, "application/json"},
		{"GET", "/api/tasks/nobody", 404, "application/json"},
		{"POST", "/api/tasks/nobody/cancel", 403, "application/json"},
		{"POST", "/api/dead/delete", 403, "application/json"},
		{"GET", "/page/../monitor.go", 307, ""},
		{"GET", "/nothing", 404, "text/plain"},
		{"GET", "/healthz", 200, "text/plain"},
		{"GET", "/readyz", 200, "text/plain"},
		{"GET", "/metrics", 200, "text/plain"},
		{"GET", "/api/overview", 200, "application/json"},
		{"HEAD", "/api/live", 200, "text/event-stream"},
		{"POST", "/", 405, ""},
		{"PUT", "/api/overview", 405, ""},
		{"DELETE", "/metrics", 405, ""},
		{"POST", "/asynqmon/api/queues/search:pause", 405, ""},
		{"GET", "/asynqmon", 301, ""},
		{"GET", "/asynqmon/", 200, "text/html"},
		{"GET", "/asynqmon/queues/search", 200, "text/html"},
		{"GET", "/asynqmon/favicon.ico", 200, "image/"},
		{"GET", "/asynqmon/api/queues", 200, "application/json"},
		{"GET", "/asynqmon/api/queues/search/pending_tasks?size=x", 400, ""},
	} {
		w := y.get(tt.method, tt.path)
		if w.Code != tt.code || !strings.HasPrefix(w.Header().Get("Content-Type"), tt.kind) {
			t.Errorf("%s %s: got %d %s, want %d %s", tt.method, tt.path, w.Code, w.Header().Get("Content-Type"), tt.code, tt.kind)
		}
		for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"} {
			if w.Header().Get(name) == "" {
				t.Errorf("%s %s: %s is missing", tt.method, tt.path, name)
			}
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "http") {
			t.Errorf("%s %s: got policy %q", tt.method, tt.path, csp)
		}
	}
	tag := y.get("GET", "/page/app.js").Header().Get("ETag")
	if got := y.get("GET", "/page/app.js", "If-None-Match", tag).Code; got != 304 {
		t.Errorf("an unchanged part: got %d, want 304", got)
	}
}

func TestHandler_HealthFollowsTheLoop(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.sample(0)
	y.clock = y.clock.Add(time.Hour)
	if got := y.get("GET", "/healthz").Code; got != 503 {
		t.Errorf("a loop that stands still: got %d, want 503", got)
	}
}

func TestHandler_OverviewIsTheContract(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enqueue("search", 2)
	y.node("n1")
	y.sample(0)
	var o struct {
		Verdict struct{ Level, Text string }
		Queues  []struct {
			Queue   string
			Limit   int
			Waiting int
			Counts  map[string]int
		}
		Nodes []struct {
			ID    string
			Up    bool
			RSS   int64                       `json:"rss_bytes"`
			Kinds map[string]map[string]int64 `json:"kinds"`
		}
	}
	if err := json.Unmarshal(y.get("GET", "/api/overview").Body.Bytes(), &o); err != nil {
		t.Fatal(err)
	}
	if o.Verdict.Level != "ok" || o.Queues[0].Queue != "search" || o.Queues[0].Counts["pending"] != 2 || !o.Nodes[0].Up || o.Nodes[0].RSS != 100<<20 {
		t.Errorf("got %+v", o)
	}
}
