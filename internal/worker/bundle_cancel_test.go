package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

func TestBundle_CancelOne(t *testing.T) {
	t.Parallel()
	var runs counted
	b := brokertest.Start(t)
	running := make(chan struct{}, 10)
	c, _ := handOver(t, b, client.Batch{ID: "b", Requests: queries(64)})
	ctx := patience(t)
	if got, err := c.Cancel(ctx, "b.2"); err != nil || got.State != tasks.Canceled || got.Error.Reason != tasks.ReasonCanceled {
		t.Fatalf("waiting: got %+v, %v", got, err)
	}
	if _, err := c.Cancel(ctx, "b.2"); !errors.Is(err, client.ErrFinal) {
		t.Errorf("again: got %v, want ErrFinal", err)
	}
	if _, err := c.Cancel(ctx, "b.64"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("none such: got %v, want ErrNotFound", err)
	}
	startOn(t, b, 1, searching(func(ctx context.Context, q string) (string, error) {
		runs.add(q)
		if q == "q1" {
			running <- struct{}{}
			<-ctx.Done()
			return "", ctx.Err()
		}
		return q, nil
	}))
	<-running
	brokertest.Until(t, "it is shown to run", func() bool {
		got, err := c.Status(ctx, "b.1")
		return err != nil || got.State == tasks.Active && got.Attempts == 1 && !got.StartedAt.IsZero()
	})
	if got, err := c.Status(ctx, "b.0"); err != nil || got.State != tasks.Completed {
		t.Errorf("what ended before a slow task must not wait for it: got %+v, %v", got, err)
	}
	// One that the bundle has not begun yet, and the one that runs.
	for _, id := range []string{"b.3", "b.1"} {
		if got, err := c.Cancel(ctx, id); err != nil || got.State != tasks.Canceled {
			t.Errorf("%s: got %+v, %v", id, got, err)
		}
	}
	info := finished(t, c, "b")
	if info.Counts[tasks.Completed] != 61 || info.Counts[tasks.Canceled] != 3 {
		t.Errorf("got %+v", info)
	}
	if runs.of("q2") != 0 || runs.of("q3") != 0 || runs.of("q1") != 1 {
		t.Errorf("got %d, %d and %d runs of canceled tasks, want 0, 0 and 1", runs.of("q2"), runs.of("q3"), runs.of("q1"))
	}
	if _, err := c.Cancel(ctx, "b.0"); !errors.Is(err, client.ErrFinal) {
		t.Errorf("ended: got %v, want ErrFinal", err)
	}
}

func TestBundle_CancelBatch(t *testing.T) {
	t.Parallel()
	running := make(chan struct{}, 100)
	y := start(t, 1, searching(func(ctx context.Context, q string) (string, error) {
		if q == "q0" {
			return "", errors.New("comes again")
		}
		running <- struct{}{}
		<-ctx.Done()
		return "", ctx.Err()
	}))
	batch := client.Batch{ID: "b", Requests: queries(100), Callback: new(request("q0", tasks.WithMaxRetry(0)))}
	batch.Requests[50] = request("q50", tasks.WithDelay(time.Hour))
	ctx := patience(t)
	if _, err := y.client.EnqueueBatch(ctx, batch); err != nil {
		t.Fatal(err)
	}
	<-running
	brokertest.Until(t, "a task waits for its retry", func() bool {
		info, err := y.client.Batch(ctx, "b")
		return err != nil || info.Counts[tasks.Retry] == 1 && info.Counts[tasks.Scheduled] == 1 && info.Counts[tasks.Active] == 1 &&
			info.Counts[tasks.Pending] == 97
	})
	if err := y.client.CancelBatch(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	info := finished(t, y.client, "b")
	if took := time.Since(asked); info.Counts[tasks.Canceled] != 100 || took > 3*time.Second {
		t.Errorf("got %+v after %s", info, took)
	}
	for i, task := range stream(t, y.client, "b") {
		if task.State != tasks.Canceled || task.Error == nil || task.Error.Reason != tasks.ReasonCanceled {
			t.Fatalf("task %d: got %+v", i, task)
		}
	}
	if err := y.client.CancelBatch(ctx, "b"); !errors.Is(err, client.ErrFinal) {
		t.Errorf("again: got %v, want ErrFinal", err)
	}
	if err := y.client.CancelBatch(ctx, "nobody"); !errors.Is(err, client.ErrNoBatch) {
		t.Errorf("none such: got %v, want ErrNoBatch", err)
	}
	if done, err := y.client.Wait(ctx, "b.done"); err != nil || done.State != tasks.Archived {
		t.Errorf("callback: got %+v, %v", done, err)
	}
}
