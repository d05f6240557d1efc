package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// yard is a worker and a client on a Redis of their own.
type yard struct {
	broker *broker.Broker
	client *client.Client
	worker *Worker
	stop   func()        // drains the worker and waits
	tries  *atomic.Int64 // of odd jobs, see oddYard
}

// searching makes jobs of one kind from a function of its query.
func searching(do func(ctx context.Context, query string) (string, error)) Jobs {
	jobs := Jobs{}
	Register(jobs, tasks.Search, func(ctx context.Context, p tasks.SearchPayload) (tasks.SearchResult, error) {
		answer, err := do(ctx, p.Query)
		return tasks.SearchResult{DidYouMean: answer}, err
	})
	return jobs
}

func start(t *testing.T, slots int, jobs Jobs, change ...func(*Config)) yard {
	t.Helper()
	return startOn(t, brokertest.Start(t), slots, jobs, change...)
}

func startOn(t *testing.T, b *broker.Broker, slots int, jobs Jobs, change ...func(*Config)) yard {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Slots = map[string]int{"search": slots}
	for _, c := range change {
		c(&cfg)
	}
	return startWith(t, b, cfg, &Registry{Jobs: jobs}, client.DefaultConfig())
}

// startWith runs a worker; prepare may change it before.
func startWith(t *testing.T, b *broker.Broker, cfg Config, registry *Registry, limits client.Config, prepare ...func(*Worker)) yard {
	t.Helper()
	w, err := New(cfg, b, registry, zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.ErrorLevel), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range prepare {
		p(w)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var stopped atomic.Bool
	stop := func() {
		cancel()
		if stopped.CompareAndSwap(false, true) {
			if err := <-done; err != nil {
				t.Errorf("worker: %v", err)
			}
		}
	}
	c, err := client.New(b, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); c.Close() })
	return yard{broker: b, client: c, worker: w, stop: stop}
}

func request(query string, opts ...tasks.Option) tasks.Request {
	r, err := tasks.Search.New(tasks.SearchPayload{Query: query}, opts...)
	if err != nil {
		panic(err)
	}
	return r
}

// patience is far more than anything here takes; it only ends a hung test.
func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestWorker_CompletesWithTheResult(t *testing.T) {
	t.Parallel()
	y := start(t, 2, searching(func(_ context.Context, q string) (string, error) { return "found " + q, nil }))
	got, err := client.Do(patience(t), y.client, tasks.Search, tasks.SearchPayload{Query: "camera"})
	if err != nil || got.DidYouMean != "found camera" {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestWorker_TaskShowsItsLife(t *testing.T) {
	t.Parallel()
	y := start(t, 1, searching(func(context.Context, string) (string, error) { return "", nil }))
	task, err := y.client.Do(patience(t), request("x", tasks.WithID("my-id")))
	if err != nil {
		t.Fatal(err)
	}
	if task.ID != "my-id" || task.Kind != "search" || task.Queue != "search" || task.State != tasks.Completed ||
		task.Attempts != 1 || task.Node != y.worker.ID() || task.Error != nil {
		t.Errorf("got %+v", task)
	}
	if task.StartedAt.Before(task.EnqueuedAt) || task.FinishedAt.Before(task.StartedAt) {
		t.Errorf("times out of order: %+v", task)
	}
}

func TestWorker_Verdicts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		do       func(context.Context, string) (string, error)
		timeout  time.Duration
		retries  int
		state    tasks.State
		reason   tasks.Reason
		attempts int
	}{
		{"it archives a permanent fault at once", func(context.Context, string) (string, error) {
			return "", fault.PermanentError(tasks.ReasonNotFound, "no such thing")
		}, time.Second, 3, tasks.Archived, tasks.ReasonNotFound, 1},
		{"it retries what is unknown", func(context.Context, string) (string, error) {
			return "", errors.New("odd")
		}, time.Second, 1, tasks.Archived, tasks.ReasonUnknown, 2},
		{"it catches a panic", func(context.Context, string) (string, error) {
			panic("boom")
		}, time.Second, 0, tasks.Archived, tasks.ReasonPanic, 1},
		{"it ends a job that heeds its context", func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}, 100 * time.Millisecond, 0, tasks.Archived, tasks.ReasonTimeout, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			y := start(t, 1, searching(tt.do))
			task, err := y.client.Do(patience(t), request("x", tasks.WithTimeout(tt.timeout), tasks.WithMaxRetry(tt.retries)))
			if err != nil {
				t.Fatal(err)
			}
			if task.State != tt.state || task.Error == nil || task.Error.Reason != tt.reason || task.Attempts != tt.attempts {
				t.Errorf("got state %s, error %v, %d attempts; want %s, %s, %d",
					task.State, task.Error, task.Attempts, tt.state, tt.reason, tt.attempts)
			}
			if tt.reason == tasks.ReasonTimeout && !strings.Contains(task.Error.Message, tt.timeout.String()) {
				t.Errorf("got %q, want it to say the limit", task.Error.Message)
			}
		})
	}
}

