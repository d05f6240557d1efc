package results

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// listPage is how many tasks are read in one round trip.
	listPage = 200
	// listMost bounds how many tasks one listing reads, whatever it keeps.
	listMost = 5000
)

// ListFilter chooses tasks; its zero value chooses all.
type ListFilter struct {
	Kind   string
	State  tasks.State
	Reason tasks.Reason
	// Skip leaves out the first that fit, Limit bounds the answer; 0 means 50.
	Skip, Limit int
}

// Listing is a part of the tasks that fit a filter, without their results.
type Listing struct {
	Tasks []tasks.Task
	// More tells that there are more that fit, Cut that the search ended before
	// all tasks had been looked at.
	More, Cut bool
}

// List lists tasks as they lie in Redis: what runs, what waits in the order in
// which it is taken, and what ended, the latest first. Tasks in a bundle are
// not listed one by one.
func (s *Store) List(ctx context.Context, f ListFilter) (Listing, error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	l := &lister{store: s, filter: f}
	for _, state := range listedStates(f.State) {
		for _, q := range tasks.Queues() {
			if f.Kind != "" && q != tasks.Queue(f.Kind) && q != tasks.BulkQueue(f.Kind) {
				continue
			}
			if done, err := l.queue(ctx, q, state); done || err != nil {
				return l.found, err
			}
		}
	}
	return l.found, nil
}

// listedStates are asynq's lists in which tasks of a state lie, in the order
// of the answer.
func listedStates(s tasks.State) []tasks.State {
	switch s {
	case "":
		return []tasks.State{tasks.Active, tasks.Retry, tasks.Pending, tasks.Scheduled, tasks.Archived, tasks.Completed}
	case tasks.Canceled:
		return []tasks.State{tasks.Completed}
	}
	return []tasks.State{s}
}

type lister struct {
	store  *Store
	filter ListFilter
	found  Listing
	fit    int // tasks that fitted so far
	read   int
}

// queue lists one of asynq's lists; done tells that the answer is full.
func (l *lister) queue(ctx context.Context, queue string, state tasks.State) (done bool, err error) {
	for offset := int64(0); ; offset += listPage {
		if l.read >= listMost {
			l.found.Cut = true
			return true, nil
		}
		ids, err := l.store.ids(ctx, queue, state, offset)
		if err != nil {
			return false, err
		}
		page, err := l.store.briefs(ctx, queue, ids)
		if err != nil {
			return false, err
		}
		l.read += len(ids)
		for _, t := range page {
			if !l.fits(t, state) {
				continue
			}
			if l.fit++; l.fit <= l.filter.Skip {
				continue
			}
			if len(l.found.Tasks) == l.filter.Limit {
				l.found.More = true
				return true, nil
			}
			l.found.Tasks = append(l.found.Tasks, t)
		}
		if len(ids) < listPage {
			return false, nil
		}
	}
}

// fits reports whether a task that lay in a state's list belongs to the answer.
// One that has moved on meanwhile is met elsewhere.
func (l *lister) fits(t tasks.Task, state tasks.State) bool {
	there := t.State == state || state == tasks.Completed && t.State == tasks.Canceled
	return there && (l.filter.State == "" || t.State == l.filter.State) &&
		(l.filter.Reason == "" || t.Error != nil && t.Error.Reason == l.filter.Reason)
}

// ids reads a page of one of asynq's lists.
func (s *Store) ids(ctx context.Context, queue string, state tasks.State, offset int64) ([]string, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	key, c := broker.QueueKey(queue, string(state)), s.broker.Client()
	var cmd *redis.StringSliceCmd
	switch state {
	case tasks.Pending, tasks.Active:
		// The last one is taken next.
		cmd = c.LRange(ctx, key, -offset-listPage, -offset-1)
	case tasks.Scheduled, tasks.Retry:
		cmd = c.ZRange(ctx, key, offset, offset+listPage-1)
	default:
		cmd = c.ZRevRange(ctx, key, offset, offset+listPage-1)
	}
	ids, err := cmd.Result()
	if err != nil {
		return nil, fmt.Errorf("list %s tasks: %w", state, s.broker.Explain(err))
	}
	if state == tasks.Pending || state == tasks.Active {
		for i, j := 0, len(ids)-1; i < j; i, j = i+1, j-1 {
			ids[i], ids[j] = ids[j], ids[i]
		}
	}
	return ids, nil
}

// briefs reads tasks of one queue without their results, which may be large.
func (s *Store) briefs(ctx context.Context, queue string, ids []string) ([]tasks.Task, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	fields := recordFields[:len(recordFields)-1] // the result is the last
	cmds, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids {
			p.HMGet(ctx, broker.TaskKey(queue, id), fields...)
		}
		return nil
	})
	if err = broker.Trouble(cmds, err); err != nil {
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
