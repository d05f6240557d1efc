package results

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// Queue is how many tasks of a queue are in each state.
type Queue struct {
	Name   string                `json:"queue"`
	Counts map[tasks.State]int64 `json:"counts"`
	// Oldest is how long the longest waiting pending task has waited.
	Oldest time.Duration `json:"-"`
	Paused bool          `json:"paused"`
	// Processed and Failed count attempts since the queue exists.
	Processed int64 `json:"processed"`
	Failed    int64 `json:"failed"`
}

// Waiting counts the tasks that the queue's limit counts.
func (q Queue) Waiting() int64 {
	return q.Counts[tasks.Pending] + q.Counts[tasks.Scheduled] + q.Counts[tasks.Retry]
}

// countedStates are the states that asynq keeps a list or set of. Canceled
// tasks lie among the completed ones.
var countedStates = []tasks.State{tasks.Pending, tasks.Active, tasks.Scheduled, tasks.Retry, tasks.Completed, tasks.Archived}

// Queues reads every queue of the yard, used or not, in two round trips.
func (s *Store) Queues(ctx context.Context) ([]Queue, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	names := tasks.Queues()
	var reads []queueReads
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, name := range names {
			reads = append(reads, readQueue(ctx, p, name))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read queues: %w", s.broker.Explain(err))
	}
	queues := make([]Queue, len(names))
	since := make([]*redis.StringCmd, len(names))
	cmds, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, r := range reads {
			queues[i] = r.queue(names[i])
			if id := r.oldest.Val(); id != "" {
				since[i] = p.HGet(ctx, broker.TaskKey(names[i], id), "pending_since")
			}
		}
		return nil
	})
	if err = broker.Trouble(cmds, err); err != nil {
		return nil, fmt.Errorf("read queues: %w", s.broker.Explain(err))
	}
	for i, cmd := range since {
		if cmd == nil {
			continue
		}
		if ns, err := strconv.ParseInt(cmd.Val(), 10, 64); err == nil {
			queues[i].Oldest = max(0, s.now().Sub(time.Unix(0, ns)))
		}
	}
	return queues, nil
}

type queueReads struct {
	sizes             []*redis.IntCmd
	paused            *redis.IntCmd
	oldest            *redis.StringCmd
	processed, failed *redis.StringCmd
}

func readQueue(ctx context.Context, p redis.Pipeliner, name string) queueReads {
	var r queueReads
	for _, state := range countedStates {
		key := broker.QueueKey(name, string(state))
		if state == tasks.Pending || state == tasks.Active {
			r.sizes = append(r.sizes, p.LLen(ctx, key))
		} else {
			r.sizes = append(r.sizes, p.ZCard(ctx, key))
		}
	}
	r.paused = p.Exists(ctx, broker.QueueKey(name, "paused"))
	r.oldest = p.LIndex(ctx, broker.QueueKey(name, "pending"), -1)
	r.processed = p.Get(ctx, broker.QueueKey(name, "processed"))
	r.failed = p.Get(ctx, broker.QueueKey(name, "failed"))
	return r
}

func (r queueReads) queue(name string) Queue {
	q := Queue{Name: name, Counts: map[tasks.State]int64{}, Paused: r.paused.Val() == 1}
	for i, state := range countedStates {
		q.Counts[state] = r.sizes[i].Val()
	}
	q.Processed, _ = strconv.ParseInt(r.processed.Val(), 10, 64)
	q.Failed, _ = strconv.ParseInt(r.failed.Val(), 10, 64)
	return q
}
