package results

import (
	"context"
	"errors"
	"testing"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// An end that is announced before anybody waits for it is not lost, and of one
// that is not the task is known as it was handed over.
func TestExpect(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	e := New(b).NewEvents()
	x, err := e.Expect("a")
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	queued := tasks.Task{ID: "a", Queue: "search", State: tasks.Pending}
	if got, err := x.Wait(over, queued); !errors.Is(err, context.Canceled) || got.ID != "a" || got.State != tasks.Pending {
		t.Errorf("got %+v, %v, want what was handed over", got, err)
	}
	if err := b.Client().HSet(t.Context(), broker.TaskKey("search", "a"), "state", "completed", "y_final", "completed", "result", "{}").Err(); err != nil {
		t.Fatal(err)
	}
	e.announced("b,a")
	if len(x.ch) != 1 {
		t.Error("the end was not heard of")
	}
	if got, err := x.Wait(t.Context(), queued); err != nil || got.State != tasks.Completed {
		t.Errorf("got %+v, %v", got, err)
	}
	x.Leave()
	if len(e.waiting) != 0 || e.count != 0 {
		t.Errorf("%d waits are left", e.count)
	}
	e.count = maxWaiters
	if _, err := e.Expect("c"); !errors.Is(err, ErrTooManyWaits) {
		t.Errorf("got %v, want %v", err, ErrTooManyWaits)
	}
}

// Whoever reads a record that is none fails alone.
func TestStore_readsTogether(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	good, bad := broker.TaskKey("search", "good"), broker.TaskKey("search", "bad")
	if err := errors.Join(b.Client().HSet(t.Context(), good, "state", "pending").Err(), b.Client().Set(t.Context(), bad, "x", 0).Err()); err != nil {
		t.Fatal(err)
	}
	records, err := s.read(t.Context(), []string{bad, good})
	if err != nil || records[0].Err() == nil || records[1].Err() != nil {
		t.Fatalf("got %v, %v", records, err)
	}
	if _, err := s.Get(t.Context(), "bad", "search"); err == nil {
		t.Error("got a task of what is none")
	}
	if got, err := s.Get(t.Context(), "good", "search"); err != nil || got.State != tasks.Pending {
		t.Errorf("got %+v, %v", got, err)
	}
}
