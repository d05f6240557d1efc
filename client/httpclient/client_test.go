package httpclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/client/httpclient"
	"github.com/jobyard/jobyard/internal/api"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/worker"
	"github.com/jobyard/jobyard/tasks"
)

// yard serves the API, behind what change makes of it.
func yard(t *testing.T, change func(http.Handler) http.Handler) (*httpclient.Client, *broker.Broker, chan struct{}) {
	t.Helper()
	b := brokertest.Start(t)
	c, err := client.New(b, client.Config{QueueLimit: 5, BulkLimit: 500})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	stop := make(chan struct{})
	h, err := api.New(api.DefaultConfig(), api.Deps{
		Client: c, Ready: b.Ping, Metrics: http.NotFoundHandler(), Registry: prometheus.NewRegistry(), Log: zerolog.Nop(), Stopping: stop, Version: "0",
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(change(h))
	t.Cleanup(server.Close)
	y, err := httpclient.New(httpclient.Config{URL: server.URL, Patience: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return y, b, stop
}

func plain(h http.Handler) http.Handler { return h }

func work(t *testing.T, b *broker.Broker) {
	t.Helper()
	jobs := worker.Jobs{}
	worker.Register(jobs, tasks.Search, func(_ context.Context, p tasks.SearchPayload) (tasks.SearchResult, error) {
		if p.Query == "fail" {
			return tasks.SearchResult{}, fault.PermanentError(tasks.ReasonNotFound, "nothing there")
		}
		return tasks.SearchResult{DidYouMean: p.Query}, nil
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

func search(query string) tasks.SearchPayload { return tasks.SearchPayload{Query: query} }

func TestClient_Tasks(t *testing.T) {
	t.Parallel()
	y, b, _ := yard(t, plain)
	task, err := httpclient.Enqueue(t.Context(), y, tasks.Search, search("a"), tasks.WithID("a"))
	if err != nil || task.ID != "a" || task.State != tasks.Pending {
		t.Fatal(task, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, err := y.Wait(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) || got.State != tasks.Pending && got.State != "" {
		t.Errorf("got %+v, %v, want the deadline", got, err)
	}
	if got, err := y.Cancel(t.Context(), "a"); err != nil || got.State != tasks.Canceled {
		t.Errorf("got %+v, %v", got, err)
	}
	work(t, b)
	if r, err := httpclient.Do(t.Context(), y, tasks.Search, search("b"), tasks.WithID("b")); err != nil || r.DidYouMean != "b" {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := y.Cancel(t.Context(), "b"); !errors.Is(err, httpclient.ErrFinal) {
		t.Errorf("got %v, want ErrFinal", err)
	}
	if _, err := y.Status(t.Context(), "../b"); !errors.Is(err, httpclient.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	_, err = httpclient.Do(t.Context(), y, tasks.Search, search("fail"))
	if failed, ok := errors.AsType[*tasks.Error](err); !ok || failed.Reason != tasks.ReasonNotFound {
		t.Errorf("got %v, want a task's error", err)
	}
	_, err = y.Enqueue(t.Context(), tasks.Request{Kind: "search", Payload: []byte(`{"query":""}`)})
	if in, ok := errors.AsType[*tasks.InvalidError](err); !ok || in.Fields[0].Path != "payload.query" {
		t.Errorf("got %v, want the field", err)
	}
}

func TestClient_Batches(t *testing.T) {
	t.Parallel()
	y, b, _ := yard(t, plain)
	var batch tasks.Batch
	for i := range 40 {
		r, err := tasks.Search.New(search(fmt.Sprint("q", i)))
		if err != nil {
			t.Fatal(err)
		}
		batch.Requests = append(batch.Requests, r)
	}
	info, err := y.EnqueueBatch(t.Context(), batch)
	if err != nil || info.Total != 40 {
		t.Fatal(info, err)
	}
	work(t, b)
	n := 0
	for task, err := range y.BatchResults(t.Context(), info.ID) {
		r, resultErr := tasks.Search.Result(task)
		if err != nil || resultErr != nil || r.DidYouMean != fmt.Sprint("q", n) {
			t.Errorf("task %d: got %+v, %v", n, task, errors.Join(err, resultErr))
		}
		n++
	}
	if n != 40 {
		t.Errorf("got %d tasks", n)
	}
	if info, err = y.WaitBatch(t.Context(), info.ID); err != nil || !info.Finished() {
		t.Errorf("got %+v, %v", info, err)
	}
	if err := y.CancelBatch(t.Context(), info.ID); !errors.Is(err, httpclient.ErrFinal) {
		t.Errorf("got %v", err)
	}
	for _, err := range y.BatchResults(t.Context(), "nobody") {
		if !errors.Is(err, httpclient.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
}

// TestClient_RepeatsWithoutMakingTwo: the answer of a hand-over is lost, and the
// yard is away for a moment.
func TestClient_RepeatsWithoutMakingTwo(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	y, b, _ := yard(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch n.Add(1) {
			case 1: // done, but nobody learns of it
				h.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			case 2:
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusServiceUnavailable)
			default:
				h.ServeHTTP(w, r)
			}
		})
	})
	task, err := httpclient.Enqueue(t.Context(), y, tasks.Search, search("x"))
	if err != nil || n.Load() != 3 {
		t.Fatalf("got %+v, %v after %d requests", task, err, n.Load())
	}
	if waiting, err := b.Client().LLen(t.Context(), broker.QueueKey("search", "pending")).Result(); err != nil || waiting != 1 {
		t.Errorf("got %d tasks, %v, want one", waiting, err)
	}
}

func TestClient_Full(t *testing.T) {
	t.Parallel()
	y, _, _ := yard(t, plain)
	for i := range 5 {
		if _, err := httpclient.Enqueue(t.Context(), y, tasks.Search, search(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := httpclient.Enqueue(ctx, y, tasks.Search, search("x"))
	if p, ok := errors.AsType[*httpclient.ProblemError](err); !ok || p.Status != 429 || p.RetryAfter < time.Second || !strings.Contains(p.Error(), "is full") {
		t.Errorf("got %v", err)
	}
}

func TestNew_RefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "localhost:8080", "ftp://x", "http://"} {
		if _, err := httpclient.New(httpclient.Config{URL: text}); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
