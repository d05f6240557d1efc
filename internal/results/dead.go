package results

import (
	"context"
	_ "embed" // the script
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// deadFor is how long a dead letter is kept.
	deadFor = 90 * 24 * time.Hour
	// deadPage is how many dead letters of a queue are read in one round trip.
	deadPage = 200
)

//go:embed lua/deadpage.lua
var deadPageSource string

var deadPageScript = redis.NewScript(deadPageSource)

// ErrNotDead tells that a task is no dead letter.
var ErrNotDead = errors.New("the task is no dead letter")

// Dead is a dead letter of one death: if it is replayed and fails again, that
// is another letter.
type Dead struct {
	tasks.DeadLetter
	fence string // of its last attempt; empty if none was ever made
}

// deadFields are read in this order by parseDead.
var deadFields = append([]string{"y_fence", "y_crash", "y_batch"}, recordFields...)

// parseDead reads a record as a dead letter that failed in the given second.
func parseDead(id, queue string, values []any, second float64) (Dead, bool) {
	text := texts(values)
	t, ok := parse(id, queue, values[3:])
	if !ok || t.State != tasks.Archived {
		return Dead{}, false
	}
	if t.FinishedAt.IsZero() { // archived by asynq's own tools
		t.FinishedAt = time.Unix(int64(second), 0).UTC()
	}
	if t.Error == nil {
		t.Error = &tasks.Error{Reason: tasks.ReasonUnknown, Message: "put aside by hand"}
	}
	d := Dead{DeadLetter: tasks.DeadLetter{Task: t, Fingerprint: deadFingerprint(t)}, fence: text(0)}
	d.Crashes, _ = strconv.Atoi(text(1))
	if n, _ := strconv.Atoi(text(2)); n > 1 {
		d.Tasks = n
	}
	return d, true
}

// fits reports whether the filter chooses the letter. Kind and queue have
// chosen the queues already.
func fits(f tasks.DeadFilter, d Dead) bool {
	return (f.Reason == "" || d.Error.Reason == f.Reason) && (f.Group == "" || d.Fingerprint == f.Group) &&
		(f.Since.IsZero() || !d.FinishedAt.Before(f.Since)) && (f.Before.IsZero() || d.FinishedAt.Before(f.Before))
}

// deadQueues are the queues that a filter chooses.
func deadQueues(f tasks.DeadFilter) []string {
	switch {
	case f.Queue != "":
		return []string{f.Queue}
	case f.Kind != "":
		return []string{tasks.Queue(f.Kind), tasks.BulkQueue(f.Kind)}
	}
	return tasks.Queues()
}

// FindDead returns the dead letter of a task with what it was handed over
// with. ErrNotDead tells that the task is none, ErrNotFound that there is no
// such task.
func (s *Store) FindDead(ctx context.Context, id string) (Dead, error) {
	d, raw, packed, err := s.findDead(ctx, id)
	if err != nil {
		return d, err
	}
	m := readOrShow(raw)
	payload := m.payload
	if m.headers[HeaderPayload] != "" {
		payload, _, err = s.largePayload(ctx, packed)
		if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrDamaged) {
			payload, err = []byte("null"), nil // it is lost; the letter can still be deleted
		}
		if err != nil {
			return d, fmt.Errorf("read the payload of dead letter %s: %w", id, err)
		}
	}
	if d.Payload = payload; !json.Valid(payload) {
		d.Payload, _ = json.Marshal(string(payload)) // a stranger's task
	}
	d.Options = m.options(d.Queue)
	return d, nil
}

// options are what the task was handed over with.
func (m message) options(queue string) *tasks.Options {
	o := &tasks.Options{Queue: queue, MaxRetry: &m.maxRetry, Retention: tasks.Duration(m.retention), Timeout: tasks.Duration(tasks.DefaultTimeout)}
	if d, err := time.ParseDuration(m.headers[HeaderTimeout]); err == nil && d > 0 {
		o.Timeout = tasks.Duration(d)
	}
	o.NoCache = m.headers[HeaderNoCache] != ""
	return o
}

// findDead reads the record of a dead letter, asynq's message and the payload
// beside it.
func (s *Store) findDead(ctx context.Context, id string) (d Dead, msg, packed []byte, err error) {
	if !tasks.ValidID(id) {
		return d, nil, nil, ErrNotFound
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	queues := tasks.Queues()
	fields := append([]string{"msg", "y_payload"}, deadFields...)
	cmds, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, q := range queues {
			p.HMGet(ctx, broker.TaskKey(q, id), fields...)
		}
		return nil
	})
	if err = broker.Trouble(cmds, err); err != nil {
		return d, nil, nil, fmt.Errorf("read dead letter %s: %w", id, s.broker.Explain(err))
	}
	for i, cmd := range cmds {
		if broker.Foreign(cmd.Err()) {
			continue
		}
		values := cmd.(*redis.SliceCmd).Val()
		// Without a time of its death of our own it says that of being looked at.
		if d, ok := parseDead(id, queues[i], values[2:], float64(s.now().Unix())); ok {
			text, _ := values[0].(string)
			beside, _ := values[1].(string)
			return d, []byte(text), []byte(beside), nil
		}
	}
	if _, err = s.Get(ctx, id); err == nil {
		err = ErrNotDead
	}
	return d, nil, nil, err
}

// Payload returns what a task was handed over with.
func (s *Store) Payload(ctx context.Context, t tasks.Task) (json.RawMessage, error) {
	callCtx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	msg, err := s.broker.Client().HGet(callCtx, broker.TaskKey(t.Queue, t.ID), "msg").Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read the payload of task %s: %w", t.ID, s.broker.Explain(err))
	}
	m := readOrShow(msg)
	if m.headers[HeaderPayload] != "" {
		return s.LargePayload(ctx, t.Queue, t.ID)
	}
	return m.payload, nil
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
			old := Dead{DeadLetter: tasks.DeadLetter{Task: tasks.Task{ID: id, Queue: q}}, fence: anyFence}
			if answers, err := s.DeleteDead(ctx, old); err == nil && answers[0] == nil {
				n++
			}
		}
	}
	return n, nil
}
