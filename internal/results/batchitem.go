package results

import (
	"bytes"
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

//go:embed lua/bundlecancel.lua
var bundleCancelSource string

var bundleCancelScript = redis.NewScript(broker.Spare + bundleCancelSource)

// recordAlone stands in for the record of a task that left its bundle.
const recordAlone = "alone"

// record is how a task in a bundle ended: a line of words, and its result or,
// if it was canceled, why.
type record struct {
	state          tasks.State
	started, ended time.Time
	attempts       int
	peak           int64
	node           string
	cached         string // the tier of the cache that the result is from
	result         []byte
}

func recordField(n int) string { return "i:" + strconv.Itoa(n) }

func (r record) bytes() []byte {
	out := make([]byte, 0, 96+len(r.result))
	out = append(append(out, r.state...), ' ')
	out = append(strconv.AppendInt(out, int64(r.attempts), 10), ' ')
	out = append(appendMilli(out, r.started), ' ')
	out = append(appendMilli(out, r.ended), ' ')
	out = append(strconv.AppendInt(out, r.peak, 10), ' ')
	out = append(out, r.node...)
	if r.cached != "" { // an older version reads those without
		out = append(append(out, ' '), r.cached...)
	}
	out = append(out, '\n')
	return append(out, r.result...)
}

func appendMilli(out []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(out, '0')
	}
	return strconv.AppendInt(out, t.UnixMilli(), 10)
}

func parseRecord(text string) (record, bool) {
	line, rest, ok := bytes.Cut([]byte(text), []byte{'\n'})
	words := strings.Split(string(line), " ")
	if !ok || len(words) < 6 || len(words) > 7 {
		return record{}, false
	}
	words = append(words, "")
	number := func(i int) int64 { n, _ := strconv.ParseInt(words[i], 10, 64); return n }
	moment := func(i int) time.Time {
		if ms := number(i); ms > 0 {
			return time.UnixMilli(ms).UTC()
		}
		return time.Time{}
	}
	return record{
		state: tasks.State(words[0]), attempts: int(number(1)), started: moment(2), ended: moment(3),
		peak: number(4), node: words[5], cached: words[6], result: rest,
	}, true
}

// canceledError is what a task says that was canceled.
func canceledError() *tasks.Error {
	return &tasks.Error{Reason: tasks.ReasonCanceled, Message: "canceled by a caller"}
}

// fill gives the task what its record says.
func (r record) fill(t *tasks.Task) {
	t.State, t.Attempts, t.StartedAt, t.FinishedAt, t.PeakMemory = r.state, r.attempts, r.started, r.ended, r.peak
	if t.Node = r.node; r.state == tasks.Completed {
		t.Result, t.Cached = r.result, r.cached
		return
	}
	t.Error = canceledError()
	if len(r.result) > 0 {
		t.Error.Message = string(r.result)
	}
}

// bundleFields are read before the records of a bundle's tasks.
var bundleFields = append([]string{"y_cur"}, recordFields...)

// bundledTask is a task as its bundle knows it; alone tells to look for it
// elsewhere.
func bundledTask(u unit, n int, values []any, text string) (t tasks.Task, alone, ok bool) {
	bundle, ok := parse(u.id, u.queue, values[1:len(bundleFields)])
	if !ok {
		return t, false, false
	}
	t = tasks.Task{ID: itemID(u.batch, n), Kind: bundle.Kind, Queue: u.queue, State: tasks.Pending, EnqueuedAt: bundle.EnqueuedAt}
	if text == recordAlone {
		return t, true, true
	}
	if r, ok := parseRecord(text); ok {
		r.fill(&t)
		return t, false, true
	}
	switch {
	case bundle.State.Final():
		// It ended as its bundle did: canceled, or put aside after crashes.
		t.State, t.FinishedAt, t.Error = bundle.State, bundle.FinishedAt, bundle.Error
	case bundle.State == tasks.Active:
		current, _ := values[0].(string)
		if number, since, _ := strings.Cut(current, " "); number == strconv.Itoa(n) {
			ms, _ := strconv.ParseInt(since, 10, 64)
			t.State, t.Attempts, t.Node, t.StartedAt = tasks.Active, 1, bundle.Node, time.UnixMilli(ms).UTC()
		}
	}
	return t, false, true
}

// batched returns a task of a batch that is no asynq task of its own, or has
// only just become one.
func (s *Store) batched(ctx context.Context, id string, n int) (tasks.Task, error) {
	found, err := s.batchPage(ctx, id, n, 1)
	switch {
	case errors.Is(err, ErrNoBatch), err == nil && (len(found) == 0 || found[0].State == ""):
		return tasks.Task{}, ErrNotFound
	case err != nil:
		return tasks.Task{}, err
	}
	return found[0], nil
}

// missing is a task whose unit is not there: not queued yet, withdrawn before
// it was, or no longer kept. The last has no state.
func missing(b batch, t tasks.Task) tasks.Task {
	switch {
	case !b.canceled.IsZero():
		t.State, t.FinishedAt, t.Error = tasks.Canceled, b.canceled, canceledError()
	case b.state == "creating":
		t.State = tasks.Pending
	}
	t.EnqueuedAt = b.created
	return t
}

// cancelBundled cancels a task in a bundle. Its answers are those of the
// cancel script.
func (s *Store) cancelBundled(ctx context.Context, id string) (int, error) {
	batchID, n, ok := splitItem(id)
	if !ok {
		return 0, nil
	}
	b, p, err := s.readBatch(ctx, batchID)
	if err != nil || n >= len(p.places) {
		return 0, ignore(err, ErrNoBatch)
	}
	if b.state == "creating" {
		if err := s.expandBatch(ctx, batchID, nil); err != nil {
			return 0, err
		}
	}
	pl := p.places[n]
	if pl.unit == lone {
		call := s.cancelCall(tasks.BulkQueue(p.kind(pl)), id)
		return cancelScript.Run(ctx, s.broker.Client(), call.keys, call.args...).Int()
	}
	u := bundleUnit(b.id, int(pl.unit), p.kind(pl))
	canceled := record{state: tasks.Canceled, ended: s.now()}
	code, err := bundleCancelScript.Run(ctx, s.broker.Client(), []string{u.key()}, n, canceled.bytes(), batchID).Int()
	if err == nil && code == -2 { // it has gone on alone this moment
		call := s.cancelCall(u.queue, id)
		code, err = cancelScript.Run(ctx, s.broker.Client(), call.keys, call.args...).Int()
	}
	if err != nil {
		return 0, fmt.Errorf("cancel in bundle %s: %w", u.id, err)
	}
	return code, nil
}

// ignore drops one error.
func ignore(err, that error) error {
	if errors.Is(err, that) {
		return nil
	}
	return err
}

// ownFields are a task's own record without its result.
var ownFields = recordFields[:len(recordFields)-1]

// readOwn reads a task of a batch that is a unit of its own, without its
// result, and how long that is.
func readOwn(ctx context.Context, p redis.Pipeliner, queue, id string) (*redis.SliceCmd, *redis.IntCmd) {
	key := broker.TaskKey(queue, id)
	return p.HMGet(ctx, key, ownFields...), p.HStrLen(ctx, key, "result")
}
