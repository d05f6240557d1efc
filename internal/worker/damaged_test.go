package worker

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// A task whose message in Redis was damaged becomes a dead letter that says so
// and can be replayed with another payload. asynq would take it and neither run
// nor end it: it would be at work for ever, and hold up every drain.
func TestWorker_DamagedMessages(t *testing.T) {
	t.Parallel()
	b, ctx := brokertest.Start(t), patience(t)
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, id := range []string{"no-hash", "counts", "garbage", "strange", "whole"} {
		if _, err := c.Enqueue(ctx, request(id, tasks.WithID(id))); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := b.Client().HGet(ctx, broker.TaskKey("search", "whole"), "msg").Result()
	if err != nil {
		t.Fatal(err)
	}
	for id, msg := range map[string]string{"garbage": "\xffno message", "strange": whole} {
		if err := b.Client().HSet(ctx, broker.TaskKey("search", id), "msg", msg).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Client().HSet(ctx, broker.TaskKey("search", "counts"), "y_fence", "x", "y_att", "", "y_in", "no time", "y_ret", "y").Err(); err != nil {
		t.Fatal(err)
	}
	if err := b.Client().Set(ctx, broker.TaskKey("search", "no-hash"), "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	y := startOn(t, b, 1, searching(func(_ context.Context, q string) (string, error) { return q, nil }))
	if got, err := y.client.Wait(ctx, "whole"); err != nil || got.State != tasks.Completed || got.Attempts != 1 {
		t.Errorf("the task beside them: got %+v, %v, want it run once", got, err)
	}
	if got, err := y.client.Wait(ctx, "counts"); err != nil || got.State != tasks.Completed {
		t.Errorf("the task with damaged counts: got %+v, %v, want it run", got, err)
	}
	for _, id := range []string{"garbage", "strange"} {
		got, err := y.client.Wait(ctx, id)
		if err != nil || got.State != tasks.Archived || got.Error == nil || got.Error.Reason != tasks.ReasonInvalid || !strings.Contains(got.Error.Message, "damaged") {
			t.Errorf("%s: got %+v, %v, want a dead letter", id, got, err)
		}
		if _, err := y.client.ReplayDead(ctx, id, tasks.Replay{}); !errors.As(err, new(*tasks.InvalidError)) {
			t.Errorf("%s replayed as it is: got %v, want it refused", id, err)
		}
	}
	if d, err := y.client.DeadLetter(ctx, "garbage"); err != nil || !strings.Contains(string(d.Payload), "no message") {
		t.Errorf("got payload %s, %v, want what is there", d.Payload, err)
	}
	if busy := y.worker.attempts.Running(); len(busy) != 0 {
		t.Errorf("got %v at work, want nothing", busy)
	}
	if _, err := y.client.ReplayDead(ctx, "strange", tasks.Replay{Payload: []byte(`{"query":"mended"}`)}); err != nil {
		t.Fatal(err)
	}
	if got, err := y.client.Wait(ctx, "strange"); err != nil || got.State != tasks.Completed || !strings.Contains(string(got.Result), "mended") {
		t.Errorf("replayed: got %+v, %v", got, err)
	}
}
