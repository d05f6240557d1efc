package results

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// shownBytes is the largest payload or result that a Standing brings.
	shownBytes = 256 << 10
	// maxAhead bounds how far a task's place in its queue is looked for.
	maxAhead = 200_000
)

// Standing is where a task stands: all that is known of it but a large payload
// or result, of which it has only the size.
type Standing struct {
	Task tasks.Task
	// PendingSince is when it last became ready, DueAt when it will be.
	PendingSince, DueAt time.Time
	// Ahead is how many tasks of its queue are taken before it; -1 if it is not
	// pending, or further back than is looked.
	Ahead int64
	// Paused tells that its queue gives nothing out.
	Paused bool
	// CancelAsked tells that the attempt that runs was asked to stop.
	CancelAsked bool
	// Crashes is how many nodes died while they ran it.
	Crashes int
	// Stands is how many tasks of a batch it is the bundle of; 0 if none.
	Stands int
	// Retried and MaxRetry count retries as asynq does.
	Retried, MaxRetry int
	// Payload is nil where it is larger than is shown.
	Payload []byte
	// PayloadBytes and ResultBytes are their sizes, as they are kept.
	PayloadBytes, ResultBytes int64
}

var standingFields = []string{"msg", "pending_since", "y_cancel", "y_crash", "y_batch"}

// Standing looks a task up. ErrNotFound tells that no task has the id.
func (s *Store) Standing(ctx context.Context, id string) (Standing, error) {
	if !tasks.ValidID(id) {
		return Standing{}, ErrNotFound
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	st, found, err := s.stands(ctx, id)
	if err != nil {
		return Standing{}, fmt.Errorf("read task %s: %w", id, s.broker.Explain(err))
	}
	if !found {
		// A task in a bundle has no record of its own.
		t, err := s.Get(ctx, id)
		return Standing{Task: t, Ahead: -1, ResultBytes: int64(len(t.Result))}, err
	}
	if err := s.place(ctx, &st); err != nil {
		return Standing{}, fmt.Errorf("find task %s in its queue: %w", id, s.broker.Explain(err))
	}
	return st, nil
}

// stands reads a task's record wherever it is, the result only if it is small.
func (s *Store) stands(ctx context.Context, id string) (st Standing, found bool, err error) {
	queues := tasks.Queues()
	records := make([]*redis.SliceCmd, len(queues))
	others := make([]*redis.SliceCmd, len(queues))
	sizes := make([][2]*redis.IntCmd, len(queues))
	cmds, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, q := range queues {
			key := broker.TaskKey(q, id)
			records[i] = p.HMGet(ctx, key, recordFields[:len(recordFields)-1]...)
			others[i] = p.HMGet(ctx, key, standingFields...)
			sizes[i] = [2]*redis.IntCmd{p.HStrLen(ctx, key, "result"), p.HStrLen(ctx, key, "y_payload")}
		}
		return nil
	})
	if err := broker.Trouble(cmds, err); err != nil {
		return st, false, err
	}
	for i, q := range queues {
		t, ok := parse(id, q, records[i].Val())
		if !ok {
			continue
		}
		st = Standing{Task: t, Ahead: -1, ResultBytes: sizes[i][0].Val(), PayloadBytes: sizes[i][1].Val()}
		st.read(others[i].Val())
		err := s.contents(ctx, &st)
		return st, true, err
	}
	return st, false, nil
}

// read takes over the fields of standingFields.
func (st *Standing) read(values []any) {
	text := texts(values)
	if ns, err := strconv.ParseInt(text(1), 10, 64); err == nil && ns > 0 {
		st.PendingSince = time.Unix(0, ns).UTC()
	}
	st.CancelAsked = text(2) != "" && !st.Task.State.Final()
	st.Crashes, _ = strconv.Atoi(text(3))
	st.Stands, _ = strconv.Atoi(text(4))
	st.handed([]byte(text(0)))
}

// handed reads of asynq's message with what the task was handed over, as far
// as it can be read.
func (st *Standing) handed(msg []byte) {
	for len(msg) > 0 {
		f, err := nextField(&msg)
		switch {
		case err != nil:
			return
		case f.kind == protowire.BytesType && f.number == msgPayload:
			st.Payload, st.PayloadBytes = bytes.Clone(f.bytes), max(st.PayloadBytes, int64(len(f.bytes)))
		case f.kind == protowire.VarintType && f.number == msgRetry:
			st.MaxRetry = int(min(f.varint, 1<<30)) //nolint:gosec // bounded
		case f.kind == protowire.VarintType && f.number == msgRetried:
			st.Retried = int(min(f.varint, 1<<30)) //nolint:gosec // bounded
		}
	}
}

// contents reads what lies beside the record, if it is small.
func (s *Store) contents(ctx context.Context, st *Standing) error {
	key := broker.TaskKey(st.Task.Queue, st.Task.ID)
	if len(st.Payload) == 0 && st.PayloadBytes > 0 && st.PayloadBytes <= shownBytes {
		packed, err := s.broker.Client().HGet(ctx, key, "y_payload").Bytes()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		if plain, _, err := s.largePayload(ctx, packed); err == nil {
			st.PayloadBytes = int64(len(plain))
			st.Payload = plain
		}
	}
	if len(st.Payload) > shownBytes || len(st.Payload) == 0 {
		st.Payload = nil
	}
	if st.Task.State == tasks.Completed && st.ResultBytes > 0 && st.ResultBytes <= inlineBytes {
		result, err := s.broker.Client().HGet(ctx, key, "result").Bytes()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		t := tasks.Task{ID: st.Task.ID, Result: result}
		if err := s.resolve(ctx, &t); err != nil {
			return err
		}
		if st.ResultBytes = int64(len(t.Result)); len(t.Result) <= shownBytes {
			st.Task.Result = t.Result
		}
	}
	return nil
}

// place finds out when the task is due, or how many are before it.
func (s *Store) place(ctx context.Context, st *Standing) error {
	q, id, state := st.Task.Queue, st.Task.ID, st.Task.State
	if state != tasks.Pending && state != tasks.Scheduled && state != tasks.Retry {
		return nil
	}
	var paused, length, at *redis.IntCmd
	var due *redis.FloatCmd
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		paused = p.Exists(ctx, broker.QueueKey(q, "paused"))
		if state == tasks.Pending {
			length = p.LLen(ctx, broker.QueueKey(q, "pending"))
			at = p.LPos(ctx, broker.QueueKey(q, "pending"), id, redis.LPosArgs{Rank: -1, MaxLen: maxAhead})
		} else {
			due = p.ZScore(ctx, broker.QueueKey(q, string(state)), id)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	st.Paused = paused.Val() == 1
	if due != nil && due.Err() == nil {
		st.DueAt = time.UnixMilli(int64(due.Val() * 1000)).UTC()
	}
	if at != nil && at.Err() == nil {
		st.Ahead = max(0, length.Val()-1-at.Val())
	}
	return nil
}
