package results

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// What lies under a task's key and is no task is nobody's, and keeps no other
// task from being handed over, read, listed or recovered.
func TestStore_ForeignKeys(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s, ctx := New(b), t.Context()
	admit := func(id string) error {
		return s.AdmitOne(ctx, Admission{ID: id, Chosen: true, Request: searching(t, id, tasks.WithID(id)), Limit: 10})
	}
	for _, key := range []string{broker.TaskKey("search", "foreign"), broker.TaskKey("sdk_fetch", "elsewhere")} {
		if err := b.Client().Set(ctx, key, "no hash", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := admit("foreign"); !errors.As(err, new(*ConflictError)) {
		t.Errorf("handed over under a foreign key: got %v, want a conflict", err)
	}
	for _, id := range []string{"elsewhere", "whole"} {
		if err := admit(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := s.Get(ctx, "foreign"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want no such task", err)
	}
	if _, err := s.FindDead(ctx, "foreign"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want no such dead letter", err)
	}
	if _, _, err := s.stands(ctx, "foreign"); err != nil {
		t.Error(err)
	}
	for _, list := range []string{"pending", "active"} {
		if err := b.Client().LPush(ctx, broker.QueueKey("search", list), "foreign").Err(); err != nil {
			t.Fatal(err)
		}
	}
	died := redis.Z{Score: float64(time.Now().Unix()), Member: "foreign"}
	if err := b.Client().ZAdd(ctx, broker.QueueKey("search", "archived"), died).Err(); err != nil {
		t.Fatal(err)
	}
	if queues, err := s.Queues(ctx); err != nil || len(queues) == 0 {
		t.Errorf("got %v, %v", queues, err)
	}
	if all, err := s.briefs(ctx, "search", []string{"foreign", "whole"}); err != nil || len(all) != 1 {
		t.Errorf("got %v, %v, want one task", all, err)
	}
	if page, err := s.DeadPage(ctx, tasks.DeadFilter{}, "", 10); err != nil || len(page.Letters) != 0 {
		t.Errorf("got %+v, %v, want no dead letter", page, err)
	}
	got, err := s.NewAttempts("n", zerolog.Nop()).Lane("search", 1).take(ctx, "search", 5)
	if err != nil || len(got) != 2 {
		t.Errorf("took %v, %v, want the two tasks", got, err)
	}
	if all, err := s.active(ctx); err != nil || len(all) != 2 {
		t.Errorf("got %v, %v, want the two that were taken", all, err)
	}
	if n := b.Client().LLen(ctx, broker.QueueKey("search", "active")).Val(); n != 2 {
		t.Errorf("got %d on the list of active tasks, want 2", n)
	}
}
