package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/internal/webhooks"
	"github.com/jobyard/jobyard/internal/worker"
	"github.com/jobyard/jobyard/tasks"
)

const tides = `{"kind":"document_parse","payload":{"source":{"text":"tides"}},"options":{"webhook":"shop"}}`

// parseOnce has a worker make the result of tides and ends it, so that from then
// on only the cache can answer.
func (d *door) parseOnce(t *testing.T) {
	t.Helper()
	jobs := worker.Jobs{}
	worker.Register(jobs, tasks.DocumentParse, func(context.Context, tasks.DocumentParsePayload) (tasks.DocumentParseResult, error) {
		return tasks.DocumentParseResult{Title: "Tides"}, nil
	})
	kept, err := cache.New(cache.DefaultConfig(), d.broker, zerolog.Nop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := worker.DefaultConfig()
	cfg.Slots, cfg.DrainTimeout = map[string]int{"document_parse": 1}, 0
	w, err := worker.New(cfg, d.broker, &worker.Registry{Jobs: jobs, Cache: kept}, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() {
		cancel()
		if err := errors.Join(<-done, kept.Close()); err != nil {
			t.Error(err)
		}
	}()
	first := d.ask(t, "POST", "/v1/tasks?wait=30s", tides).task(t, 200, tasks.Completed)
	if first.Cached != "" || first.Attempts != 1 {
		t.Fatalf("got %+v, want it run", first)
	}
	brokertest.Until(t, "the result is in Redis", func() bool {
		keys, err := d.broker.Client().Keys(t.Context(), "jobyard:cache:{*}:v:*").Result()
		return err == nil && len(keys) == 1
	})
}

// deliver makes the calls of webhooks, as a producer does, and returns them.
func (d *door) deliver(t *testing.T) <-chan webhooks.Event {
	t.Helper()
	calls := make(chan webhooks.Event, 10)
	endpoint := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e webhooks.Event
		body, err := io.ReadAll(r.Body)
		if err = errors.Join(err, json.Unmarshal(body, &e)); err != nil || r.Header.Get("Webhook-Signature") == "" {
			t.Errorf("got the call %s, %v", body, err)
		}
		calls <- e
	}))
	t.Cleanup(endpoint.Close)
	store := webhooks.New(d.broker)
	if _, err := store.Put(t.Context(), webhooks.Endpoint{Name: "shop", URL: endpoint.URL}, true); err != nil {
		t.Fatal(err)
	}
	deliverer := store.NewDeliverer(WebhookConfig(d.client, webhooks.Master("0123456789abcdef0123456789abcdef"), true, zerolog.Nop(), prometheus.NewRegistry()))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- deliverer.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return calls
}

// called is the next call about a task that was completed, within patience.
func called(t *testing.T, calls <-chan webhooks.Event) tasks.Task {
	t.Helper()
	select {
	case e := <-calls:
		if e.Type != "task.completed" || e.Task == nil {
			t.Fatalf("got %+v, want that a task was completed", e)
		}
		return *e.Task
	case <-time.After(time.Minute):
		t.Fatal("nobody was called within a minute")
		return tasks.Task{}
	}
}

// A task that is complete as it is handed over is as any other to whoever is to
// be told: its webhook is called once, and its stream is its end.
func TestPost_AnsweredFromTheCache(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	calls := d.deliver(t)
	d.parseOnce(t)
	called(t, calls)
	for _, tier := range []string{cache.InRedis, cache.InMemory} {
		got := d.ask(t, "POST", "/v1/tasks", tides).task(t, 200, tasks.Completed)
		if got.Cached != tier || got.Attempts != 0 {
			t.Fatalf("got %+v, want it answered from %s", got, tier)
		}
		if told := called(t, calls); told.ID != got.ID || told.State != tasks.Completed || told.Cached != tier {
			t.Errorf("%s: the webhook tells of %+v", tier, told)
		}
		s := d.stream(t, got.ID, "")
		end := s.next()
		if end.name != "state" || end.task.ID != got.ID || end.task.State != tasks.Completed || end.task.Cached != tier {
			t.Errorf("%s: the stream begins with %+v", tier, end)
		}
		if more := s.next(); more.id != "" {
			t.Errorf("%s: got %+v after the end", tier, more)
		}
		if r := d.ask(t, "GET", "/v1/tasks/"+got.ID+"/events", "", "Last-Event-ID", end.id); r.status != 204 {
			t.Errorf("%s: got %d to who comes again, want 204", tier, r.status)
		}
	}
	select {
	case e := <-calls:
		t.Errorf("got one more call: %+v", e)
	default:
	}
}
