package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// median is the middle one of several durations.
func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// roundTrips does tasks one after the other on an idle node.
func roundTrips(ctx context.Context, t *testing.T, y yard, n int) []time.Duration {
	t.Helper()
	var took []time.Duration
	for i := range n {
		start := time.Now()
		if got, err := y.client.Do(ctx, request(fmt.Sprint(i))); err != nil || got.State != tasks.Completed {
			t.Fatalf("got %+v, %v", got, err)
		}
		took = append(took, time.Since(start))
	}
	return took
}

// An idle node is woken by an announcement, also after its subscriptions were
// cut. asynq alone looks once a second and needs 0.86 s in the median; with our
// sweep alone it would be a whole second, since each task comes just after a look.
func TestWorker_IsWokenWhenIdle(t *testing.T) {
	t.Parallel()
	y := start(t, 1, searching(func(_ context.Context, q string) (string, error) { return q, nil }))
	ctx := patience(t)
	const most = 400 * time.Millisecond // a millisecond on a machine that is not loaded
	if got := median(roundTrips(ctx, t, y, 9)); got > most {
		t.Errorf("got a round trip of %s, want it below %s", got, most)
	}
	cut := y.broker.Client().ClientKillByFilter(ctx, "TYPE", "pubsub")
	if n, err := cut.Result(); err != nil || n == 0 {
		t.Fatalf("got %d subscriptions cut, %v", n, err)
	}
	if got := median(roundTrips(ctx, t, y, 15)); got > most {
		t.Errorf("after the cut: got a round trip of %s, want it below %s", got, most)
	}
}

// A task that nobody announced is found by the sweep.
func TestWorker_FindsWhatWasNotAnnounced(t *testing.T) {
	t.Parallel()
	ran := make(chan string, 1)
	y := start(t, 1, searching(func(_ context.Context, q string) (string, error) {
		ran <- q
		return q, nil
	}))
	ctx := patience(t)
	roundTrips(ctx, t, y, 1) // from here on it is idle
	<-ran
	strange := asynq.NewTask("search", []byte(`{"query":"quiet"}`))
	if _, err := asynq.NewClientFromRedisClient(y.broker.Client()).EnqueueContext(ctx, strange, asynq.Queue("search")); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-ran:
		if got != "quiet" {
			t.Errorf("got %q run", got)
		}
	case <-ctx.Done():
		t.Error("it was never found")
	}
}

// The promise is a second at most. asynq alone looks every five seconds: of
// tasks due all along that time half would be later than two and a half.
func TestWorker_ScheduledStartsInTime(t *testing.T) {
	t.Parallel()
	y := start(t, 4, searching(func(context.Context, string) (string, error) { return "", nil }))
	ctx := patience(t)
	const n = 11
	begin := time.Now().Add(500 * time.Millisecond)
	var late []time.Duration
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		due := begin.Add(time.Duration(i) * 500 * time.Millisecond)
		all.Go(func() {
			got, err := y.client.Do(ctx, request(fmt.Sprint(i), tasks.WithStart(due)))
			if err != nil || got.State != tasks.Completed {
				t.Errorf("got %+v, %v", got, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			late = append(late, got.StartedAt.Sub(due.Truncate(time.Millisecond)))
		})
	}
	all.Wait()
	if len(late) != n {
		return
	}
	middle := median(late)
	t.Logf("late by %s at least, %s in the median, %s at most", late[0], middle, late[n-1])
	if late[0] < 0 || middle > 1500*time.Millisecond {
		t.Errorf("got %s at least and %s in the median, want none early and about half a second", late[0], middle)
	}
}

// While both queues of a kind have work, the one that somebody waits for goes
// first, and the other is not forgotten.
func TestWorker_QueuesTakeTurns(t *testing.T) {
	t.Parallel()
	const each = 210
	var mu sync.Mutex
	var order []string
	server := brokertest.Server(t, "")
	c, _ := door(t, server.URL)
	ctx := patience(t)
	requests := make([]tasks.Request, 0, 2*each)
	for i := range each {
		requests = append(requests, request(fmt.Sprint("bulk ", i), tasks.WithQueue("bulk")), request(fmt.Sprint("now ", i)))
	}
	answers, err := c.EnqueueAll(ctx, requests)
	if err != nil {
		t.Fatal(err)
	}
	startOn(t, brokertest.Open(t, server.URL), 1, searching(func(ctx context.Context, q string) (string, error) {
		pass(ctx, 2*time.Millisecond) // longer than what a node takes ahead
		mu.Lock()
		defer mu.Unlock()
		order = append(order, q)
		return "", nil
	}))
	for _, a := range answers {
		if got, err := c.Wait(ctx, a.Task.ID); err != nil || got.State != tasks.Completed {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	bulk := 0
	for _, q := range order[:each] {
		if strings.HasPrefix(q, "bulk") {
			bulk++
		}
	}
	// One in seven goes to the bulk queue, by chance: 30 of 210.
	if bulk < 5 || bulk > 90 {
		t.Errorf("got %d of the first %d tasks from the bulk queue, want about %d", bulk, each, each/7)
	}
}

// Each kind has a server of its own, and the node is one all the same.
func TestWorker_IsOneNodeWithAllItsKinds(t *testing.T) {
	t.Parallel()
	jobs := searching(func(_ context.Context, q string) (string, error) { return q, nil })
	Register(jobs, tasks.SDKFetch, func(context.Context, tasks.SDKFetchPayload) (tasks.SDKFetchResult, error) {
		return tasks.SDKFetchResult{}, nil
	})
	y := start(t, 1, jobs, func(c *Config) { c.Slots["sdk_fetch"] = 2 })
	ctx := patience(t)
	until(t, ctx, "one node tells of both kinds", func() bool {
		nodes, err := y.broker.Nodes(ctx)
		return err == nil && len(nodes) == 1 && nodes[0].Kinds["search"].Slots == 1 && nodes[0].Kinds["sdk_fetch"].Slots == 2
	})
	inspector := asynq.NewInspectorFromRedisClient(y.broker.Client())
	until(t, ctx, "asynq knows a server for each kind", func() bool { // they sign on beside the node
		servers, err := inspector.Servers()
		return err == nil && len(servers) == 2
	})
}
