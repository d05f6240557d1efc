package worker

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// door opens a client of its own on the server at url.
func door(t *testing.T, url string) (*client.Client, *broker.Broker) {
	t.Helper()
	b := brokertest.Open(t, url)
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, b
}

// long is for what takes its time by design: leases, limits, a silent Redis.
func long(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// The answer is lost on its way, after Redis has done what it was asked.
func TestWorker_LostAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		times      int
	}{
		{"of an acknowledgement", `"did_you_mean":"answer"`, 1},
		{"of an acknowledgement and of its repetitions", `"did_you_mean":"answer"`, 4},
		{"of a take", `"query":"question"`, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := brokertest.Server(t, "")
			proxy := brokertest.Between(t, server.URL)
			var runs atomic.Int32
			startOn(t, brokertest.Open(t, proxy.URL), 1, searching(func(context.Context, string) (string, error) {
				runs.Add(1)
				return "answer", nil
			}))
			c, b := door(t, server.URL)
			ctx := long(t)
			proxy.LoseAnswers(tt.text, tt.times)
			start := time.Now()
			got, err := c.Do(ctx, request("question", tasks.WithMaxRetry(0)))
			if err != nil || got.State != tasks.Completed || got.Attempts != 1 {
				t.Fatalf("got %+v, %v, want it completed at the first attempt", got, err)
			}
			t.Logf("completed after %s", time.Since(start).Round(time.Millisecond))
			brokertest.Until(t, "every answer is lost", proxy.Lost)
			brokertest.Until(t, "nothing is active", func() bool {
				return b.Client().LLen(ctx, broker.QueueKey("search", "active")).Val() == 0
			})
			if n := runs.Load(); n != 1 {
				t.Errorf("got %d runs, want 1", n)
			}
		})
	}
}

// asynq keeps 10,000 dead letters of a queue and drops the rest without a word.
func TestWorker_KeepsEveryDeadLetter(t *testing.T) {
	t.Parallel()
	const n = 12_000
	y := start(t, 10, searching(func(context.Context, string) (string, error) {
		return "", fault.PermanentError(tasks.ReasonUpstream, "down")
	}))
	ctx := long(t)
	requests := make([]tasks.Request, n)
	for i := range requests {
		requests[i] = request("x", tasks.WithID(fmt.Sprint("dead-", i)), tasks.WithQueue("bulk"))
	}
	if _, err := y.client.EnqueueAll(ctx, requests); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, "all have failed", func() bool {
		queues, err := y.client.Queues(ctx)
		return err == nil && queues[4].Failed == n
	})
	dead := 0
	err := y.worker.store.EachDead(ctx, tasks.DeadFilter{}, time.Now().Add(time.Minute), 1000, func(page []results.Dead) (bool, error) {
		dead += len(page)
		return true, nil
	})
	if err != nil || dead != n {
		t.Errorf("got %d dead letters, %v, want %d", dead, err, n)
	}
}

// Data is lost while every connection stays: nothing tells the processes.
func TestWorker_GoesOnAfterALossOfData(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	running := make(chan struct{}, 1)
	y := start(t, 2, searching(func(_ context.Context, q string) (string, error) {
		if q == "running" {
			running <- struct{}{}
			<-hold
		}
		return q, nil
	}))
	ctx := long(t)
	if _, err := y.client.Enqueue(ctx, request("running")); err != nil {
		t.Fatal(err)
	}
	<-running
	if err := y.broker.Client().FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := y.client.Do(ctx, request("after")); err != nil || got.State != tasks.Completed || got.Attempts != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	inspector := asynq.NewInspectorFromRedisClient(y.broker.Client())
	brokertest.Until(t, "asynq's tools see every queue again", func() bool {
		queues, err := inspector.Queues()
		return err == nil && len(queues) == len(tasks.Queues())
	})
	brokertest.Until(t, "the node is listed again", func() bool {
		nodes, err := y.broker.Nodes(ctx)
		alive, _, err2 := y.broker.Leases(ctx)
		return err == nil && err2 == nil && len(nodes) == 1 && len(alive) == 1
	})
	close(hold) // its task is no more; that must not trouble the worker
	if got, err := y.client.Do(ctx, request("at last")); err != nil || got.State != tasks.Completed {
		t.Errorf("got %+v, %v", got, err)
	}
}

// until is brokertest.Until for what may take as long as ctx.
func until(t *testing.T, ctx context.Context, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		}
	}
}
