package results

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// ErrNotDue tells that a task does not wait for its time.
var ErrNotDue = errors.New("the task does not wait for its time")

//go:embed lua/hasten.lua
var hastenSource string

var hastenScript = redis.NewScript(hastenSource)

// Hasten makes a task due that is scheduled or waits for its next attempt.
// ErrNotDue tells that it does neither.
func (s *Store) Hasten(ctx context.Context, t tasks.Task) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	keys := []string{
		broker.TaskKey(t.Queue, t.ID), broker.QueueKey(t.Queue, "scheduled"), broker.QueueKey(t.Queue, "retry"), broker.QueueKey(t.Queue, "pending"),
	}
	n, err := hastenScript.Run(ctx, s.broker.Client(), keys, t.ID, t.Queue, s.now().UnixNano()).Int()
	if err != nil {
		return fmt.Errorf("make task %s due: %w", t.ID, s.broker.Explain(err))
	}
	if n == 0 {
		return ErrNotDue
	}
	return nil
}
