package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// takeBundle has a node take the first bundle of a batch, and returns its
// attempt and its tasks.
func takeBundle(t *testing.T, s *results.Store, b *broker.Broker, node, id string) (*results.Bundle, []results.BundleTask) {
	t.Helper()
	a := s.NewAttempts(node, zerolog.Nop())
	keys := []string{
		broker.QueueKey("search:bulk", "pending"), broker.QueueKey("search:bulk", "paused"),
		broker.QueueKey("search:bulk", "active"), broker.QueueKey("search:bulk", "lease"),
	}
	if err := a.Client(a.Lane("search", 1)).EvalSha(t.Context(), "", keys).Err(); err != nil {
		t.Fatal(err)
	}
	payload, err := s.Payload(t.Context(), tasks.Task{ID: id, Queue: "search:bulk"})
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := a.OpenBundle(t.Context(), id, payload, func(error) {}, errCanceled)
	if err != nil {
		t.Fatal(err)
	}
	todo := bundle.Todo()
	return bundle, todo
}

// complete ends a task of the bundle with an answer.
func complete(t *testing.T, bundle *results.Bundle, item results.BundleTask, answer string) {
	t.Helper()
	out, err := json.Marshal(tasks.SearchResult{DidYouMean: answer})
	if err != nil {
		t.Fatal(err)
	}
	if !bundle.Begin(item.Number, func(error) {}) {
		t.Fatalf("task %d does not begin", item.Number)
	}
	bundle.End(item, results.Outcome{Mode: results.Complete, Result: out}, 0)
}

func TestBundle_NodeGoneInTheMiddle(t *testing.T) {
	t.Parallel()
	var runs counted
	b := brokertest.Start(t)
	c, _ := handOver(t, b, client.Batch{ID: "b", Requests: queries(64)}) // bundles of 4
	s := results.New(b)
	bundle, todo := takeBundle(t, s, b, "dead", "b.b0")
	complete(t, bundle, todo[0], "by the dead node")
	complete(t, bundle, todo[1], "by the dead node")
	if err := bundle.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	complete(t, bundle, todo[2], "never committed")
	if err := b.Client().ZAdd(t.Context(), "jobyard:leases", redis.Z{Score: 1, Member: "dead"}).Err(); err != nil {
		t.Fatal(err)
	}
	startOn(t, b, 2, searching(func(_ context.Context, q string) (string, error) { runs.add(q); return q, nil }))
	all := stream(t, c, "b")
	for i, task := range all {
		q := fmt.Sprint("q", i)
		want, times := q, 1
		if i < 2 {
			want, times = "by the dead node", 0
		}
		r, err := tasks.Search.Result(task)
		if err != nil || r.DidYouMean != want || runs.of(q) != times || task.Attempts != 1 {
			t.Errorf("task %d: got %+v, %v and %d runs, want %q and %d", i, task, err, runs.of(q), want, times)
		}
	}
	// One of its tasks may have killed the node: each of the rest went alone.
	if state := b.Client().HGet(t.Context(), broker.TaskKey("search:bulk", "b.2"), "state").Val(); state != "completed" {
		t.Errorf("got state %q of the task's own record, want completed", state)
	}
	info := finished(t, c, "b")
	if info.Counts[tasks.Completed] != 64 {
		t.Errorf("got %+v", info)
	}
	// The node was only cut off, and is back.
	if err := bundle.Flush(t.Context()); !errors.Is(err, results.ErrLate) {
		t.Errorf("late attempt: got %v, want ErrLate", err)
	}
	if got, err := c.Status(t.Context(), "b.2"); err != nil || string(got.Result) != string(all[2].Result) {
		t.Errorf("the late attempt changed the task: got %+v, %v", got, err)
	}
}

func TestBundle_RedisAwayWhileItRuns(t *testing.T) {
	t.Parallel()
	var faulty lossy
	var runs counted
	b := brokertest.Start(t)
	c, _ := handOver(t, brokertest.Open(t, "unix://"+b.Options().Addrs[0]), client.Batch{ID: "b", Requests: queries(300)})
	b.Client().AddHook(&faulty)
	var mended atomic.Pointer[time.Timer]
	startOn(t, b, 2, searching(func(_ context.Context, q string) (string, error) {
		runs.add(q)
		if q == "q5" {
			faulty.on.Store(true) // commits and acknowledgements are lost from here on
			mended.Store(time.AfterFunc(1500*time.Millisecond, func() { faulty.on.Store(false) }))
		}
		return q, nil
	}))
	for i, task := range stream(t, c, "b") {
		if n := runs.of(fmt.Sprint("q", i)); task.State != tasks.Completed || n != 1 {
			t.Fatalf("task %d: got %+v and %d runs", i, task, n)
		}
	}
	mended.Load().Stop()
}

func TestBundle_DrainHandsTheRestBack(t *testing.T) {
	t.Parallel()
	var runs counted
	running := make(chan struct{}, 10)
	y := start(t, 1, searching(func(ctx context.Context, q string) (string, error) {
		if runs.add(q); q == "q1" {
			running <- struct{}{}
			<-ctx.Done()
			return "", ctx.Err()
		}
		return q, nil
	}), func(c *Config) { c.DrainTimeout = 50 * time.Millisecond })
	if _, err := y.client.EnqueueBatch(patience(t), client.Batch{ID: "b", Requests: queries(64)}); err != nil {
		t.Fatal(err)
	}
	<-running
	y.stop()
	got, err := y.client.Status(t.Context(), "b.1")
	if err != nil || got.State != tasks.Pending || got.Attempts != 0 {
		t.Errorf("got %+v, %v, want it pending and no attempt spent", got, err)
	}
	startOn(t, y.broker, 2, searching(func(_ context.Context, q string) (string, error) { runs.add(q); return q, nil }))
	if info := finished(t, y.client, "b"); info.Counts[tasks.Completed] != 64 {
		t.Errorf("got %+v", info)
	}
	if runs.of("q0") != 1 || runs.of("q1") != 2 || runs.of("q2") != 1 {
		t.Errorf("got %d, %d and %d runs, want 1, 2 and 1", runs.of("q0"), runs.of("q1"), runs.of("q2"))
	}
}

