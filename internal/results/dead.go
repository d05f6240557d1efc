package results

import (
	"context"
	_ "embed" // the script
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// deadFor is how long a dead letter is kept.
	deadFor = 90 * 24 * time.Hour
	// deadPage is how many dead letters are read in one round trip.
	deadPage = 200
)

//go:embed lua/replay.lua
var replaySource string

var replayScript = redis.NewScript(replaySource)

// ErrNotDead tells that a task is no dead letter.
var ErrNotDead = errors.New("the task is no dead letter")

// DeadFilter chooses dead letters; its zero value chooses all.
type DeadFilter struct {
	Kind   string
	Reason tasks.Reason
	// Before keeps those that failed before it.
	Before time.Time
	// Limit bounds the answer; 0 means 100.
	Limit int
}

// Dead lists dead letters, the latest of each queue first.
//
// They lie in asynq's archive, which our scripts never trim: asynq would keep
// 10,000 a queue and drop the rest without a word.
func (s *Store) Dead(ctx context.Context, f DeadFilter) ([]tasks.Task, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	var found []tasks.Task
	for _, q := range tasks.Queues() {
		if f.Kind != "" && q != tasks.Queue(f.Kind) && q != tasks.BulkQueue(f.Kind) {
			continue
		}
		var err error
		if found, err = s.deadOf(ctx, q, f, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// deadOf adds the dead letters of a queue to found.
func (s *Store) deadOf(ctx context.Context, queue string, f DeadFilter, found []tasks.Task) ([]tasks.Task, error) {
	upTo := "+inf"
	if !f.Before.IsZero() {
		upTo = fmt.Sprintf("(%d", f.Before.Unix())
	}
	for offset := int64(0); len(found) < f.Limit; offset += deadPage {
		ids, err := s.broker.Client().ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: broker.QueueKey(queue, "archived"), ByScore: true, Rev: true, Start: upTo, Stop: "-inf", Offset: offset, Count: deadPage,
		}).Result()
		if err != nil {
			return nil, fmt.Errorf("list dead letters: %w", s.broker.Explain(err))
		}
		page, err := s.records(ctx, queue, ids)
		if err != nil {
			return nil, err
		}
		for _, t := range page {
			if len(found) < f.Limit && (f.Reason == "" || t.Error != nil && t.Error.Reason == f.Reason) {
				found = append(found, t)
			}
		}
		if len(ids) < deadPage {
			break
		}
	}
	return found, nil
}

// records reads tasks of one queue in one round trip.
func (s *Store) records(ctx context.Context, queue string, ids []string) ([]tasks.Task, error) {
	cmds, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids {
			p.HMGet(ctx, broker.TaskKey(queue, id), recordFields...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read tasks: %w", s.broker.Explain(err))
	}
	all := make([]tasks.Task, 0, len(ids))
	for i, cmd := range cmds {
		if t, ok := parse(ids[i], queue, cmd.(*redis.SliceCmd).Val()); ok {
			all = append(all, t)
		}
	}
	return all, nil
}

// Payload returns what a task was handed over with.
func (s *Store) Payload(ctx context.Context, t tasks.Task) (json.RawMessage, error) {
	// asynq's inspector asks for a queue's registration first.
	if err := s.Register(ctx); err != nil {
		return nil, err
	}
	info, err := asynq.NewInspectorFromRedisClient(s.broker.Client()).GetTaskInfo(t.Queue, t.ID)
	if errors.Is(err, asynq.ErrTaskNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read the payload of task %s: %w", t.ID, s.broker.Explain(err))
	}
	if info.Headers[HeaderPayload] != "" {
		return s.LargePayload(ctx, t.Queue, t.ID)
	}
	return info.Payload, nil
}

// Replay puts a dead letter back into its queue. ErrNotDead tells that it is
// none.
func (s *Store) Replay(ctx context.Context, t tasks.Task) error { return s.moveDead(ctx, t, "replay") }

// Delete deletes a dead letter for good. ErrNotDead tells that it is none.
func (s *Store) Delete(ctx context.Context, t tasks.Task) error { return s.moveDead(ctx, t, "delete") }

func (s *Store) moveDead(ctx context.Context, t tasks.Task, how string) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	keys := []string{broker.TaskKey(t.Queue, t.ID), broker.QueueKey(t.Queue, "archived"), broker.QueueKey(t.Queue, "pending")}
	n, err := replayScript.Run(ctx, s.broker.Client(), keys, t.ID, t.Queue, s.now().UnixNano(), how).Int()
	if err != nil {
		return fmt.Errorf("%s dead letter %s: %w", how, t.ID, s.broker.Explain(err))
	}
	if n == 0 {
		return ErrNotDead
	}
	return nil
}

// expireDead deletes dead letters that are older than deadFor, a page of each
// queue at a time, and returns how many there were.
func (s *Store) expireDead(ctx context.Context) (int, error) {
	n := 0
	for _, q := range tasks.Queues() {
		ids, err := s.broker.Client().ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: broker.QueueKey(q, "archived"), ByScore: true, Start: "-inf", Stop: s.now().Add(-deadFor).Unix(), Count: deadPage,
		}).Result()
		if err != nil {
			return n, fmt.Errorf("list old dead letters: %w", s.broker.Explain(err))
		}
		for _, id := range ids {
			if err := s.Delete(ctx, tasks.Task{ID: id, Queue: q}); err == nil {
				n++
			}
		}
	}
	return n, nil
}
