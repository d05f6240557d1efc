package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/webhooks"
	"github.com/jobyard/jobyard/internal/worker"
	"github.com/jobyard/jobyard/tasks"
)

// door is an API on a Redis of its own.
type door struct {
	*httptest.Server
	broker  *broker.Broker
	client  *client.Client
	keys    *Keys
	server  *server
	stop    chan struct{}
	started chan struct{}
}

func open(t testing.TB, limits client.Config, change ...func(*Config)) *door {
	t.Helper()
	b := brokertest.Start(t)
	c, err := client.New(b, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	d := &door{broker: b, client: c, stop: make(chan struct{}), started: make(chan struct{}, 100)}
	if d.keys, err = OpenKeys(t.Context(), b, c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.keys.Run(ctx) }() //nolint:errcheck // Redis may be closed by then
	t.Cleanup(func() { cancel(); <-ended })
	registry := prometheus.NewRegistry()
	cfg := DefaultConfig()
	for _, c := range change {
		c(&cfg)
	}
	server, h, err := build(cfg, Deps{
		Client: c, Keys: d.keys, Webhooks: webhooks.New(b), Ready: b.Ping, Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), Registry: registry,
		Log: zerolog.Nop(), Stopping: d.stop, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	d.server, d.Server = server, httptest.NewServer(h)
	t.Cleanup(d.Close)
	return d
}

// serve runs a worker: search echoes, fails on "fail", and hangs on "hang".
func (d *door) serve(t testing.TB) {
	t.Helper()
	jobs := worker.Jobs{}
	worker.Register(jobs, tasks.Search, func(ctx context.Context, p tasks.SearchPayload) (tasks.SearchResult, error) {
		d.started <- struct{}{}
		switch p.Query {
		case "fail":
			return tasks.SearchResult{}, fault.PermanentError(tasks.ReasonNotFound, "nothing there")
		case "hang":
			<-ctx.Done()
			return tasks.SearchResult{}, context.Cause(ctx)
		}
		return tasks.SearchResult{DidYouMean: p.Query}, nil
	})
	cfg := worker.DefaultConfig()
	cfg.Slots, cfg.DrainTimeout = map[string]int{"search": 2}, 0
	w, err := worker.New(cfg, brokertest.Open(t, "unix://"+d.broker.Options().Addrs[0]), &worker.Registry{Jobs: jobs}, zerolog.Nop(), prometheus.NewRegistry())
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

// reply is what a request gave.
type reply struct {
	status int
	header http.Header
	body   string
}

func (d *door) ask(t testing.TB, method, path, body string, headers ...string) reply {
	t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, d.URL+path, in)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header, string(raw)}
}

func (r reply) task(t testing.TB, status int, state tasks.State) tasks.Task {
	t.Helper()
	var task tasks.Task
	if err := json.Unmarshal([]byte(r.body), &task); err != nil || r.status != status || task.State != state || task.ID == "" {
		t.Fatalf("got %d %s, %v; want %d and a task that is %s", r.status, r.body, err, status, state)
	}
	return task
}

func (r reply) problem(t testing.TB, status int, location, text string) {
	t.Helper()
	var p huma.ErrorModel
	if err := json.Unmarshal([]byte(r.body), &p); err != nil || r.status != status || p.Status != status || p.Title == "" {
		t.Fatalf("got %d %s, %v; want a problem of %d", r.status, r.body, err, status)
	}
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("got type %s", got)
	}
	if !strings.Contains(r.body, text) {
		t.Errorf("got %s, want %q", r.body, text)
	}
	if location != "" && (len(p.Errors) == 0 || p.Errors[0].Location != location || p.Errors[0].Message == "") {
		t.Errorf("got %s, want the location %q", r.body, location)
	}
}

func query(text string) string { return fmt.Sprintf(`{"kind":"search","payload":{"query":%q}}`, text) }

