package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// counted counts how often each query ran.
type counted struct {
	mu   sync.Mutex
	runs map[string]int
}

func (c *counted) add(q string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs == nil {
		c.runs = map[string]int{}
	}
	c.runs[q]++
	return c.runs[q]
}

func (c *counted) of(q string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[q]
}

// queries makes n requests with the queries "q0", "q1", …
func queries(n int, opts ...tasks.Option) []tasks.Request {
	all := make([]tasks.Request, n)
	for i := range all {
		all[i] = request(fmt.Sprint("q", i), opts...)
	}
	return all
}

// handOver enqueues a batch without a worker.
func handOver(t *testing.T, b *broker.Broker, batch client.Batch) (*client.Client, client.BatchInfo) {
	t.Helper()
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	info, err := c.EnqueueBatch(patience(t), batch)
	if err != nil {
		t.Fatal(err)
	}
	return c, info
}

// stream reads all results of a batch.
func stream(t *testing.T, c *client.Client, id string) []tasks.Task {
	t.Helper()
	var all []tasks.Task
	for task, err := range c.BatchResults(patience(t), id) {
		if err != nil {
			t.Fatalf("after %d results: %v", len(all), err)
		}
		all = append(all, task)
	}
	return all
}

func finished(t *testing.T, c *client.Client, id string) client.BatchInfo {
	t.Helper()
	info, err := c.WaitBatch(patience(t), id)
	if err != nil {
		t.Fatalf("got %+v, %v", info, err)
	}
	return info
}

func TestBundle_RunsEachOnceAndStreamsInOrder(t *testing.T) {
	t.Parallel()
	var runs counted
	y := start(t, 4, searching(func(_ context.Context, q string) (string, error) { runs.add(q); return q, nil }))
	const n = 1234
	info, err := y.client.EnqueueBatch(patience(t), client.Batch{ID: "many", Requests: queries(n)})
	if err != nil || info.ID != "many" || info.Total != n || info.Counts[tasks.Pending] != n {
		t.Fatalf("got %+v, %v", info, err)
	}
	all := stream(t, y.client, "many")
	if len(all) != n {
		t.Fatalf("got %d results, want %d", len(all), n)
	}
	for i, task := range all {
		r, err := tasks.Search.Result(task)
		if q := fmt.Sprint("q", i); err != nil || r.DidYouMean != q || runs.of(q) != 1 || task.ID != fmt.Sprint("many.", i) {
			t.Fatalf("result %d: got %+v, %v, %d runs", i, task, err, runs.of(q))
		}
	}
	got := all[n-1]
	if got.Kind != "search" || got.Queue != "search:bulk" || got.State != tasks.Completed || got.Attempts != 1 ||
		got.Node != y.worker.ID() || got.StartedAt.Before(got.EnqueuedAt) || got.FinishedAt.Before(got.StartedAt) || got.Error != nil {
		t.Errorf("got %+v", got)
	}
	one, err := y.client.Wait(patience(t), "many.1233")
	wantJSON, _ := json.Marshal(got)
	if gotJSON, _ := json.Marshal(one); err != nil || string(gotJSON) != string(wantJSON) {
		t.Errorf("alone: got %s, %v, want %s", gotJSON, err, wantJSON)
	}
	if info := finished(t, y.client, "many"); info.Counts[tasks.Completed] != n || len(info.Counts) != 1 || !info.Finished() {
		t.Errorf("got %+v", info)
	}
}