// asynq alone frees the slot of a job that ignores its context, and runs the
// next one beside it.
func TestWorker_StuckJobHoldsItsSlot(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	free := make(chan struct{})
	y := start(t, 1, searching(func(_ context.Context, q string) (string, error) {
		n := now.Add(1)
		defer now.Add(-1)
		most.Store(max(most.Load(), n))
		if q == "stuck" {
			<-free
		}
		return q, nil
	}))
	ctx := patience(t)
	stuck, err := y.client.Do(ctx, request("stuck", tasks.WithTimeout(50*time.Millisecond), tasks.WithMaxRetry(0)))
	if err != nil || stuck.Error == nil || stuck.Error.Reason != tasks.ReasonTimeout {
		t.Fatalf("got %+v, %v, want a timeout", stuck, err)
	}
	next, err := y.client.Enqueue(ctx, request("next"))
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if got, err := y.client.Wait(short, next.ID); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the next task did not wait for the slot: %+v", got)
	}
	close(free)
	if got, err := y.client.Wait(ctx, next.ID); err != nil || got.State != tasks.Completed {
		t.Fatalf("got %+v, %v", got, err)
	}
	if most.Load() != 1 {
		t.Errorf("got %d jobs at once on one slot", most.Load())
	}
}

func TestWorker_Cancel(t *testing.T) {
	t.Parallel()
	running := make(chan struct{}, 1)
	y := start(t, 1, searching(func(ctx context.Context, _ string) (string, error) {
		running <- struct{}{}
		<-ctx.Done()
		return "", ctx.Err()
	}))
	ctx := patience(t)
	first, err := y.client.Enqueue(ctx, request("runs"))
	if err != nil {
		t.Fatal(err)
	}
	<-running
	second, err := y.client.Enqueue(ctx, request("waits"))
	if err != nil {
		t.Fatal(err)
	}
	third, err := y.client.Enqueue(ctx, request("later", tasks.WithDelay(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{second.ID, third.ID} {
		if got, err := y.client.Cancel(ctx, id); err != nil || got.State != tasks.Canceled {
			t.Errorf("waiting task: got %+v, %v", got, err)
		}
	}
	if _, err := y.client.Cancel(ctx, first.ID); err != nil {
		t.Fatal(err)
	}
	got, err := y.client.Wait(ctx, first.ID)
	if err != nil || got.State != tasks.Canceled || got.Error.Reason != tasks.ReasonCanceled || got.Attempts != 1 {
		t.Errorf("running task: got %+v, %v", got, err)
	}
	if _, err := y.client.Cancel(ctx, first.ID); !errors.Is(err, client.ErrFinal) {
		t.Errorf("ended task: got %v, want ErrFinal", err)
	}
}

func TestWorker_DrainHandsBackUncounted(t *testing.T) {
	t.Parallel()
	running := make(chan struct{}, 1)
	y := start(t, 1, searching(func(ctx context.Context, _ string) (string, error) {
		running <- struct{}{}
		<-ctx.Done()
		return "", ctx.Err()
	}), func(c *Config) { c.DrainTimeout = 50 * time.Millisecond })
	ctx := patience(t)
	task, err := y.client.Enqueue(ctx, request("x", tasks.WithMaxRetry(0)))
	if err != nil {
		t.Fatal(err)
	}
	<-running
	y.stop()
	got, err := y.client.Status(ctx, task.ID)
	if err != nil || got.State != tasks.Pending || got.Attempts != 0 {
		t.Fatalf("got %+v, %v, want it pending and no attempt spent", got, err)
	}
	other := startOn(t, y.broker, 1, searching(func(context.Context, string) (string, error) { return "ok", nil }))
	if got, err = other.client.Wait(ctx, task.ID); err != nil || got.State != tasks.Completed || got.Attempts != 1 {
		t.Errorf("got %+v, %v, want it completed by the other worker", got, err)
	}
}

func TestWorker_ScheduledNeverStartsEarly(t *testing.T) {
	t.Parallel()
	y := start(t, 1, searching(func(context.Context, string) (string, error) { return "", nil }))
	due := time.Now().Add(1300 * time.Millisecond)
	task, err := y.client.Do(patience(t), request("x", tasks.WithStart(due)))
	if err != nil {
		t.Fatal(err)
	}
	// Times are kept to the millisecond.
	if early := due.Truncate(time.Millisecond).Sub(task.StartedAt); early > 0 {
		t.Errorf("started %s early", early)
	}
}

func TestWorker_Heartbeat(t *testing.T) {
	t.Parallel()
	y := start(t, 3, searching(func(context.Context, string) (string, error) { return "", nil }))
	if _, err := y.client.Do(patience(t), request("x")); err != nil {
		t.Fatal(err)
	}
	n := y.worker.Node()
	if n.RSS <= 0 || n.MemoryLimit <= 0 || n.Goroutines <= 0 || n.Kinds["search"].Slots != 3 || n.Kinds["search"].Completed != 1 {
		t.Errorf("got %+v", n)
	}
	y.stop()
	nodes, err := y.broker.Nodes(patience(t))
	if err != nil || len(nodes) != 1 || nodes[0].State != "stopped" || nodes[0].Up(time.Now()) {
		t.Errorf("got %+v, %v, want one stopped node", nodes, err)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	br := brokertest.Start(b)
	cfg := DefaultConfig()
	cfg.Slots = map[string]int{"search": 4}
	w, err := New(cfg, br, &Registry{Jobs: searching(func(context.Context, string) (string, error) { return "", nil })}, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	c, err := client.New(br, client.DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for i := 0; b.Loop(); i++ {
		if _, err := c.Do(ctx, request(fmt.Sprint(i))); err != nil {
			b.Fatal(err)
		}
	}
}
