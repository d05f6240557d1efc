package results_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/results"
)

// asynq counts the thirty seconds of a task's lease from when it asked for it.
// An idle node that let it wait for longer would finish its next task in vain.
func TestLane_AnswersBeforeTheLeaseWouldEnd(t *testing.T) {
	t.Parallel()
	a := results.New(brokertest.Start(t)).NewAttempts("idle", zerolog.Nop())
	lane := a.Lane("search", 1)
	answers := make(chan error, 1)
	go func() {
		answers <- a.Client(lane).EvalSha(t.Context(), "", []string{
			broker.QueueKey("search", "pending"), broker.QueueKey("search", "paused"),
			broker.QueueKey("search", "active"), broker.QueueKey("search", "lease"),
		}).Err()
	}()
	select {
	case err := <-answers:
		if !errors.Is(err, redis.Nil) {
			t.Errorf("got %v, want nothing", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("an idle queue is not answered for within 20s")
		lane.Waker().Close()
	}
}
