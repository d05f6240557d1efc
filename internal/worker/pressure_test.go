package worker

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// noise is text that hardly compresses.
func noise(n int) string {
	raw := make([]byte, n/2)
	for i := range raw {
		raw[i] = byte(rand.Uint32())
	}
	return hex.EncodeToString(raw)
}

// With plain asynq a Redis that has reached its maxmemory stands still for
// good: taking a task needs memory as well.
func TestWorker_DrainsWhenRedisIsFull(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	c, b := door(t, server.URL)
	ctx := long(t)
	const room = 24 << 20
	if err := b.Client().ConfigSet(ctx, "maxmemory", strconv.Itoa(room)).Err(); err != nil {
		t.Fatal(err)
	}
	parse := func(ctx context.Context) error {
		_, err := client.Enqueue(ctx, c, tasks.DocumentParse, tasks.DocumentParsePayload{
			Source: tasks.DocumentSource{Text: noise(200 << 10)}}, tasks.WithQueue("bulk"))
		return err
	}
	var queued, refused atomic.Int32
	var all sync.WaitGroup
	for range 64 { // all at once, so that no reading of the memory is fresh enough
		all.Go(func() {
			for range 10 {
				var full *client.MemoryError
				switch err := parse(ctx); {
				case err == nil:
					queued.Add(1)
				case errors.As(err, &full) && full.Max == room && full.RetryAfter > 0:
					refused.Add(1)
				default:
					t.Errorf("got %v, want a MemoryError", err)
				}
			}
		})
	}
	all.Wait()
	if queued.Load() == 0 || refused.Load() == 0 {
		t.Fatalf("got %d queued and %d refused, want some of both", queued.Load(), refused.Load())
	}
	t.Logf("%d tasks fit, %d were refused", queued.Load(), refused.Load())

	jobs := Jobs{}
	var ran atomic.Int32
	Register(jobs, tasks.DocumentParse, func(context.Context, tasks.DocumentParsePayload) (tasks.DocumentParseResult, error) {
		ran.Add(1)
		return tasks.DocumentParseResult{}, nil
	})
	startOn(t, brokertest.Open(t, server.URL), 2, jobs, func(c *Config) { c.Slots = map[string]int{"document_parse": 2} })
	full := time.Now()
	until(t, ctx, "every task is done", func() bool {
		return b.Client().ZCard(ctx, broker.QueueKey("document_parse:bulk", "completed")).Val() == int64(queued.Load())
	})
	until(t, ctx, "tasks are taken again", func() bool { return parse(ctx) == nil })
	t.Logf("tasks are taken again %s after the worker came", time.Since(full).Round(time.Millisecond))
	until(t, ctx, "the last task runs", func() bool { return ran.Load() > queued.Load() })
}

