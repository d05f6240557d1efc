package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/internal/worker"
	"github.com/jobyard/jobyard/tasks"
)

// work runs a worker whose searches do that, until stop is called.
func (d *door) work(t testing.TB, do func(ctx context.Context, query string) (string, error)) (stop func()) {
	t.Helper()
	jobs := worker.Jobs{}
	worker.Register(jobs, tasks.Search, func(ctx context.Context, p tasks.SearchPayload) (tasks.SearchResult, error) {
		answer, err := do(ctx, p.Query)
		return tasks.SearchResult{DidYouMean: answer}, err
	})
	cfg := worker.DefaultConfig()
	cfg.Slots, cfg.DrainTimeout = map[string]int{"search": 2}, 0
	w, err := worker.New(cfg, d.broker, &worker.Registry{Jobs: jobs}, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return stop
}

// steps runs a worker whose searches report what they are told, until "end".
func (d *door) steps(t testing.TB) chan<- string {
	steps := make(chan string, 10)
	d.work(t, func(ctx context.Context, _ string) (string, error) {
		for n := int64(1); ; n++ {
			select {
			case <-ctx.Done():
				return "", context.Cause(ctx)
			case step := <-steps:
				if step == "end" {
					return "done", nil
				}
				progress.Report(ctx, tasks.Progress{Done: n, Total: 10, Message: step})
			}
		}
	})
	return steps
}

// event is one as a browser sees it.
type event struct {
	id, name, data string
	task           tasks.Task
}

// stream is a client's stream.
type stream struct {
	t     testing.TB
	lines *bufio.Scanner
	close func()
}

func (d *door) stream(t testing.TB, id, last string) stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL+"/v1/tasks/"+id+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := http.DefaultClient.Do(r) //nolint:bodyclose // the stream is closed with the test
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %v", answer.StatusCode, answer.Header)
	}
	s := stream{t, bufio.NewScanner(answer.Body), func() { answer.Body.Close() }}
	t.Cleanup(s.close)
	if !s.lines.Scan() || !strings.HasPrefix(s.lines.Text(), "retry: ") {
		t.Fatalf("got %q, want a hint when to come again", s.lines.Text())
	}
	return s
}

// next is the next event; without an id at the stream's end.
func (s stream) next() (e event) {
	s.t.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
			if err := json.Unmarshal([]byte(value), &e.task); err != nil {
				s.t.Fatal(err)
			}
		case "":
			if e.id != "" {
				return e
			}
		}
	}
	return e
}

// until reads events up to the one in which the task says that of its progress.
func (s stream) until(message string) event {
	s.t.Helper()
	for {
		e := s.next()
		if e.id == "" {
			s.t.Fatalf("the stream ended before %q", message)
		}
		if e.task.Progress != nil && e.task.Progress.Message == message {
			return e
		}
	}
}

func (d *door) post(t testing.TB, id string) {
	t.Helper()
	d.ask(t, "POST", "/v1/tasks", query("x"), "Idempotency-Key", id).task(t, 202, tasks.Pending)
}

func TestEvents_FromPendingToTheEnd(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.post(t, "id")
	s := d.stream(t, "id", "")
	if e := s.next(); e.name != "state" || e.task.State != tasks.Pending || e.task.ID != "id" {
		t.Errorf("got %+v, want the task as it is", e)
	}
	steps := d.steps(t)
	steps <- "one"
	if e := s.until("one"); e.task.State != tasks.Active || e.task.Progress.Fraction != 0.1 {
		t.Errorf("got %+v", e)
	}
	steps <- "two"
	if e := s.until("two"); e.name != "progress" {
		t.Errorf("got event %q, want progress", e.name)
	}
	steps <- "end"
	e := s.next()
	if e.name != "state" || e.task.State != tasks.Completed || strings.Contains(e.data, "result") {
		t.Errorf("got %+v, want the end without its result", e)
	}
	if more := s.next(); more.id != "" {
		t.Errorf("got %+v after the end", more)
	}
	// A browser that comes again is told not to.
	if r := d.ask(t, "GET", "/v1/tasks/id/events", "", "Last-Event-ID", e.id); r.status != 204 || r.body != "" {
		t.Errorf("got %d %q, want 204", r.status, r.body)
	}
	if late := d.stream(t, "id", "").next(); late.task.State != tasks.Completed {
		t.Errorf("later: got %+v", late)
	}
	d.ask(t, "GET", "/v1/tasks/nobody/events", "").problem(t, 404, "", "no task has this id")
}

func TestEvents_GoOnAfterACut(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	steps := d.steps(t)
	d.post(t, "id")
	s := d.stream(t, "id", "")
	steps <- "one"
	last := s.until("one")
	s.close()
	steps <- "two" // while nobody listens
	again := d.stream(t, "id", last.id)
	if e := again.until("two"); e.id == last.id {
		t.Errorf("got %+v again", e)
	}
	// Nothing has changed since: the next event is the end.
	seen := again
	seen.close()
	last = d.stream(t, "id", "").next()
	third := d.stream(t, "id", last.id)
	steps <- "end"
	if e := third.next(); e.task.State != tasks.Completed {
		t.Errorf("got %+v, want no event twice", e)
	}
}

func TestEvents_EndWithTheServer(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.post(t, "id")
	s := d.stream(t, "id", "")
	s.next()
	close(d.stop)
	if e := s.next(); e.id != "" || s.lines.Err() != nil {
		t.Errorf("got %+v, %v, want an orderly end", e, s.lines.Err())
	}
}

func TestEvents_Bounded(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.post(t, "id")
	for range maxStreams {
		d.stream(t, "id", "")
	}
	r := d.ask(t, "GET", "/v1/tasks/id/events", "")
	r.problem(t, 503, "", "too many streams")
	if r.header.Get("Retry-After") == "" {
		t.Error("it does not say when to come again")
	}
}

// A stream has a limit, so that a key that was revoked does not watch on.
func TestEvents_EndAfterTheirLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, start := &strict{ResponseRecorder: httptest.NewRecorder()}, time.Now()
		e := &eventStream{w: w, control: http.NewResponseController(w)}
		e.run(t.Context(), nil, func(ctx context.Context, _ chan<- tasks.Task) { <-ctx.Done() })
		if took := time.Since(start); took != streamLimit || !strings.Contains(w.Body.String(), ":\n\n") {
			t.Errorf("ended after %s with %q, want %s of heartbeats", took, w.Body, streamLimit)
		}
		if w.ended {
			t.Error("its deadline passed while nothing was written")
		}
	})
}

// strict takes deadlines as HTTP/2 does: one that passes ends the stream, also
// if nothing is written.
type strict struct {
	*httptest.ResponseRecorder
	timer *time.Timer
	ended bool
}

func (w *strict) SetWriteDeadline(until time.Time) error {
	if w.timer != nil {
		w.timer.Stop()
	}
	if !until.IsZero() {
		w.timer = time.AfterFunc(time.Until(until), func() { w.ended = true })
	}
	return nil
}