func TestPost(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	r := d.ask(t, "POST", "/v1/tasks", query("x"))
	task := r.task(t, 202, tasks.Pending)
	if got := r.header.Get("Location"); got != "/v1/tasks/"+task.ID || r.header.Get("Retry-After") == "" {
		t.Errorf("got Location %q", got)
	}
	d.ask(t, "GET", "/v1/tasks/"+task.ID, "").task(t, 200, tasks.Pending)
	d.ask(t, "GET", "/v1/tasks/"+task.ID+"?wait=10ms", "").task(t, 200, tasks.Pending)
	d.ask(t, "GET", "/v1/tasks/"+task.ID+"/result", "").task(t, 202, tasks.Pending)
	d.ask(t, "POST", "/v1/tasks?wait=20ms", query("y")).task(t, 202, tasks.Pending)
	d.serve(t)
	d.ask(t, "GET", "/v1/tasks/"+task.ID+"?wait=10s", "").task(t, 200, tasks.Completed)
	got := d.ask(t, "POST", "/v1/tasks?wait=10s", query("<z>"))
	done := got.task(t, 200, tasks.Completed)
	if got.header.Get("Content-Type") != "application/json" || strings.Contains(got.body, "$schema") {
		t.Errorf("got %s, want the task's JSON and nothing else", got.body)
	}
	result := d.ask(t, "GET", "/v1/tasks/"+done.ID+"/result", "")
	if result.status != 200 || result.body != string(done.Result) || result.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %+v, want %s", result, done.Result)
	}
}

func TestPost_FailedTask(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.serve(t)
	task := d.ask(t, "POST", "/v1/tasks?wait=10s", query("fail")).task(t, 200, tasks.Archived)
	if task.Error == nil || task.Error.Reason != tasks.ReasonNotFound {
		t.Errorf("got %+v", task.Error)
	}
	d.ask(t, "GET", "/v1/tasks/"+task.ID, "").task(t, 200, tasks.Archived)
	d.ask(t, "GET", "/v1/tasks/"+task.ID+"/result", "").problem(t, 409, "", "not_found: nothing there")
	d.ask(t, "DELETE", "/v1/tasks/"+task.ID, "").problem(t, 409, "", "it is archived")
}

