package results

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
)

const (
	// batchQuiet is how long a batch may go without progress before a recovery
	// looks at it.
	batchQuiet = 5 * time.Second
	// maxOpenBatches bounds how many batches one recovery looks at.
	maxOpenBatches = 1000
	// recoverUnits bounds how many units of one batch it looks at.
	recoverUnits = 2000
)

// tendBatches recovers batches until ctx ends.
func (s *Store) tendBatches(ctx context.Context) {
	tick := time.NewTicker(orphansEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// What went wrong with a batch is looked at again the next time.
			_ = s.RecoverBatches(ctx)
		}
	}
}

// RecoverBatches takes every unfinished batch further that nobody has taken
// further lately: units that were not queued, units whose end was not noted,
// callbacks that were not enqueued. Any number of processes may do so at once.
func (s *Store) RecoverBatches(ctx context.Context) error {
	ids, err := s.broker.Client().ZRangeWithScores(ctx, batchesKey, 0, maxOpenBatches-1).Result()
	if err != nil {
		return fmt.Errorf("list batches: %w", s.broker.Explain(err))
	}
	var errs []error
	for _, z := range ids {
		id, _ := z.Member.(string)
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, s.recoverBatch(ctx, id, time.UnixMilli(int64(z.Score))))
	}
	return errors.Join(errs...)
}

func (s *Store) recoverBatch(ctx context.Context, id string, listed time.Time) error {
	b, p, err := s.readBatch(ctx, id)
	now := s.now()
	switch {
	case errors.Is(err, ErrNoBatch):
		if now.Sub(listed) > lostAfter {
			err = s.broker.Client().ZRem(ctx, batchesKey, id).Err()
			return s.broker.Explain(err)
		}
		return nil
	case err != nil:
		return err
	case b.state == "finished":
		return s.broker.Explain(s.broker.Client().ZRem(ctx, batchesKey, id).Err())
	case now.Sub(b.touched) < batchQuiet:
		return nil
	case b.state == "creating":
		return s.expandBatch(ctx, id, nil)
	case !b.canceled.IsZero():
		// Whoever canceled it may not have got through.
		return s.withdrawBatch(ctx, id)
	}
	open, final, err := s.openUnits(ctx, b, p)
	if err != nil {
		return err
	}
	// For a while nobody else need look. The batch is not finished: the key is there.
	if err := s.broker.Client().HSet(ctx, batchKey(id), "touched", now.UnixMilli()).Err(); err != nil {
		return s.broker.Explain(err)
	}
	if len(open) > recoverUnits { // a part in turn: all of it in few looks
		from := int(now.Unix()) / int(batchQuiet.Seconds()) * recoverUnits % len(open)
		open = open[from:min(len(open), from+recoverUnits)]
	}
	return s.reconcile(ctx, b, open, final)
}

// reconcile notes those of the open units that are final.
func (s *Store) reconcile(ctx context.Context, b batch, open []unit, final string) error {
	states, err := s.unitStates(ctx, open)
	if err != nil {
		return err
	}
	// Tasks that went on alone are units too.
	left := aloneUnits(open, states, final)
	if err := s.note(ctx, open, states); err != nil {
		return err
	}
	if states, err = s.unitStates(ctx, left); err != nil {
		return err
	}
	if err := s.note(ctx, left, states); err != nil {
		return err
	}
	if len(open) == 0 && b.done >= b.total {
		return s.finishBatch(ctx, b.id) // all is noted, only the end is missing
	}
	return nil
}

