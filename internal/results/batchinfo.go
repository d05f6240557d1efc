package results

import (
	"context"
	"strings"

	"github.com/jobyard/jobyard/tasks"
)

// BatchInfo tells how far a batch is. It reads every unit that is not final.
func (s *Store) BatchInfo(ctx context.Context, id string) (tasks.BatchInfo, error) {
	b, p, err := s.readBatch(ctx, id)
	if err != nil {
		return tasks.BatchInfo{}, err
	}
	info := tasks.BatchInfo{
		ID: id, Total: b.total, Kinds: b.kinds, CreatedAt: b.created, FinishedAt: b.finished, Counts: map[tasks.State]int{},
	}
	if b.callback != "" {
		info.Callback = CallbackID(id)
	}
	count := func(state tasks.State, n int) {
		if n > 0 {
			info.Counts[state] += n
		}
	}
	count(tasks.Completed, b.completed)
	count(tasks.Archived, b.archived)
	count(tasks.Canceled, b.gone)
	if b.done < b.total {
		if err := s.countOpen(ctx, b, p, count); err != nil {
			return info, err
		}
	}
	// What is left waits, as what is not queued yet.
	counted := 0
	for _, n := range info.Counts {
		counted += n
	}
	count(tasks.Pending, b.total-counted)
	return info, nil
}

// countOpen counts the tasks of units that are not noted as final, except
// those that are pending.
func (s *Store) countOpen(ctx context.Context, b batch, p plan, count func(tasks.State, int)) error {
	open, final, err := s.openUnits(ctx, b, p)
	if err != nil {
		return err
	}
	states, err := s.unitStates(ctx, open)
	if err != nil {
		return err
	}
	left := aloneUnits(open, states, final)
	leftStates, err := s.unitStates(ctx, left)
	if err != nil {
		return err
	}
	open, states = append(open, left...), append(states, leftStates...)
	for i, u := range open {
		st := states[i]
		switch {
		case st.state == "" && b.state == "creating" && b.canceled.IsZero():
			continue // not queued yet
		case st.state == "" || st.state.Final():
			completed, archived, gone := st.ended()
			count(tasks.Completed, completed)
			count(tasks.Archived, archived)
			count(tasks.Canceled, gone)
			continue
		case !u.bundled():
			if st.state != tasks.Pending {
				count(st.state, 1)
			}
			continue
		}
		count(tasks.Completed, st.completed)
		count(tasks.Archived, st.archived)
		count(tasks.Canceled, st.gone)
		ended := st.completed + st.archived + st.gone + strings.Count(st.alone, ",")
		if st.state == tasks.Active && ended < st.size {
			count(tasks.Active, 1) // they run one after the other
		}
	}
	return nil
}
