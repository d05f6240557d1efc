package results

import (
	"context"
	_ "embed" // the scripts
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

//go:embed lua/batchnote.lua
var batchNoteSource string

//go:embed lua/batchfinish.lua
var batchFinishSource string

var (
	batchNoteScript   = redis.NewScript(broker.Spare + batchNoteSource)
	batchFinishScript = redis.NewScript(broker.Spare + batchFinishSource)
)

// unitFields are read in this order by parseUnitState.
var unitFields = []string{"state", "y_final", "y_batch", "y_completed", "y_archived", "y_canceled", "y_alone"}

// unitState is what has become of a unit's tasks.
type unitState struct {
	state                     tasks.State // empty: there is no such unit (any more)
	size                      int
	completed, archived, gone int
	alone                     string // numbers of the tasks that went on alone: "3,17,"
}

func parseUnitState(u unit, values []any) unitState {
	text := texts(values)
	number := func(i int) int { n, _ := strconv.Atoi(text(i)); return n }
	st := unitState{
		state: tasks.State(text(0)), size: max(1, number(2)),
		completed: number(3), archived: number(4), gone: number(5), alone: text(6),
	}
	if final := text(1); st.state == tasks.Completed && final != "" {
		st.state = tasks.State(final)
	}
	if st.state == "" {
		st.size = max(1, len(u.tasks))
	}
	return st
}

// ended counts the tasks of a final unit: those without a record ended as the
// unit did. A unit that is gone was withdrawn.
func (st unitState) ended() (completed, archived, gone int) {
	rest := max(0, st.size-st.completed-st.archived-st.gone-strings.Count(st.alone, ","))
	completed, archived, gone = st.completed, st.archived, st.gone
	switch st.state {
	case tasks.Completed:
		completed += rest
	case tasks.Archived:
		archived += rest
	default:
		gone += rest
	}
	return completed, archived, gone
}

// unitStates reads units in few round trips.
func (s *Store) unitStates(ctx context.Context, units []unit) ([]unitState, error) {
	states := make([]unitState, 0, len(units))
	for len(units) > 0 {
		page := units[:min(len(units), 500)]
		units = units[len(page):]
		ctx, cancel := s.broker.CallContext(ctx)
		cmds, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, u := range page {
				p.HMGet(ctx, u.key(), unitFields...)
			}
			return nil
		})
		cancel()
		if err != nil {
			return nil, fmt.Errorf("read units: %w", s.broker.Explain(err))
		}
		for i, cmd := range cmds {
			states = append(states, parseUnitState(page[i], cmd.(*redis.SliceCmd).Val()))
		}
	}
	return states, nil
}

// unitEnded notes that a unit became final, together with what other callers
// note at the same time.
func (s *Store) unitEnded(ctx context.Context, queue, id string) error {
	_, err := s.noted.do(ctx, unit{queue: queue, id: id})
	return err
}

// noteEnded notes in the background that a task of a batch is final: its slot
// need not wait for that.
func (a *Attempts) noteEnded(ctx context.Context, queue, id string) {
	a.noting.Go(func() {
		if err := a.store.unitEnded(context.WithoutCancel(ctx), queue, id); err != nil {
			a.log.Warn().Err(err).Str("task_id", id).Msg("end not noted in its batch: left to the recovery")
		}
	})
}

// noteEnded notes units that have just become final.
func (s *Store) noteEnded(ctx context.Context, ended []unit) ([]struct{}, error) {
	var known []unit
	for _, u := range ended {
		if batch, k, bundle, ok := splitUnit(u.id); ok {
			u.batch, u.bit = batch, unitBit(k, bundle)
			known = append(known, u)
		}
	}
	states, err := s.unitStates(ctx, known)
	if err != nil {
		return nil, err
	}
	return make([]struct{}, len(ended)), s.note(ctx, known, states)
}

// note notes those of the units that are final, and finishes batches that have
// thereby ended.
func (s *Store) note(ctx context.Context, units []unit, states []unitState) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	args := map[string][]any{}
	for i, u := range units {
		if st := states[i]; st.state == "" || st.state.Final() {
			completed, archived, gone := st.ended()
			args[u.batch] = append(args[u.batch], u.bit, completed, archived, gone, st.alone)
		}
	}
	var batches []string
	var calls []scriptCall
	for id, of := range args {
		batches = append(batches, id)
		calls = append(calls, scriptCall{[]string{batchKey(id), doneKey(id), aloneKey(id)}, append([]any{s.now().UnixMilli()}, of...)})
	}
	if len(calls) == 0 {
		return nil
	}
	cmds, err := runAll(ctx, s.broker.Client(), batchNoteScript, calls)
	if err != nil {
		return fmt.Errorf("note final units: %w", s.broker.Explain(err))
	}
	var errs []error
	for i, cmd := range cmds {
		if code, _ := cmd.Int(); code == 1 {
			errs = append(errs, s.finishBatch(ctx, batches[i]))
		}
	}
	return errors.Join(errs...)
}

// batchMargin is how much longer than its results a batch is kept.
const batchMargin = time.Minute

// finishBatch queues the callback of a batch whose tasks are all final, and
// ends it. Done twice, the callback is known the second time.
func (s *Store) finishBatch(ctx context.Context, id string) error {
	b, _, err := s.readBatch(ctx, id)
	if err != nil || b.state == "finished" {
		return err
	}
	if b.callback != "" {
		var r tasks.Request
		if err := json.Unmarshal([]byte(b.callback), &r); err != nil {
			return fmt.Errorf("read the callback of batch %s: %w", id, err)
		}
		if _, err := s.Admit(ctx, Admission{ID: CallbackID(id), Request: r, Limit: noLimit, Trace: b.place()}); err != nil {
			return fmt.Errorf("callback of batch %s: %w", id, err)
		}
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	keys := []string{batchKey(id), mapKey(id), doneKey(id), aloneKey(id)}
	err = batchFinishScript.Run(ctx, s.broker.Client(), keys, id, int64((b.retention + batchMargin).Seconds())).Err()
	if err == nil {
		err = s.broker.Client().ZRem(ctx, batchesKey, id).Err()
	}
	if err != nil {
		return fmt.Errorf("finish batch %s: %w", id, s.broker.Explain(err))
	}
	return nil
}
