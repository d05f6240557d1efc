package results

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// searches makes a checked batch of n searches.
func searches(t testing.TB, id string, n int, opts ...tasks.Option) tasks.Batch {
	t.Helper()
	b := tasks.Batch{ID: id, Requests: make([]tasks.Request, n)}
	for i := range b.Requests {
		b.Requests[i] = searchFor(t, fmt.Sprint("q", i), opts...)
	}
	return checked(t, b)
}

func searchFor(t testing.TB, query string, opts ...tasks.Option) tasks.Request {
	t.Helper()
	r, err := tasks.Search.New(tasks.SearchPayload{Query: query}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func checked(t testing.TB, b tasks.Batch) tasks.Batch {
	t.Helper()
	b, err := b.Check(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func roomFor(n int) func(string) int { return func(string) int { return n } }

// later returns the store of another process, some time from now.
func later(b *broker.Broker) *Store {
	s := New(b)
	s.now = func() time.Time { return time.Now().Add(time.Minute) }
	return s
}

// atOnce runs do in many goroutines.
func atOnce(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

func TestCreateBatch_AProducerThatDiesLeavesAWholeBatch(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	batch := searches(t, "b", 300)
	// The producer dies right after the one write.
	if code, err := s.writeBatch(t.Context(), batch, "sum", specOf(t, batch)); err != nil || code != 1 {
		t.Fatal(code, err)
	}
	got, err := s.Get(t.Context(), "b.299")
	if err != nil || got.State != tasks.Pending || got.Kind != "search" || got.Queue != "search:bulk" {
		t.Errorf("not queued yet: got %+v, %v, want it pending", got, err)
	}
	if info, err := s.BatchInfo(t.Context(), "b"); err != nil || info.Counts[tasks.Pending] != 300 {
		t.Errorf("got %+v, %v", info, err)
	}
	atOnce(4, func(int) {
		if err := later(b).RecoverBatches(t.Context()); err != nil {
			t.Error(err)
		}
	})
	queue := b.Client().LRange(t.Context(), broker.QueueKey("search:bulk", "pending"), 0, -1).Val()
	seen := map[string]bool{}
	for _, id := range queue {
		seen[id] = true
	}
	if len(queue) != 16 || len(seen) != 16 { // 15 of 19 tasks, and the rest
		t.Errorf("got %d units queued, %d different, want 16: %v", len(queue), len(seen), queue)
	}
	if n := b.Client().HExists(t.Context(), batchKey("b"), "spec").Val(); n {
		t.Error("the requests are still kept after all are queued")
	}
}

func specOf(t *testing.T, b tasks.Batch) []byte {
	t.Helper()
	raw, _, err := encodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestCreateBatch_AReplayNeverDoubles(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	batch := searches(t, "b", 500)
	var mu sync.Mutex
	created := 0
	atOnce(20, func(int) {
		err := New(b).CreateBatch(t.Context(), batch, roomFor(1000))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			created++
		case !errors.Is(err, ErrKnown):
			t.Error(err)
		}
	})
	if n := b.Client().LLen(t.Context(), broker.QueueKey("search:bulk", "pending")).Val(); created != 1 || n != 16 {
		t.Errorf("got %d created and %d units, want 1 and 16", created, n)
	}
	other := searches(t, "b", 499)
	if _, ok := errors.AsType[*ConflictError](New(b).CreateBatch(t.Context(), other, roomFor(1000))); !ok {
		t.Error("another content under the same id is not refused")
	}
	// Known is known even when there is no room.
	if err := New(b).CreateBatch(t.Context(), batch, roomFor(1)); !errors.Is(err, ErrKnown) {
		t.Errorf("got %v, want ErrKnown", err)
	}
}

func TestCreateBatch_WhatDoesNotFitIsRefusedWhole(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	err := s.CreateBatch(t.Context(), searches(t, "b", 101), roomFor(100))
	if full, ok := errors.AsType[*FullError](err); !ok || full.Queue != "search:bulk" || full.Limit != 100 {
		t.Fatalf("got %v, want a FullError", err)
	}
	if _, err := s.BatchInfo(t.Context(), "b"); !errors.Is(err, ErrNoBatch) {
		t.Errorf("got %v, want ErrNoBatch", err)
	}
	if keys := b.Client().Keys(t.Context(), "*b*").Val(); len(keys) != 0 {
		t.Errorf("got keys %v, want none", keys)
	}
}

func TestBatch_CallbackOnceWhoeverRecovers(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	batch := searches(t, "b", 300)
	call := searchFor(t, "callback")
	batch.Callback = &call
	if err := s.CreateBatch(t.Context(), checked(t, batch), roomFor(1000)); err != nil {
		t.Fatal(err)
	}
	// Every unit ended, and the nodes died before they could note it.
	header, p, err := s.readBatch(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range p.units(header) {
		if err := b.Client().HSet(t.Context(), u.key(), "state", "completed", "y_final", "completed", "y_completed", len(u.tasks)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	atOnce(8, func(int) {
		if err := later(b).RecoverBatches(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if calls := b.Client().LRange(t.Context(), broker.QueueKey("search", "pending"), 0, -1).Val(); len(calls) != 1 || calls[0] != "b.done" {
		t.Errorf("got callbacks %v, want one", calls)
	}
	info, err := s.BatchInfo(t.Context(), "b")
	if err != nil || !info.Finished() || info.Counts[tasks.Completed] != 300 {
		t.Errorf("got %+v, %v", info, err)
	}
	if n := b.Client().ZCard(t.Context(), batchesKey).Val(); n != 0 {
		t.Errorf("got %d unfinished batches, want 0", n)
	}
	for _, key := range []string{batchKey("b"), mapKey("b"), doneKey("b")} {
		if ttl := b.Client().TTL(t.Context(), key).Val(); ttl < 24*time.Hour || ttl > 25*time.Hour {
			t.Errorf("%s is kept for %s, want as long as the results", key, ttl)
		}
	}
}

func TestCancelBatch_WhileItsUnitsAreQueued(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	batch := searches(t, "b", 300)
	if _, err := s.writeBatch(t.Context(), batch, "sum", specOf(t, batch)); err != nil {
		t.Fatal(err)
	}
	if err := s.CancelBatch(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	info, err := s.BatchInfo(t.Context(), "b")
	if err != nil || !info.Finished() || info.Counts[tasks.Canceled] != 300 {
		t.Errorf("got %+v, %v", info, err)
	}
	got, err := s.Get(t.Context(), "b.7")
	if err != nil || got.State != tasks.Canceled || got.Error == nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if n := b.Client().LLen(t.Context(), broker.QueueKey("search:bulk", "pending")).Val(); n != 0 {
		t.Errorf("got %d units queued, want 0", n)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(string(record{state: tasks.Completed, attempts: 1, started: time.UnixMilli(1), ended: time.UnixMilli(2), node: "n", result: []byte("{}")}.bytes()))
	f.Add("alone")
	f.Add("completed 1 1 1 1 n")
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := parseRecord(text)
		if !ok {
			return
		}
		again, ok := parseRecord(string(r.bytes()))
		if !ok || again.state != r.state || string(again.result) != string(r.result) || again.node != r.node {
			t.Errorf("got %+v, want %+v", again, r)
		}
	})
}

func BenchmarkCreateBatch(b *testing.B) {
	s := New(brokertest.Start(b))
	batch := searches(b, "", 10_000)
	for i := 0; b.Loop(); i++ {
		batch.ID = fmt.Sprint("b", i)
		if err := s.CreateBatch(b.Context(), batch, roomFor(1<<30)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}
