package results

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// anyFence stands for whatever death a letter is of.
const anyFence = "*"

//go:embed lua/replay.lua
var replaySource string

var replayScript = redis.NewScript(replaySource)

// ReplayDead puts dead letters back into their queues as they are, in one
// step each. The answers have the order of the letters: nil, ErrNotDead if
// somebody has dealt with the letter already, or a *FullError. The second value
// is set if Redis failed or has no memory left.
func (s *Store) ReplayDead(ctx context.Context, limit func(queue string) int, letters ...Dead) ([]error, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	if err := s.memory.room(ctx, s.broker, 0); err != nil {
		return nil, err
	}
	messages, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, d := range letters {
			p.HGet(ctx, broker.TaskKey(d.Queue, d.ID), "msg")
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("replay dead letters: %w", s.broker.Explain(err))
	}
	answers := make([]error, len(letters))
	var calls []scriptCall
	var index []int
	for i, d := range letters {
		raw, err := messages[i].(*redis.StringCmd).Bytes()
		if err != nil {
			answers[i] = ErrNotDead // deleted meanwhile
			continue
		}
		m, err := readMessage(raw)
		if err != nil || !legible(raw, d.ID, d.Queue) {
			answers[i] = tasks.Invalid("payload", "cannot be read, the task is damaged in Redis: replay it with another payload")
			continue
		}
		calls = append(calls, s.replayCall(d, limit(d.Queue), replayed{msg: m.fresh}))
		index = append(index, i)
	}
	return answers, s.moveDead(ctx, letters, calls, index, answers)
}

// replayed is what a replay changes of a task; the zero values of all but msg
// change nothing.
type replayed struct {
	msg       []byte
	sum       string
	beside    []byte
	retention string
}

func (s *Store) replayCall(d Dead, limit int, r replayed) scriptCall {
	now := s.now()
	return scriptCall{
		keys: []string{
			broker.TaskKey(d.Queue, d.ID), broker.QueueKey(d.Queue, "archived"), broker.QueueKey(d.Queue, "pending"),
			broker.QueueKey(d.Queue, "scheduled"), broker.QueueKey(d.Queue, "retry"), broker.QueueKey(d.Queue, "processed"),
		},
		args: []any{d.ID, d.Queue, d.fence, "replay", limit, now.UnixNano(), now.UnixMilli(), r.msg, r.sum, r.beside, r.retention},
	}
}

// moveDead runs the script for the letters that index tells, and answers for
// them.
func (s *Store) moveDead(ctx context.Context, letters []Dead, calls []scriptCall, index []int, answers []error) error {
	if len(calls) == 0 {
		return nil
	}
	cmds, err := runAll(ctx, s.broker.Client(), replayScript, calls)
	if err != nil {
		return fmt.Errorf("change dead letters: %w", s.broker.Explain(err))
	}
	for j, i := range index {
		codes, err := cmds[j].Int64Slice()
		switch {
		case err != nil || len(codes) == 0:
			return fmt.Errorf("change dead letter %s: %w", letters[i].ID, err)
		case codes[0] == 0:
			answers[i] = ErrNotDead
		case codes[0] == -2 && len(codes) == 3:
			limit, _ := calls[j].args[4].(int)
			q := letters[i].Queue
			answers[i] = &FullError{Queue: q, Waiting: int(codes[1]), Limit: limit, RetryAfter: s.rates.wait(q, codes[2], limit, s.now())}
		}
	}
	return nil
}

// ReplayChanged puts one dead letter back with changes. Its errors are those of
// one answer of ReplayDead, and *tasks.InvalidError.
func (s *Store) ReplayChanged(ctx context.Context, limit func(queue string) int, d Dead, change tasks.Replay) error {
	if d.Tasks > 0 {
		return tasks.Invalid("payload", "stands for several tasks of a batch, which cannot be changed together: replay it as it is")
	}
	r, err := changed(d, change).Check(s.now())
	if err != nil {
		return err
	}
	answers, refs, held, err := s.hold(ctx, []Admission{{ID: d.ID, Request: r, Limit: limit(d.Queue), Trace: trace.Here(ctx)}})
	if err != nil {
		return err
	}
	if answers[0] != nil {
		return answers[0]
	}
	a := &held[0]
	with := replayed{sum: fingerprint(r), beside: a.beside, retention: strconv.FormatInt(retentionSeconds(&r.Options), 10)}
	if a.beside != nil {
		a.Request.Payload = nil
	}
	with.msg = encode(a)
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	if err := s.moveDead(ctx, []Dead{d}, []scriptCall{s.replayCall(d, a.Limit, with)}, []int{0}, answers); err != nil {
		return err // whether it was replayed is not known: the sweep finds out
	}
	if answers[0] != nil {
		s.letGo(ctx, refs[0])
	}
	return answers[0]
}

// changed is the request that hands the task over again.
func changed(d Dead, change tasks.Replay) tasks.Request {
	r := tasks.Request{Kind: d.Kind, Payload: d.Payload, Options: *d.Options}
	if len(change.Payload) > 0 {
		r.Payload = change.Payload
	}
	if change.Options.Timeout != 0 {
		r.Options.Timeout = change.Options.Timeout
	}
	if change.Options.MaxRetry != nil {
		r.Options.MaxRetry = change.Options.MaxRetry
	}
	if change.Options.Retention != 0 {
		r.Options.Retention = change.Options.Retention
	}
	return r
}

// DeleteDead deletes dead letters for good. The answers have the order of the
// letters: nil, or ErrNotDead if somebody has dealt with the letter already.
func (s *Store) DeleteDead(ctx context.Context, letters ...Dead) ([]error, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	answers, calls, index := make([]error, len(letters)), make([]scriptCall, len(letters)), make([]int, len(letters))
	for i, d := range letters {
		index[i] = i
		calls[i] = scriptCall{
			keys: []string{broker.TaskKey(d.Queue, d.ID), broker.QueueKey(d.Queue, "archived")},
			args: []any{d.ID, d.Queue, d.fence, "delete"},
		}
	}
	return answers, s.moveDead(ctx, letters, calls, index, answers)
}

// EachDead hands the dead letters that the filter chooses to do, the oldest
// first and at most size at a time, until it returns false. Letters that failed
// or were replayed since the given time are left out, so that what fails again
// is not met again.
func (s *Store) EachDead(ctx context.Context, f tasks.DeadFilter, since time.Time, size int, do func([]Dead) (more bool, err error)) error {
	if f.Before.IsZero() || f.Before.After(since) {
		f.Before = since
	}
	w := s.walkDead(f, false, deadPage)
	var page []Dead
	for {
		r, err := w.next(ctx)
		if err != nil {
			return err
		}
		if r != nil && fits(f, r.letter) && (r.letter.Replayed == nil || r.letter.Replayed.At.Before(since)) {
			page = append(page, r.letter)
		}
		if len(page) == size || r == nil && len(page) > 0 {
			more, err := do(page)
			if err != nil || !more {
				return err
			}
			page = nil
		}
		if r == nil {
			return nil
		}
	}
}