// openUnits lists the units that are not noted as final, those included that
// left a bundle which is, and returns the bits of those that are.
func (s *Store) openUnits(ctx context.Context, b batch, p plan) (open []unit, final string, err error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	var done, alone *redis.StringCmd
	_, err = s.broker.Client().Pipelined(ctx, func(pipe redis.Pipeliner) error {
		done, alone = pipe.Get(ctx, doneKey(b.id)), pipe.Get(ctx, aloneKey(b.id))
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, "", fmt.Errorf("read batch %s: %w", b.id, s.broker.Explain(err))
	}
	for _, u := range p.units(b) {
		if !bitSet(done.Val(), u.bit) {
			open = append(open, u)
			continue
		}
		for _, n := range u.tasks {
			if u.bundled() && bitSet(alone.Val(), n) && !bitSet(done.Val(), unitBit(n, false)) {
				open = append(open, loneUnit(b.id, n, p.kind(p.places[n])))
			}
		}
	}
	return open, done.Val(), nil
}

// aloneUnits lists the tasks that left bundles and are not noted as final.
func aloneUnits(units []unit, states []unitState, final string) []unit {
	var left []unit
	for i, st := range states {
		for text := range strings.SplitSeq(strings.TrimSuffix(st.alone, ","), ",") {
			if n, err := strconv.Atoi(text); err == nil && !bitSet(final, unitBit(n, false)) {
				left = append(left, unit{
					batch: units[i].batch, id: itemID(units[i].batch, n), queue: units[i].queue, bit: unitBit(n, false), tasks: []int{n},
				})
			}
		}
	}
	return left
}

// CancelBatch withdraws a batch: its tasks that wait are canceled at once,
// those that run are asked to stop. ErrFinal tells that it had ended.
func (s *Store) CancelBatch(ctx context.Context, id string) error {
	b, _, err := s.readBatch(ctx, id)
	switch {
	case err != nil:
		return err
	case !b.finished.IsZero():
		return ErrFinal
	}
	err = s.broker.Client().HSetNX(ctx, batchKey(id), "cancel", s.now().UnixMilli()).Err()
	if err != nil {
		return fmt.Errorf("cancel batch %s: %w", id, s.broker.Explain(err))
	}
	// One whose units are still being queued is opened first, without the rest.
	if err := s.expandBatch(ctx, id, nil); err != nil {
		return err
	}
	return s.withdrawBatch(ctx, id)
}

// withdrawBatch cancels every unit of a canceled batch and notes them.
func (s *Store) withdrawBatch(ctx context.Context, id string) error {
	b, p, err := s.readBatch(ctx, id)
	if err != nil || b.state != "open" {
		return err
	}
	open, final, err := s.openUnits(ctx, b, p)
	if err != nil {
		return err
	}
	if err := s.cancelUnits(ctx, open); err != nil {
		return err
	}
	// A canceled bundle lets nothing go on alone: those that did are all there.
	states, err := s.unitStates(ctx, open)
	if err != nil {
		return err
	}
	if err := s.cancelUnits(ctx, aloneUnits(open, states, final)); err != nil {
		return err
	}
	return s.reconcile(ctx, b, open, final)
}

func (s *Store) cancelUnits(ctx context.Context, units []unit) error {
	const page = 100
	for len(units) > 0 {
		some := units[:min(len(units), page)]
		units = units[len(some):]
		calls := make([]scriptCall, len(some))
		for i, u := range some {
			calls[i] = s.cancelCall(u.queue, u.id)
		}
		ctx, cancel := s.broker.CallContext(ctx)
		_, err := runAll(ctx, s.broker.Client(), cancelScript, calls)
		cancel()
		if err != nil {
			return fmt.Errorf("cancel units: %w", s.broker.Explain(err))
		}
	}
	return nil
}

// cancelCall is the call that cancels one asynq task.
func (s *Store) cancelCall(q, id string) scriptCall {
	now := s.now()
	return scriptCall{
		keys: []string{
			broker.TaskKey(q, id), broker.QueueKey(q, "pending"), broker.QueueKey(q, "scheduled"),
			broker.QueueKey(q, "retry"), broker.QueueKey(q, "completed"),
		},
		args: []any{id, now.UnixMilli(), now.Unix(), "canceled by a caller"},
	}
}