func TestBundle_WhatFailsGoesOnAlone(t *testing.T) {
	t.Parallel()
	var runs counted
	y := start(t, 2, searching(func(ctx context.Context, q string) (string, error) {
		n := runs.add(q)
		switch q {
		case "q3":
			return "", fault.PermanentError(tasks.ReasonNotFound, "no such thing")
		case "q5":
			panic("boom")
		case "q7":
			<-ctx.Done()
			return "", ctx.Err()
		case "q9":
			if n == 1 {
				return "", errors.New("odd")
			}
		case "q11":
			return strings.Repeat("x", 100_000), nil
		}
		return q, nil
	}))
	batch := client.Batch{ID: "b", Requests: queries(400)}
	batch.Requests[5] = request("q5", tasks.WithMaxRetry(0))
	batch.Requests[7] = request("q7", tasks.WithMaxRetry(1), tasks.WithTimeout(30*time.Millisecond))
	if _, err := y.client.EnqueueBatch(patience(t), batch); err != nil {
		t.Fatal(err)
	}
	all := stream(t, y.client, "b")
	type want struct {
		state    tasks.State
		reason   tasks.Reason
		attempts int
	}
	special := map[int]want{
		3: {tasks.Archived, tasks.ReasonNotFound, 1}, 5: {tasks.Archived, tasks.ReasonPanic, 1},
		7: {tasks.Archived, tasks.ReasonTimeout, 2}, 9: {tasks.Completed, "", 2},
	}
	for i, task := range all {
		w, ok := special[i]
		if !ok {
			w = want{tasks.Completed, "", 1}
		}
		got := want{task.State, "", task.Attempts}
		if task.Error != nil {
			got.reason = task.Error.Reason
		}
		if got != w || runs.of(fmt.Sprint("q", i)) != w.attempts {
			t.Errorf("task %d: got %+v and %d runs, want %+v", i, got, runs.of(fmt.Sprint("q", i)), w)
		}
	}
	if len(all) != 400 || len(all[11].Result) < 100_000 {
		t.Errorf("got %d results, and one of %d bytes", len(all), len(all[11].Result))
	}
	info := finished(t, y.client, "b")
	if info.Counts[tasks.Completed] != 397 || info.Counts[tasks.Archived] != 3 {
		t.Errorf("got %+v", info)
	}
	store := results.New(y.broker)
	dead, err := store.DeadPage(t.Context(), tasks.DeadFilter{Reason: tasks.ReasonNotFound}, "", 10)
	if err != nil || len(dead.Letters) != 1 || dead.Letters[0].ID != "b.3" {
		t.Fatalf("dead letters: got %+v, %v", dead, err)
	}
	if payload, err := store.Payload(t.Context(), dead.Letters[0].Task); err != nil || !strings.Contains(string(payload), `"q3"`) {
		t.Errorf("payload: got %s, %v", payload, err)
	}
}

func TestBundle_SlowTasksSpreadOverTheSlots(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	y := start(t, 4, searching(func(ctx context.Context, _ string) (string, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		pause := time.NewTimer(150 * time.Millisecond)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		return "", nil
	}))
	// One slot would take it all if the bundles were kept together.
	if _, err := y.client.EnqueueBatch(patience(t), client.Batch{ID: "slow", Requests: queries(40)}); err != nil {
		t.Fatal(err)
	}
	if info := finished(t, y.client, "slow"); info.Counts[tasks.Completed] != 40 {
		t.Errorf("got %+v", info)
	}
	if most.Load() != 4 {
		t.Errorf("got %d tasks at once, want 4", most.Load())
	}
	if n := y.broker.Client().BitCount(t.Context(), "jobyard:batch:{slow}:alone", nil).Val(); n == 0 {
		t.Error("no task went on alone")
	}
}

// A job that ignores its time limit holds the slot, not its neighbors.
func TestBundle_StuckTaskHoldsOnlyItsSlot(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	y := start(t, 2, searching(func(_ context.Context, q string) (string, error) {
		if q == "q1" {
			<-free
		}
		return q, nil
	}))
	batch := client.Batch{ID: "b", Requests: queries(64)}
	batch.Requests[1] = request("q1", tasks.WithTimeout(20*time.Millisecond), tasks.WithMaxRetry(0))
	if _, err := y.client.EnqueueBatch(patience(t), batch); err != nil {
		t.Fatal(err)
	}
	info := finished(t, y.client, "b")
	if info.Counts[tasks.Completed] != 63 || info.Counts[tasks.Archived] != 1 {
		t.Errorf("got %+v", info)
	}
	if busy := len(y.worker.lanes[0].slots); busy != 1 {
		t.Errorf("got %d busy slots, want the stuck one", busy)
	}
	close(free)
	brokertest.Until(t, "the slot is free", func() bool { return len(y.worker.lanes[0].slots) == 0 })
}
