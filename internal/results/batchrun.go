package results

import (
	"context"
	_ "embed" // the script
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// BundleTime is how long a bundle keeps its slot before the tasks that it has
	// not begun go on alone: slow tasks gain nothing by a bundle, and would wait
	// for each other while other slots are free.
	BundleTime = 200 * time.Millisecond
	// FlushEvery is how long a task that ended waits for its commit, at most.
	FlushEvery = 50 * time.Millisecond
	// flushMost and flushBytes bound how much waits for one.
	flushMost, flushBytes = bundleTasks, 256 << 10
	// lookEvery is how often a bundle looks for cancels while nothing ends.
	lookEvery = time.Second
	// keptInline is the largest result that is kept in a bundle; the task of a
	// larger one becomes a task of its own as it is, as does that of one in the
	// blob store: a blob lives as long as the record that names it.
	keptInline = 16 << 10
)

// ErrLate tells that a later attempt owns the bundle.
var ErrLate = errors.New("a later attempt owns the bundle")

//go:embed lua/bundleflush.lua
var bundleFlushSource string

var bundleFlushScript = redis.NewScript(broker.Spare + bundleFlushSource)

// Bundle is a running attempt of a bundle: it commits its tasks a few at a
// time. One goroutine begins and ends tasks; any may flush and cancel.
type Bundle struct {
	attempts         *Attempts
	id, batch, queue string
	kind             string
	retention        tasks.Duration
	fence            int64
	todo             []BundleTask
	scattered        bool
	// Trace is where in a trace the batch was handed over.
	Trace trace.Carried

	flushing sync.Mutex // held during a round trip

	mu        sync.Mutex
	waiting   []flushed // ended, but not committed yet
	bytes     int
	current   int // the number of the task that runs, or -1
	told      int // the task that Redis knows to run
	began     time.Time
	flushedAt time.Time
	cancel    context.CancelCauseFunc // of the task that runs
	stop      context.CancelCauseFunc // of the bundle
	cause     error                   // of a cancel
	skip      map[int]bool            // canceled one by one
}

// flushed is a task that ended in its bundle (a record) or leaves it.
type flushed struct {
	number int
	record record
	alone  *aloneTask
}

func (f flushed) size() int {
	if f.alone != nil {
		return len(f.alone.msg) + len(f.alone.result)
	}
	return len(f.record.result)
}

// aloneTask is a task that leaves its bundle, in one of the states pending,
// retry, archived and completed.
type aloneTask struct {
	msg     []byte
	id, sum string
	state   tasks.State
	score   float64
	started time.Time
	err     *tasks.Error
	result  []byte
	cached  string
}

// OpenBundle begins the attempt of a bundle that this node has taken. The
// cause is what a cancel ends the context of a task, or by stop of the whole
// bundle, with.
func (a *Attempts) OpenBundle(ctx context.Context, id string, payload []byte, stop context.CancelCauseFunc, cause error) (*Bundle, error) {
	a.mu.Lock()
	t := a.running[id]
	a.mu.Unlock()
	batchID, _, _, ok := splitUnit(id)
	if t == nil || !ok {
		return nil, fmt.Errorf("open bundle %s: %w", id, ErrLate)
	}
	b := &Bundle{
		attempts: a, id: id, batch: batchID, queue: t.queue, kind: strings.TrimSuffix(t.queue, ":bulk"), fence: t.fence,
		current: -1, told: -1, flushedAt: time.Now(), stop: stop, cause: cause, skip: map[int]bool{},
	}
	if err := json.Unmarshal(payload, &b.todo); err != nil {
		return nil, tasks.Invalid("payload", "is no bundle: "+err.Error())
	}
	seen, err := b.ended(ctx, t.begun)
	if err != nil {
		return nil, fmt.Errorf("open bundle %s: %w", id, a.store.broker.Explain(err))
	}
	todo := b.todo[:0]
	for _, item := range b.todo {
		if !seen[item.Number] {
			todo = append(todo, item)
		}
	}
	b.todo = todo
	a.mu.Lock()
	a.bundles[id] = b
	a.mu.Unlock()
	return b, nil
}

// begun is what Redis tells of a bundle when it is taken.
type begun struct {
	crashed   bool // an earlier attempt broke off
	canceled  string
	retention time.Duration
}

// readBegun reads what the take script adds for a task of a batch: crashes,
// attempts, tasks canceled one by one, retention.
func readBegun(f []any) begun {
	crashes, _ := f[0].(string)
	attempts, _ := f[1].(int64)
	canceled, _ := f[2].(string)
	kept, _ := f[3].(string)
	seconds, _ := strconv.Atoi(kept)
	return begun{crashed: crashes != "" || attempts > 1, canceled: canceled, retention: time.Duration(seconds) * time.Second}
}