func TestBundle_CallbackFollowsTheLastTask(t *testing.T) {
	t.Parallel()
	var ended, atCallback atomic.Int32
	y := start(t, 3, searching(func(_ context.Context, q string) (string, error) {
		if q == "callback" {
			atCallback.Store(ended.Load())
			return "called", nil
		}
		ended.Add(1)
		return q, nil
	}))
	batch := client.Batch{ID: "b", Requests: queries(200), Callback: new(request("callback"))}
	info, err := y.client.EnqueueBatch(patience(t), batch)
	if err != nil || info.Callback != "b.done" {
		t.Fatalf("got %+v, %v", info, err)
	}
	finished(t, y.client, "b")
	got, err := y.client.Wait(patience(t), "b.done")
	if err != nil || got.State != tasks.Completed || got.Queue != "search" || atCallback.Load() != 200 {
		t.Errorf("got %+v, %v after %d tasks", got, err, atCallback.Load())
	}
	if queues, err := y.client.Queues(t.Context()); err != nil || queues[4].Processed != 200 {
		t.Errorf("got %+v, %v, want 200 tasks counted one by one", queues[4], err)
	}
}

func TestBundle_CountsAddUp(t *testing.T) {
	t.Parallel()
	y := start(t, 2, searching(func(_ context.Context, q string) (string, error) {
		if q == "q7" {
			return "", errors.New("comes again")
		}
		return q, nil
	}))
	if _, err := y.client.EnqueueBatch(patience(t), client.Batch{ID: "b", Requests: queries(5000)}); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "all but one are done", func() bool {
		info, err := y.client.Batch(t.Context(), "b")
		sum := 0
		for _, n := range info.Counts {
			sum += n
		}
		if err != nil || sum != 5000 {
			t.Fatalf("got %+v, %v, want counts of 5000", info, err)
		}
		return info.Counts[tasks.Completed] == 4999
	})
	if err := y.client.CancelBatch(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if info := finished(t, y.client, "b"); info.Counts[tasks.Canceled] != 1 {
		t.Errorf("got %+v, want the one that waited for its retry canceled", info)
	}
}

func TestBundle_CountsWhatLeftABundleOnce(t *testing.T) {
	t.Parallel()
	var runs counted
	free := make(chan struct{})
	y := start(t, 2, searching(func(_ context.Context, q string) (string, error) {
		n := runs.add(q)
		switch {
		case q == "q1" && n == 1:
			return "", errors.New("comes again, and ends before its bundle")
		case q == "q2":
			<-free
		}
		return q, nil
	}))
	if _, err := y.client.EnqueueBatch(patience(t), client.Batch{ID: "b", Requests: queries(64)}); err != nil {
		t.Fatal(err)
	}
	if got, err := y.client.Wait(patience(t), "b.1"); err != nil || got.State != tasks.Completed || got.Attempts != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	brokertest.Until(t, "all but the slow one and the one behind it are done", func() bool {
		info, err := y.client.Batch(t.Context(), "b")
		return err != nil || info.Counts[tasks.Completed] == 62 && info.Counts[tasks.Active] == 1 && info.Counts[tasks.Pending] == 1
	})
	close(free)
	if info := finished(t, y.client, "b"); info.Counts[tasks.Completed] != 64 {
		t.Errorf("got %+v", info)
	}
}

// What left a bundle after a failure is to asynq a task that failed once.
func TestBundle_AsynqKnowsOfTheFailure(t *testing.T) {
	t.Parallel()
	y := start(t, 1, searching(func(_ context.Context, q string) (string, error) {
		if q == "q1" {
			return "", errors.New("odd")
		}
		return q, nil
	}))
	batch := client.Batch{ID: "b", Requests: queries(64)}
	batch.Requests[1] = request("q1", tasks.WithMaxRetry(1), tasks.WithTimeout(1500*time.Millisecond))
	if _, err := y.client.EnqueueBatch(patience(t), batch); err != nil {
		t.Fatal(err)
	}
	inspector := asynq.NewInspectorFromRedisClient(y.broker.Client())
	var info *asynq.TaskInfo
	brokertest.Until(t, "it waits for its retry", func() bool {
		var err error
		info, err = inspector.GetTaskInfo("search:bulk", "b.1")
		return err == nil
	})
	if info.State != asynq.TaskStateRetry || info.Retried != 1 || info.MaxRetry != 1 || info.LastErr != "unknown: odd" ||
		info.LastFailedAt.IsZero() || info.Type != "search" || info.Headers[results.HeaderTimeout] != "1.5s" {
		t.Errorf("got %+v", info)
	}
	got, err := y.client.Wait(patience(t), "b.1")
	if err != nil || got.State != tasks.Archived || got.Attempts != 2 {
		t.Errorf("got %+v, %v, want it archived after its one retry", got, err)
	}
}