// Whatever has filled Redis beyond its limit: tasks end, and nodes stay alive.
func TestWorker_GoesOnWhenRedisIsOverfull(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	c, b := door(t, server.URL)
	ctx := long(t)
	requests := make([]tasks.Request, 100)
	for i := range requests {
		requests[i] = request(fmt.Sprint(i))
	}
	answers, err := c.EnqueueAll(ctx, requests)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := c.EnqueueBatch(ctx, client.Batch{Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Client().ConfigSet(ctx, "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	fresh, _ := door(t, server.URL)
	if _, err := fresh.Enqueue(ctx, request("more")); !errors.As(err, new(*client.MemoryError)) {
		t.Errorf("got %v, want a MemoryError", err)
	}
	hold, running := make(chan struct{}), make(chan struct{}, 1)
	var once sync.Once
	y := startOn(t, brokertest.Open(t, server.URL), 2, searching(func(_ context.Context, q string) (string, error) {
		if q == "99" {
			once.Do(func() { running <- struct{}{}; <-hold })
		}
		return q, nil
	}))
	<-running
	lease := func() float64 { return b.Client().ZScore(ctx, "jobyard:leases", y.worker.ID()).Val() }
	first := lease()
	until(t, ctx, "the lease is renewed", func() bool { return first > 0 && lease() > first })
	until(t, ctx, "the node tells of itself", func() bool { nodes, err := b.Nodes(ctx); return err == nil && len(nodes) == 1 })
	close(hold)
	for _, a := range answers {
		if got, err := c.Wait(ctx, a.Task.ID); err != nil || got.State != tasks.Completed || got.Attempts != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if info, err := c.WaitBatch(ctx, batch.ID); err != nil || info.Counts[tasks.Completed] != len(requests) {
		t.Errorf("got %+v, %v", info, err)
	}
}

// A task can be withdrawn in each of its states, and what has ended stays as
// it is.
func TestWorker_CancelInEveryState(t *testing.T) {
	t.Parallel()
	running := make(chan struct{}, 1)
	y := start(t, 1, searching(func(ctx context.Context, q string) (string, error) {
		switch q {
		case "active":
			running <- struct{}{}
			<-ctx.Done()
			return "", ctx.Err()
		case "retry":
			return "", errors.New("odd")
		case "archived":
			panic("odd")
		}
		return q, nil
	}))
	ctx := patience(t)
	hand := func(state string, options ...tasks.Option) {
		t.Helper()
		if _, err := y.client.Enqueue(ctx, request(state, append(options, tasks.WithID(state))...)); err != nil {
			t.Fatal(err)
		}
	}
	reach := func(id string, state tasks.State) {
		t.Helper()
		brokertest.Until(t, id+" is "+string(state), func() bool {
			got, err := y.client.Status(ctx, id)
			return err == nil && got.State == state
		})
	}
	hand("retry", tasks.WithMaxRetry(25))
	reach("retry", tasks.Retry)
	hand("archived", tasks.WithMaxRetry(0))
	reach("archived", tasks.Archived)
	hand("completed")
	reach("completed", tasks.Completed)
	hand("active")
	<-running
	hand("pending")
	hand("scheduled", tasks.WithDelay(time.Hour))

	for _, want := range []struct {
		id    string
		state tasks.State
		final bool
	}{
		{"pending", tasks.Canceled, false}, {"scheduled", tasks.Canceled, false}, {"retry", tasks.Canceled, false},
		{"archived", tasks.Archived, true}, {"completed", tasks.Completed, true},
		{"active", tasks.Canceled, false}, // last: it makes room for what waits
	} {
		id := want.id
		got, err := y.client.Cancel(ctx, id)
		if errors.Is(err, client.ErrFinal) != want.final || !want.final && err != nil {
			t.Errorf("%s: got %v, want it to be final: %t", id, err, want.final)
		}
		if id == "active" {
			got, err = y.client.Wait(ctx, id)
		} else if want.final {
			got, err = y.client.Status(ctx, id)
		}
		if err != nil || got.State != want.state || want.state == tasks.Canceled && (got.Error == nil || got.Error.Reason != tasks.ReasonCanceled) {
			t.Errorf("%s: got %+v, %v, want it %s", id, got, err, want.state)
		}
		if _, err := y.client.Cancel(ctx, id); !errors.Is(err, client.ErrFinal) {
			t.Errorf("%s: canceled again: got %v, want ErrFinal", id, err)
		}
	}
	if _, err := y.client.Cancel(ctx, "unknown"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("unknown: got %v, want ErrNotFound", err)
	}
	// Nothing of it waits or runs any more, nor comes back.
	if got, err := y.client.Do(ctx, request("after")); err != nil || got.State != tasks.Completed {
		t.Errorf("got %+v, %v", got, err)
	}
	queues, err := y.client.Queues(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if q := queues[0]; q.Waiting() != 0 || q.Counts[tasks.Active] != 0 || q.Counts[tasks.Archived] != 1 {
		t.Errorf("got %s", fmt.Sprint(q))
	}
}