// ended tells which tasks have a record already.
func (b *Bundle) ended(ctx context.Context, known begun) (map[int]bool, error) {
	b.scattered, b.retention = known.crashed, tasks.Duration(max(known.retention, tasks.MinBatchRetention))
	b.skipAll(known.canceled)
	seen := maps.Clone(b.skip)
	if b.fence == 1 { // nothing can have a record but by a cancel
		return seen, nil
	}
	fields := make([]string, len(b.todo))
	for i, item := range b.todo {
		fields[i] = recordField(item.Number)
	}
	ctx, cancel := b.attempts.store.broker.CallContext(ctx)
	defer cancel()
	records, err := b.attempts.store.broker.Client().HMGet(ctx, broker.TaskKey(b.queue, b.id), fields...).Result()
	if err != nil {
		return nil, err
	}
	for i, r := range records {
		if r != nil {
			seen[b.todo[i].Number] = true
		}
	}
	return seen, nil
}

// skipAll marks tasks as canceled, given as "3,17,"; b.mu is held or b is new.
func (b *Bundle) skipAll(numbers string) {
	for text := range strings.SplitSeq(strings.TrimSuffix(numbers, ","), ",") {
		if n, err := strconv.Atoi(text); err == nil {
			b.skip[n] = true
		}
	}
}

// Todo lists the tasks that have not ended in an earlier attempt.
func (b *Bundle) Todo() []BundleTask { return b.todo }

// Scattered reports that an earlier attempt of the bundle broke off, so that
// each task is to go on alone: one of them may be what killed it.
func (b *Bundle) Scattered() bool { return b.scattered }

// ItemID is the id of a task of the bundle.
func (b *Bundle) ItemID(n int) string { return itemID(b.batch, n) }

// Begin notes that a task runs, and that cancel ends it. It reports false if
// the task was canceled.
func (b *Bundle) Begin(n int, cancel context.CancelCauseFunc) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.skip[n] {
		return false
	}
	b.current, b.began, b.cancel = n, time.Now(), cancel
	return true
}

// Canceled ends the context of a task, now or when it would begin.
func (b *Bundle) canceled(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.skip[n] = true
	b.cancelCurrent()
}

// cancelCurrent ends the task that runs if it was canceled; b.mu is held.
func (b *Bundle) cancelCurrent() {
	if b.current >= 0 && b.skip[b.current] && b.cancel != nil {
		b.cancel(b.cause)
	}
}

// End notes how the task that Begin began has ended. What failed goes on
// alone, as it would if it had been a task of its own: due again after
// retryIn, or as a dead letter. Full reports that it is time to flush.
func (b *Bundle) End(item BundleTask, o Outcome, retryIn time.Duration) (full bool) {
	now := b.attempts.store.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	began := b.began
	b.current, b.cancel = -1, nil
	f := flushed{number: item.Number, record: record{
		started: began, ended: now, attempts: 1, peak: o.PeakMemory, node: b.attempts.node,
	}}
	switch {
	case o.Mode == Requeue:
		return false // it did not end: the next attempt begins it anew
	case o.Mode == CancelIt:
		f.record.state = tasks.Canceled
		if o.Error != nil {
			f.record.result = []byte(o.Error.Message)
		}
	case o.Mode == Complete && len(o.Result) <= keptInline && !blob.IsMarker(o.Result):
		f.record.state, f.record.result, f.record.cached = tasks.Completed, o.Result, o.Cached
	default:
		f.alone = b.alone(item, o, began, now.Add(retryIn))
	}
	b.add(f)
	return len(b.waiting) >= flushMost || b.bytes >= flushBytes
}

// add puts a task among those to commit; b.mu is held.
func (b *Bundle) add(f flushed) {
	b.waiting = append(b.waiting, f)
	b.bytes += f.size()
}

// Alone sends tasks that have not begun on as tasks of their own.
func (b *Bundle) Alone(items []BundleTask) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, item := range items {
		if b.skip[item.Number] {
			continue
		}
		b.add(flushed{number: item.Number, alone: b.alone(item, Outcome{}, time.Time{}, time.Time{})})
	}
}

// Close forgets the bundle, once it is flushed for the last time.
func (b *Bundle) Close() {
	b.attempts.mu.Lock()
	defer b.attempts.mu.Unlock()
	delete(b.attempts.bundles, b.id)
}
