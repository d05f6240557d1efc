// Package results keeps what becomes of a task: its admission, its attempts,
// its one committed result, and the events that wake whoever waits for it.
//
// The record of a task is a few fields (y_*) in the hash that asynq keeps for
// it, so that both live and end together. Four scripts change it, each in one
// step with asynq's own lists:
//
//	admit ─▶ pending/scheduled ─take─▶ active ─settle─▶ completed | archived | canceled
//	                 ▲                    │
//	                 └──── retry ◀──settle┘
//
// Every attempt has a fence, a number that only grows; settle refuses an
// attempt whose fence is no longer the newest. So a task may be started more
// than once, but it is committed once.
package results

import (
	"cmp"
	"context"
	_ "embed" // the scripts
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// ErrNotFound tells that no task has the id, or that it is no longer kept.
var ErrNotFound = errors.New("no such task")

// ErrFinal tells that a task has ended and cannot be canceled.
var ErrFinal = errors.New("the task has ended already")

//go:embed lua/admit.lua
var admitSource string

//go:embed lua/take.lua
var takeSource string

//go:embed lua/settle.lua
var settleSource string

//go:embed lua/cancel.lua
var cancelSource string

//go:embed lua/forward.lua
var forwardSource string

var (
	admitScript  = redis.NewScript(admitSource)
	takeScript   = redis.NewScript(takeSource)
	settleScript = redis.NewScript(settleSource)
	cancelScript = redis.NewScript(broker.Spare + cancelSource)

	forwardScript = redis.NewScript(forwardSource)
)

// Store reads and changes the records of tasks.
type Store struct {
	broker   *broker.Broker
	now      func() time.Time
	admitted *combiner[*Admission, error]
	noted    *combiner[unit, struct{}]
	records  *combiner[string, *redis.SliceCmd]
	packer   *packer
	blobs    *blob.Store
	memory   guard
	rates    rates
}

// New returns the records in the broker's Redis, with a blob store there too.
func New(b *broker.Broker) *Store { return NewWith(b, blob.New(b)) }

// NewWith returns the records in the broker's Redis; large payloads and results
// lie in the blob store.
func NewWith(b *broker.Broker, blobs *blob.Store) *Store {
	s := &Store{broker: b, now: time.Now, packer: newPacker(), blobs: blobs}
	s.admitted = &combiner[*Admission, error]{broker: b, most: 200, flights: 2, send: s.admit}
	s.noted = &combiner[unit, struct{}]{broker: b, most: 500, flights: 1, send: s.noteEnded}
	s.records = &combiner[string, *redis.SliceCmd]{broker: b, most: 100, flights: 2, send: s.read}
	return s
}

// recordFields are read in this order by parse.
var recordFields = []string{
	"state", "y_final", "y_in", "y_att", "y_start", "y_fin", "y_node", "y_peak",
	"y_reason", "y_msg", "y_again", "y_fields", "y_re", "y_prog", "y_cached", "result",
}

// Get returns a task with its result or error. It is looked for in the given
// queues, or in every queue if none is given.
func (s *Store) Get(ctx context.Context, id string, queues ...string) (tasks.Task, error) {
	if !tasks.ValidID(id) {
		return tasks.Task{}, ErrNotFound
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	if len(queues) == 0 {
		queues = tasks.Queues()
	}
	keys := make([]string, len(queues))
	for i, q := range queues {
		keys[i] = broker.TaskKey(q, id)
	}
	records, err := s.lookUpAll(ctx, keys)
	if err != nil {
		return tasks.Task{}, fmt.Errorf("read task %s: %w", id, s.broker.Explain(err))
	}
	for i, record := range records {
		if t, ok := parse(id, queues[i], record.Val()); ok {
			err := s.resolve(ctx, &t)
			return t, err
		}
	}
	if batch, n, ok := splitItem(id); ok {
		return s.batched(ctx, batch, n)
	}
	return tasks.Task{}, ErrNotFound
}

// lookUpAll reads records. A single one, as whoever waits reads it, shares its
// round trip with what others read at the same time.
func (s *Store) lookUpAll(ctx context.Context, keys []string) (records []*redis.SliceCmd, err error) {
	if len(keys) > 1 {
		records, err = s.read(ctx, keys)
	} else if record, failed := s.records.do(ctx, keys[0]); failed == nil {
		records = []*redis.SliceCmd{record}
	} else {
		err = failed
	}
	for _, r := range records {
		if !broker.Foreign(r.Err()) {
			err = cmp.Or(err, r.Err())
		}
	}
	return records, err
}

// read reads records in one round trip. One that cannot be read says so itself.
func (s *Store) read(ctx context.Context, keys []string) ([]*redis.SliceCmd, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	records := make([]*redis.SliceCmd, len(keys))
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			records[i] = p.HMGet(ctx, key, recordFields...)
		}
		return nil
	})
	if err != nil && !slices.ContainsFunc(records, func(r *redis.SliceCmd) bool { return r.Err() != nil }) {
		return nil, err // it was not sent
	}
	return records, nil
}

