package worker

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// lossy makes the acknowledgements of a client fail while it is set, the way a
// broken connection would.
type lossy struct{ on atomic.Bool }

func (l *lossy) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *lossy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l *lossy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if l.on.Load() && strings.HasPrefix(cmd.Name(), "eval") {
			err := &net.OpError{Op: "write", Err: errors.New("connection reset (injected)")}
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

// With plain asynq v0.26 the syncer can never repeat a lost acknowledgement,
// and the finished job runs again a minute later.
func TestWorker_LostAcknowledgementRunsOnce(t *testing.T) {
	t.Parallel()
	var faulty lossy
	var runs atomic.Int32
	b := brokertest.Start(t)
	b.Client().AddHook(&faulty)
	y := startOn(t, b, 1, searching(func(context.Context, string) (string, error) {
		runs.Add(1)
		faulty.on.Store(true) // from here on the acknowledgement is lost
		return "done", nil
	}))
	ctx := patience(t)
	task, err := y.client.Enqueue(ctx, request("x"))
	if err != nil {
		t.Fatal(err)
	}
	mended := time.AfterFunc(2*time.Second, func() { faulty.on.Store(false) })
	defer mended.Stop()
	got, err := y.client.Wait(ctx, task.ID)
	if err != nil || got.State != tasks.Completed || got.Attempts != 1 {
		t.Fatalf("got %+v, %v, want it completed at the first attempt", got, err)
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("got %d runs, want 1", n)
	}
	if n := b.Client().LLen(ctx, broker.QueueKey("search", "active")).Val(); n != 0 {
		t.Errorf("got %d active tasks afterwards, want 0", n)
	}
}

// A worker that was cut off and comes back must not overwrite what another
// attempt committed.
func TestWorker_LateAttemptIsRefused(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	hold, running := make(chan struct{}), make(chan struct{}, 1)
	slow := startOn(t, b, 1, searching(func(context.Context, string) (string, error) {
		running <- struct{}{}
		<-hold
		return "late", nil
	}))
	ctx := patience(t)
	task, err := slow.client.Enqueue(ctx, request("x"))
	if err != nil {
		t.Fatal(err)
	}
	<-running
	slow.worker.lanes[0].queue.Waker().Close() // it takes nothing more
	// What recovery does with the tasks of a node that is gone.
	pipe := b.Client().TxPipeline()
	pipe.LRem(ctx, broker.QueueKey("search", "active"), 0, task.ID)
	pipe.ZRem(ctx, broker.QueueKey("search", "lease"), task.ID)
	pipe.RPush(ctx, broker.QueueKey("search", "pending"), task.ID)
	pipe.HSet(ctx, broker.TaskKey("search", task.ID), "state", "pending")
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	second := startOn(t, b, 1, searching(func(context.Context, string) (string, error) { return "first", nil }))
	got, err := second.client.Wait(ctx, task.ID)
	if err != nil || got.State != tasks.Completed {
		t.Fatalf("got %+v, %v", got, err)
	}
	close(hold)
	slow.stop()
	again, err := second.client.Status(ctx, task.ID)
	if err != nil || string(again.Result) != string(got.Result) || again.Node != second.worker.ID() {
		t.Errorf("the late attempt changed the task:\n%+v\n%+v, %v", got, again, err)
	}
	result, err := tasks.Search.Result(again)
	if err != nil || result.DidYouMean != "first" {
		t.Errorf("got %+v, %v, want the first result", result, err)
	}
}

func TestWorker_LargePayloadsAndResults(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("large ", 200_000)
	jobs := Jobs{}
	Register(jobs, tasks.DocumentParse, func(_ context.Context, p tasks.DocumentParsePayload) (tasks.DocumentParseResult, error) {
		if p.URI == "fails" {
			return tasks.DocumentParseResult{}, fault.PermanentError(tasks.ReasonRejected, "no")
		}
		return tasks.DocumentParseResult{Text: p.Source.Text}, nil
	})
	y := start(t, 1, jobs, func(c *Config) { c.Slots = map[string]int{"document_parse": 1} })
	ctx := patience(t)
	payload := tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: long}}
	got, err := client.Do(ctx, y.client, tasks.DocumentParse, payload, tasks.WithID("large"))
	if err != nil || got.Text != long {
		t.Fatalf("got %d bytes, %v, want %d", len(got.Text), err, len(long))
	}
	if used := y.broker.Client().MemoryUsage(ctx, broker.TaskKey("document_parse", "large")).Val(); used > 64<<10 {
		t.Errorf("the finished task takes %d bytes of Redis's memory", used)
	}
	// A dead letter keeps its payload.
	payload.URI = "fails"
	if _, err := client.Do(ctx, y.client, tasks.DocumentParse, payload, tasks.WithID("dead")); err == nil {
		t.Fatal("got no error")
	}
	raw, err := y.worker.store.Payload(ctx, tasks.Task{ID: "dead", Queue: "document_parse"})
	if err != nil || len(raw) < len(long) {
		t.Errorf("dead letter: got a payload of %d bytes, %v", len(raw), err)
	}
}

// A dead letter that is replayed with asynq's own tools starts afresh.
func TestWorker_DeadLettersCanBeReplayed(t *testing.T) {
	t.Parallel()
	var healthy atomic.Bool
	y := start(t, 1, searching(func(context.Context, string) (string, error) {
		if healthy.Load() {
			return "ok", nil
		}
		return "", fault.PermanentError(tasks.ReasonUpstream, "down")
	}))
	ctx := patience(t)
	task, err := y.client.Do(ctx, request("x"))
	if err != nil || task.State != tasks.Archived {
		t.Fatalf("got %+v, %v, want it archived", task, err)
	}
	healthy.Store(true)
	if err := asynq.NewInspectorFromRedisClient(y.broker.Client()).RunTask("search", task.ID); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "the replayed task completes", func() bool {
		task, err = y.client.Status(ctx, task.ID)
		return err != nil || task.State == tasks.Completed
	})
	if err != nil || task.Error != nil || task.Attempts != 2 {
		t.Errorf("got %+v, want no error left and two attempts", task)
	}
}