func TestPost_Idempotency(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	first := d.ask(t, "POST", "/v1/tasks", query("x"), "Idempotency-Key", "key-1").task(t, 202, tasks.Pending)
	again := d.ask(t, "POST", "/v1/tasks", query("x"), "Idempotency-Key", `"key-1"`).task(t, 202, tasks.Pending)
	if first.ID != "key-1" || again.ID != first.ID || again.EnqueuedAt.Sub(first.EnqueuedAt).Abs() > time.Second {
		t.Errorf("got %+v, then %+v", first, again)
	}
	d.ask(t, "POST", "/v1/tasks", query("other"), "Idempotency-Key", "key-1").problem(t, 422, "options.id", "another payload")
	both := `{"kind":"search","payload":{"query":"x"},"options":{"id":"a"}}`
	d.ask(t, "POST", "/v1/tasks", both, "Idempotency-Key", "b").problem(t, 422, "Idempotency-Key", "same as options.id")
	d.ask(t, "POST", "/v1/tasks", both, "Idempotency-Key", "a").task(t, 202, tasks.Pending)
	d.ask(t, "POST", "/v1/tasks", query("x"), "Idempotency-Key", "not valid").problem(t, 422, "Idempotency-Key", "letters")
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	large := `{"kind":"document_parse","payload":{"source":{"text":"` + strings.Repeat("x", MaxBody) + `"}}}`
	for name, tt := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		location, text     string
	}{
		"unknown kind":      {"POST", "/v1/tasks", `{"kind":"serch","payload":{}}`, nil, 422, "kind", "must be one of"},
		"no kind":           {"POST", "/v1/tasks", `{}`, nil, 422, "kind", ""},
		"malformed JSON":    {"POST", "/v1/tasks", `{"kind":`, nil, 422, "body", "not valid JSON"},
		"two values":        {"POST", "/v1/tasks", query("x") + query("y"), nil, 422, "body", "one JSON value"},
		"wrong type":        {"POST", "/v1/tasks", `{"kind":"search","payload":{"query":1}}`, nil, 422, "payload.query", "must be a string"},
		"nested field":      {"POST", "/v1/tasks", `{"kind":"document_parse","payload":{"source":{"url":"ftp://x"}}}`, nil, 422, "payload.source.url", "http"},
		"list field":        {"POST", "/v1/tasks", `{"kind":"sdk_fetch","payload":{"ecosystem":"go","name":"x","include":["api","all"]}}`, nil, 422, "payload.include[1]", ""},
		"unknown field":     {"POST", "/v1/tasks", `{"kind":"search","payload":{"query":"x"},"hue":1}`, nil, 422, "hue", "not a field"},
		"negative timeout":  {"POST", "/v1/tasks", `{"kind":"search","payload":{"query":"x"},"options":{"timeout":"-1s"}}`, nil, 422, "options.timeout", "from 1ms"},
		"unit missing":      {"POST", "/v1/tasks", `{"kind":"search","payload":{"query":"x"},"options":{"timeout":5}}`, nil, 422, "options.timeout", "with a unit"},
		"bad wait":          {"POST", "/v1/tasks?wait=soon", query("x"), nil, 422, "wait", "from 0s to 1m0s"},
		"long wait":         {"POST", "/v1/tasks?wait=61s", query("x"), nil, 422, "wait", ""},
		"negative wait":     {"GET", "/v1/tasks/x?wait=-1s", "", nil, 422, "wait", ""},
		"no body":           {"POST", "/v1/tasks", "", []string{"Content-Type", "application/json"}, 422, "body", "got nothing"},
		"form":              {"POST", "/v1/tasks", query("x"), []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "", "application/json"},
		"no type":           {"POST", "/v1/tasks", "", nil, 415, "", ""},
		"compressed":        {"POST", "/v1/tasks", query("x"), []string{"Content-Encoding", "gzip"}, 415, "", "not compressed"},
		"too large":         {"POST", "/v1/tasks", large, nil, 413, "", "over 16 MiB"},
		"unknown task":      {"GET", "/v1/tasks/nope", "", nil, 404, "", "no task has this id"},
		"odd id":            {"GET", "/v1/tasks/%00", "", nil, 404, "", ""},
		"unknown result":    {"GET", "/v1/tasks/nope/result?wait=1s", "", nil, 404, "", ""},
		"unknown to cancel": {"DELETE", "/v1/tasks/nope", "", nil, 404, "", ""},
		"no route":          {"GET", "/v2/tasks", "", nil, 404, "", "/docs"},
		"method":            {"PUT", "/v1/tasks", query("x"), nil, 405, "", "PUT"},
		"rebound name":      {"GET", "/v1/queues", "", []string{"Host", "evil.example"}, 403, "", "localhost"},
		"foreign page":      {"POST", "/v1/tasks", query("x"), []string{"Origin", "https://evil.example"}, 403, "", "another origin"},
		"foreign reading":   {"GET", "/v1/queues", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "", "another origin"},
		"foreign stream":    {"GET", "/v1/tasks/x/events", "", []string{"Sec-Fetch-Site", "same-site"}, 403, "", "another origin"},
		"foreign wait":      {"GET", "/v1/tasks/x?wait=30s", "", []string{"Origin", "https://evil.example"}, 403, "", "another origin"},
		"foreign deletion":  {"DELETE", "/v1/tasks/x", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "", "another origin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.ask(t, tt.method, tt.path, tt.body, tt.headers...).problem(t, tt.status, tt.location, tt.text)
		})
	}
	if got := d.ask(t, "PUT", "/v1/tasks", query("x")).header.Get("Allow"); got != "POST" {
		t.Errorf("got Allow %q, want POST", got)
	}
	if got := d.ask(t, "POST", "/v1/tasks", query("x"), "Origin", d.URL).status; got != 202 {
		t.Errorf("a page of ours: got %d, want 202", got)
	}
}

