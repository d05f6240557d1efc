package monitor

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
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
		{"GET", "/page/index.html", 404, ""},
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

func TestAsynqmon_AsksNoOtherHost(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	for _, path := range []string{"/asynqmon/", "/asynqmon/queues/search/tasks/a.b.c"} {
		body := y.get("GET", path).Body.String()
		if !strings.Contains(body, `id="root"`) || strings.Contains(body, "//fonts.") {
			t.Errorf("%s: got %s, want its page without other hosts", path, body)
		}
	}
}

func TestAsynqmon_ShowsBoundedPayloads(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.sample(0)
	big, err := tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: strings.Repeat("ä", 30_000)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := y.client.Enqueue(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	w := y.get("GET", "/asynqmon/api/queues/document_parse/pending_tasks?page=-5&size=999999999")
	if w.Code != 200 || w.Body.Len() > maxShown+4000 || !strings.Contains(w.Body.String(), "(the first 4096 of 60") {
		t.Errorf("got %d and %d bytes, want the payload cut", w.Code, w.Body.Len())
	}
}

func TestAsynqmon_ReadsOurData(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enqueue("search", 1)
	y.enqueue("search", 1, tasks.WithDelay(90*time.Second+123*time.Millisecond)) // our scores have fractions
	y.sample(0)
	for _, path := range []string{
		"queues", "queues/search", "queues/search:bulk", "queue_stats", "servers", "scheduler_entries", "redis_info",
		"queues/search/pending_tasks", "queues/search/scheduled_tasks", "queues/search/active_tasks",
		"queues/search/retry_tasks", "queues/search/archived_tasks", "queues/search/completed_tasks",
	} {
		if w := y.get("GET", "/asynqmon/api/"+path); w.Code != 200 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: got %d %s", path, w.Code, w.Body)
		}
	}
}

func TestAsynqmon_RefusesHeavyPages(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.sample(0)
	ctx, c := t.Context(), y.broker.Client()
	big := strings.Repeat("x", maxResults/2+1)
	for _, id := range []string{"a", "b"} {
		c.HSet(ctx, broker.TaskKey("search", id), "result", big)
		c.ZAdd(ctx, broker.QueueKey("search", "completed"), z(id))
	}
	if got := y.get("GET", "/asynqmon/api/queues/search/completed_tasks?size=20&page=1").Code; got != 413 {
		t.Errorf("both results: got %d, want 413", got)
	}
	if got := y.get("GET", "/asynqmon/api/queues/search/completed_tasks?size=1&page=1").Code; got == 413 {
		t.Errorf("one of them: got %d, want it shown", got)
	}
}

func TestAsynqmon_MayChangeThings(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(c *Config) { c.AsynqmonReadOnly = false })
	y.sample(0)
	pause := "/asynqmon/api/queues/search:pause"
	if got := y.get("POST", pause, "Sec-Fetch-Site", "cross-site").Code; got != 403 {
		t.Errorf("a press from another site: got %d, want 403", got)
	}
	if got := y.get("POST", pause, "Sec-Fetch-Site", "same-origin").Code; got != 204 {
		t.Errorf("a press on our own page: got %d, want 204", got)
	}
	if o := y.sample(time.Second); !o.Queues[0].Paused {
		t.Error("the queue is not paused")
	}
	if got := y.get("POST", "/").Code; got != 405 {
		t.Errorf("our own routes: got %d, want 405", got)
	}
}

// stream opens /api/live and returns its events as "name data".
func stream(t *testing.T, ctx context.Context, url string) (events func() string, code int, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 4<<20)
	return func() string {
		name := ""
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = rest
			}
			if rest, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return name + " " + rest
			}
		}
		return "end"
	}, answer.StatusCode, answer.Header
}