// texts gives the fields of a record as HMGET answers it, "" for what is not there.
func texts(values []any) func(i int) string {
	return func(i int) string {
		if i >= len(values) {
			return ""
		}
		s, _ := values[i].(string)
		return s
	}
}

// parse reads a record, its result as it is kept; ok is false if there is none.
func parse(id, queue string, values []any) (t tasks.Task, ok bool) {
	f := make(map[string]string, len(values))
	for i, v := range values {
		if text, isText := v.(string); isText {
			f[recordFields[i]] = text
		}
	}
	if f["state"] == "" {
		return t, false
	}
	f["y_in"] = f["y_in"][min(len(f["y_in"]), fingerprintSize):]
	number := func(name string) int64 { n, _ := strconv.ParseInt(f[name], 10, 64); return n }
	moment := func(name string) time.Time {
		if ms := number(name); ms > 0 {
			return time.UnixMilli(ms).UTC()
		}
		return time.Time{}
	}
	t = tasks.Task{
		ID: id, Kind: tasks.KindOf(queue), Queue: queue, State: tasks.State(f["state"]), Attempts: int(number("y_att")),
		EnqueuedAt: moment("y_in"), StartedAt: moment("y_start"), FinishedAt: moment("y_fin"),
		Node: f["y_node"], PeakMemory: number("y_peak"),
	}
	if t.EnqueuedAt.IsZero() {
		t.EnqueuedAt = idTime(id)
	}
	t.Replayed = parseReplayed(f["y_re"])
	t.Progress = parseProgress(f["y_prog"], t)
	// asynq has no state for canceled: such a task lies among its completed ones.
	if t.State == tasks.Completed && f["y_final"] != "" {
		t.State = tasks.State(f["y_final"])
	}
	if t.State == tasks.Completed {
		t.Cached = f["y_cached"]
	}
	if t.State == tasks.Completed && f["result"] != "" {
		t.Result = json.RawMessage(f["result"])
	}
	if f["y_reason"] != "" && t.State != tasks.Completed {
		t.Error = &tasks.Error{Reason: tasks.Reason(f["y_reason"]), Message: f["y_msg"], Retryable: f["y_again"] == "1"}
		if f["y_fields"] != "" {
			// Written by us; a stranger's text is not worth failing the whole answer.
			_ = json.Unmarshal([]byte(f["y_fields"]), &t.Error.Fields)
		}
	}
	return t, true
}

// Cancel withdraws a task: one that waits is gone at once, one that runs is
// asked to stop. It returns the task as it then is.
func (s *Store) Cancel(ctx context.Context, id string) (tasks.Task, error) {
	t, err := s.Get(ctx, id)
	if err != nil {
		return t, err
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	call := s.cancelCall(t.Queue, id)
	n, err := cancelScript.Run(ctx, s.broker.Client(), call.keys, call.args...).Int()
	if err == nil && n == 0 {
		n, err = s.cancelBundled(ctx, id)
	}
	if err == nil && n == 3 {
		err = s.unitEnded(ctx, t.Queue, id)
	}
	switch {
	case err != nil:
		return t, fmt.Errorf("cancel task %s: %w", id, s.broker.Explain(err))
	case n == 0:
		return t, ErrNotFound
	case n == -1:
		return t, ErrFinal
	}
	return s.Get(ctx, id)
}

// canceled returns those of the tasks, given with their queues, that carry the
// mark of a cancel.
func (s *Store) canceled(ctx context.Context, queues map[string]string) ([]string, error) {
	if len(queues) == 0 {
		return nil, nil
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	marks := make(map[string]*redis.BoolCmd, len(queues))
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for id, q := range queues {
			marks[id] = p.HExists(ctx, broker.TaskKey(q, id), "y_cancel")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read cancel marks: %w", s.broker.Explain(err))
	}
	var ids []string
	for id, m := range marks {
		if m.Val() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
