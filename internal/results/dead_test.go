package results_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// bury makes a task a dead letter, as the settle script would.
func bury(t *testing.T, b *broker.Broker, id string, reason tasks.Reason, at time.Time) {
	t.Helper()
	_, err := b.Client().Pipelined(t.Context(), func(p redis.Pipeliner) error {
		p.LRem(t.Context(), broker.QueueKey("search", "pending"), 0, id)
		p.HSet(t.Context(), broker.TaskKey("search", id), "state", "archived", "y_final", "archived", "y_reason", string(reason), "y_msg", "m")
		p.ZAdd(t.Context(), broker.QueueKey("search", "archived"), redis.Z{Score: float64(at.Unix()), Member: id})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDead(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	now := time.Now()
	for i := range 450 { // more than a page holds
		reason := tasks.ReasonTimeout
		if i%10 == 0 {
			reason = tasks.ReasonUpstream
		}
		id := fmt.Sprintf("t%03d", i)
		admit(t, s, id)
		bury(t, b, id, reason, now.Add(time.Duration(i-450)*time.Minute))
	}
	list := func(f results.DeadFilter) []tasks.Task {
		t.Helper()
		all, err := s.Dead(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got := list(results.DeadFilter{Limit: 1000}); len(got) != 450 || got[0].ID != "t449" {
		t.Errorf("all: got %d, first %+v, want 450 and the latest first", len(got), got[0])
	}
	if got := list(results.DeadFilter{Reason: tasks.ReasonUpstream}); len(got) != 45 || got[0].ID != "t440" {
		t.Errorf("by reason: got %d, want 45", len(got))
	}
	if got := list(results.DeadFilter{Before: now.Add(-449 * time.Minute)}); len(got) != 1 || got[0].ID != "t000" {
		t.Errorf("before a time: got %+v, want t000", got)
	}
	if got := list(results.DeadFilter{Kind: "sdk_fetch"}); len(got) != 0 {
		t.Errorf("of another kind: got %d", len(got))
	}

	dead := list(results.DeadFilter{Limit: 1})[0]
	if payload, err := s.Payload(t.Context(), dead); err != nil || string(payload) != `{"query":"q"}` {
		t.Errorf("payload: got %s, %v", payload, err)
	}
	if err := s.Replay(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), dead.ID); err != nil || got.State != tasks.Pending || got.Error != nil {
		t.Errorf("replayed: got %+v, %v", got, err)
	}
	if err := s.Replay(t.Context(), dead); !errors.Is(err, results.ErrNotDead) {
		t.Errorf("replayed twice: got %v, want ErrNotDead", err)
	}
	gone := tasks.Task{ID: "t448", Queue: "search"}
	if err := s.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), gone.ID); !errors.Is(err, results.ErrNotFound) {
		t.Errorf("deleted: got %v, want ErrNotFound", err)
	}
}