func TestLive_HistoryThenSamples(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.node("<script>alert(1)</script>")
	y.sample(0)
	server := httptest.NewServer(y.monitor.Handler())
	defer server.Close()
	events, _, _ := stream(t, t.Context(), server.URL)
	if got := events(); !strings.HasPrefix(got, `history {"sample_seconds":2,"step_seconds":10,"slots":360,`) {
		t.Errorf("got %.80s, want the history", got)
	}
	got := events()
	if !strings.HasPrefix(got, `sample {"at":`) {
		t.Errorf("got %.80s, want a sample", got)
	}
	if strings.Contains(got, "<script>") {
		t.Error("a name is written as markup")
	}
	y.node("second")
	y.sample(2 * time.Second)
	if got := events(); !strings.Contains(got, `"id":"second"`) {
		t.Errorf("got %.80s, want the next sample", got)
	}
	y.monitor.Close()
	if got := events(); got != "end" {
		t.Errorf("after Close: got %.80s, want the end", got)
	}
	if _, code, _ := stream(t, t.Context(), server.URL); code != 503 {
		t.Errorf("after Close: got %d, want 503", code)
	}
}

func TestLive_ClientsAreBounded(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	server := httptest.NewServer(y.monitor.Handler())
	defer server.Close()
	defer y.monitor.Close()
	ctx, cancel := context.WithCancel(t.Context())
	for range maxClients {
		if _, code, _ := stream(t, ctx, server.URL); code != 200 {
			t.Fatalf("got %d, want 200", code)
		}
	}
	_, code, header := stream(t, t.Context(), server.URL)
	if code != 503 || header.Get("Retry-After") == "" {
		t.Errorf("one too many: got %d, Retry-After %q, want 503 and a time", code, header.Get("Retry-After"))
	}
	cancel()
	for deadline := time.Now().Add(10 * time.Second); y.monitor.live.count() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d clients are still counted after they left", y.monitor.live.count())
		}
	}
}

func TestLive_SlowClientsAreDropped(t *testing.T) {
	t.Parallel()
	l := newLive()
	slow, err := l.join()
	if err != nil {
		t.Fatal(err)
	}
	for range clientBacklog {
		l.publish(&Overview{})
	}
	if l.count() != 1 {
		t.Fatal("dropped while it could still keep up")
	}
	l.publish(&Overview{})
	if l.count() != 0 {
		t.Error("a client that does not keep up is kept")
	}
	for range slow { // what it has is still delivered, then comes the end
	}
	l.leave(slow) // its handler leaves later: nothing happens
}

func TestStatus(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enqueue("search", 500)
	y.node("n1", func(n *broker.Node) { n.StartedAt, n.SeenAt = time.Now().Add(-time.Hour), time.Now() })
	y.node("evil\x1b[2J", func(n *broker.Node) { n.SeenAt = time.Now().Add(-time.Minute) })
	var out strings.Builder
	level, err := Status(t.Context(), DefaultConfig(), y.broker, &out, StatusFormat{})
	if err != nil || level != Bad {
		t.Fatalf("got %v, %v, want bad", level, err)
	}
	for _, want := range []string{
		"Queue search is full, and one more thing needs attention.", "bad  queue search is full: 500 of 500 tasks wait",
		"search                   500    500  ██████████", "search:bulk", "n1", "100 MiB", "512 MiB", "silent 60 s", "evil\uFFFD[2J",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("an escape sequence is written without color")
	}
	out.Reset()
	if _, err := Status(t.Context(), DefaultConfig(), y.broker, &out, StatusFormat{Color: true}); err != nil || !strings.Contains(out.String(), "\x1b[31m") {
		t.Errorf("got %v and no red", err)
	}
	out.Reset()
	var o Overview
	if _, err := Status(t.Context(), DefaultConfig(), y.broker, &out, StatusFormat{JSON: true}); err != nil || !json.Valid([]byte(out.String())) {
		t.Errorf("got %v, %+v, want JSON", err, o)
	}
}

func TestStatus_TellsWhenNobodyWorks(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enqueue("search", 1)
	var out strings.Builder
	level, err := Status(t.Context(), DefaultConfig(), y.broker, &out, StatusFormat{})
	if err != nil || level != Bad || !strings.Contains(out.String(), "No worker is up: 1 task waits; start one with: worker") {
		t.Errorf("got %v, %v:\n%s", level, err, out.String())
	}
}

func TestStatus_RedisAway(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	b := r.open(t)
	r.stop()
	level, err := Status(t.Context(), DefaultConfig(), b, io.Discard, StatusFormat{})
	if err == nil || level != Bad || !strings.Contains(fmt.Sprint(err), "start Redis there") {
		t.Errorf("got %v, %v, want an error with a hint", level, err)
	}
}