func TestFullQueue(t *testing.T) {
	t.Parallel()
	d := open(t, client.Config{QueueLimit: 1, BulkLimit: 1})
	d.ask(t, "POST", "/v1/tasks", query("x")).task(t, 202, tasks.Pending)
	r := d.ask(t, "POST", "/v1/tasks", query("y"))
	r.problem(t, 429, "", "1 of 1 tasks wait")
	if r.header.Get("Retry-After") != "5" {
		t.Errorf("got Retry-After %q", r.header.Get("Retry-After"))
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	waiting := d.ask(t, "POST", "/v1/tasks", query("x")).task(t, 202, tasks.Pending)
	d.ask(t, "DELETE", "/v1/tasks/"+waiting.ID, "").task(t, 200, tasks.Canceled)
	d.ask(t, "DELETE", "/v1/tasks/"+waiting.ID, "").task(t, 200, tasks.Canceled)
	d.ask(t, "GET", "/v1/tasks/"+waiting.ID+"/result", "").problem(t, 409, "", "canceled")
	d.serve(t)
	running := d.ask(t, "POST", "/v1/tasks", query("hang")).task(t, 202, tasks.Pending)
	<-d.started
	if r := d.ask(t, "DELETE", "/v1/tasks/"+running.ID, ""); r.status != 202 && r.status != 200 {
		t.Errorf("got %d %s", r.status, r.body)
	}
	d.ask(t, "GET", "/v1/tasks/"+running.ID+"?wait=10s", "").task(t, 200, tasks.Canceled)
}

func TestStopping_EndsWaits(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.serve(t)
	answers := make(chan reply, 1)
	go func() { answers <- d.ask(t, "POST", "/v1/tasks?wait=60s", query("hang")) }()
	<-d.started
	close(d.stop)
	(<-answers).task(t, 202, tasks.Active)
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	if r := d.ask(t, "GET", "/readyz", ""); r.status != 200 {
		t.Errorf("ready: got %d %s", r.status, r.body)
	}
	d.broker.Close()
	for _, r := range []reply{
		d.ask(t, "POST", "/v1/tasks", query("x")), d.ask(t, "GET", "/v1/tasks/x", ""), d.ask(t, "GET", "/v1/tasks/x?wait=1s", ""),
		d.ask(t, "DELETE", "/v1/tasks/x", ""), d.ask(t, "GET", "/v1/queues", ""), d.ask(t, "GET", "/readyz", ""),
	} {
		r.problem(t, 503, "", "cannot be reached")
		if strings.Contains(r.body, "redis.sock") || r.header.Get("Retry-After") == "" {
			t.Errorf("got %s, want no word of where Redis is", r.body)
		}
	}
	if r := d.ask(t, "GET", "/healthz", ""); r.status != 200 {
		t.Errorf("alive: got %d %s", r.status, r.body)
	}
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	if err := (Config{Listen: ":1"}).Validate(); err == nil || !strings.Contains(err.Error(), "max waits") {
		t.Errorf("got %v", err)
	}
	for _, listen := range []string{"0.0.0.0:8080", ":8080", "jobs.example:80", "[::]:1"} {
		_, err := New(Config{Listen: listen, MaxWaits: 1, BodyTimeout: 1}, Deps{Metrics: http.NotFoundHandler(), Stopping: t.Context().Done()})
		if remote, ok := errors.AsType[*RemoteError](err); !ok || !strings.Contains(remote.Error(), "JOBYARD_ALLOW_REMOTE") {
			t.Errorf("%s: got %v", listen, err)
		}
	}
}

func TestProblem_ShowsNoCause(t *testing.T) {
	t.Parallel()
	s := &server{Deps: Deps{Log: zerolog.Nop()}}
	for err, want := range map[error]int{
		errors.New("secret detail"): 500, client.ErrTooManyWaits: 503, context.Canceled: 503, client.ErrNotFound: 404,
	} {
		var status huma.StatusError
		if got := s.problem(err); !errors.As(got, &status) || status.GetStatus() != want || strings.Contains(got.Error(), "secret") {
			t.Errorf("%v: got %v, want %d", err, got, want)
		}
	}
}

// request is one for a handler that no network stands before.
func request(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1"
	return r
}

func FuzzPost(f *testing.F) {
	d := open(f, client.Config{QueueLimit: 1e6, BulkLimit: 1e6})
	f.Add(query("x"), "application/json", "key", "")
	f.Add(`{"kind":"search","payload":{"query":"x"},"options":{"at":"x","max_retry":-1}}`, "application/json; charset=utf-8", "", "1ms")
	f.Add(`[[[[`, "application/json", "", "-1s")
	f.Fuzz(func(t *testing.T, text, contentType, key, wait string) {
		r := request("POST", "/v1/tasks", text)
		if d, err := time.ParseDuration(wait); err == nil && d > time.Millisecond {
			wait = "1ms"
		}
		q := r.URL.Query()
		q.Set("wait", wait)
		r.URL.RawQuery = q.Encode()
		r.Header["Content-Type"], r.Header["Idempotency-Key"] = []string{contentType}, []string{key}
		w := httptest.NewRecorder()
		d.Config.Handler.ServeHTTP(w, r)
		switch w.Code {
		case 200, 202, 415, 422:
		default:
			t.Errorf("got %d %s", w.Code, w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("got %s", w.Body)
		}
	})
}

// BenchmarkPost hands tasks over by HTTP.
func BenchmarkPost(b *testing.B) {
	d := open(b, client.Config{QueueLimit: 1e6, BulkLimit: 1e6})
	for b.Loop() {
		r := request("POST", "/v1/tasks", query("x"))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if d.Config.Handler.ServeHTTP(w, r); w.Code != 202 {
			b.Fatal(w.Code, w.Body)
		}
	}
}
