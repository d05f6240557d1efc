package results

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// alone makes a task of its own of one that leaves its bundle: after an
// attempt that ended with the outcome, or without one yet.
func (b *Bundle) alone(item BundleTask, o Outcome, started, due time.Time) *aloneTask {
	retries := item.MaxRetry
	r := tasks.Request{Kind: b.kind, Payload: item.Payload, Options: tasks.Options{
		Queue: b.queue, Timeout: item.Timeout, MaxRetry: &retries, Retention: b.retention, NoCache: item.NoCache,
	}}
	id := b.ItemID(item.Number)
	a := &aloneTask{
		id: id, sum: fingerprint(r), msg: encode(&Admission{ID: id, Request: r, Trace: b.Trace, Linked: true}),
		state: tasks.Pending, started: started, err: o.Error, result: o.Result, cached: o.Cached,
	}
	if len(a.result) > inlineBytes { // the blob store had no room for it
		a.result = b.attempts.store.packer.pack(a.result)
	}
	now := b.attempts.store.now()
	switch {
	case o.Mode == Complete:
		a.state, a.score = tasks.Completed, float64(now.Add(time.Duration(b.retention)).Unix())
	case o.Mode == RetryIt && retries > 0:
		a.state, a.score = tasks.Retry, float64(due.UnixMilli())/1000
		a.msg = failedOnce(a.msg, 1, o.Error, now)
	case o.Mode == RetryIt || o.Mode == Archive:
		a.state, a.score = tasks.Archived, float64(now.Unix())
		a.msg = failedOnce(a.msg, 0, o.Error, now)
	}
	return a
}

// failedOnce adds to an encoded message what asynq notes of a failure: its
// message is a protocol buffer, to which fields may be appended.
func failedOnce(msg []byte, retried uint64, failure *tasks.Error, at time.Time) []byte {
	const fieldRetried, fieldError, fieldFailedAt = 6, 7, 11 // asynq v0.26, TaskMessage
	msg = protowire.AppendVarint(protowire.AppendTag(msg, fieldRetried, protowire.VarintType), retried)
	if failure != nil {
		msg = protowire.AppendString(protowire.AppendTag(msg, fieldError, protowire.BytesType), failure.Error())
	}
	return protowire.AppendVarint(protowire.AppendTag(msg, fieldFailedAt, protowire.VarintType), uint64(at.Unix()))
}

// Tick commits what has waited for FlushEvery, and looks for cancels now and
// then. It is called that often while tasks run.
func (b *Bundle) Tick(ctx context.Context) error {
	b.mu.Lock()
	idle := time.Since(b.flushedAt)
	slow := b.current >= 0 && b.current != b.told && time.Since(b.began) >= FlushEvery
	due := len(b.waiting) > 0 && idle >= FlushEvery || slow || idle >= lookEvery
	b.mu.Unlock()
	if !due {
		return nil
	}
	return b.Flush(ctx)
}

// Flush commits the tasks that have ended, in one round trip. It returns
// ErrLate if another attempt owns the bundle by now; after any other error the
// same tasks are committed by the next flush.
func (b *Bundle) Flush(ctx context.Context) error {
	b.flushing.Lock()
	defer b.flushing.Unlock()
	b.mu.Lock()
	some := b.waiting
	current, began := b.current, b.began
	b.mu.Unlock()
	if len(some) == 0 && current < 0 {
		return nil
	}
	keys, args := b.flushCall(some, current, began)
	ctx, cancel := b.attempts.store.broker.CallContext(ctx)
	defer cancel()
	answer, err := bundleFlushScript.Run(ctx, b.attempts.store.broker.Client(), keys, args...).Slice()
	if err == nil && len(answer) < 2 {
		err = errors.New("unexpected answer")
	}
	if err != nil {
		return fmt.Errorf("commit tasks of bundle %s: %w", b.id, b.attempts.store.broker.Explain(err))
	}
	code, _ := answer[0].(int64)
	skipped, _ := answer[1].(string)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting, b.bytes = append([]flushed(nil), b.waiting[len(some):]...), 0
	for _, f := range b.waiting {
		b.bytes += f.size()
	}
	b.flushedAt, b.told = time.Now(), current
	if code == -1 {
		return fmt.Errorf("bundle %s: %w", b.id, ErrLate)
	}
	if code == 2 {
		b.stop(b.cause)
	}
	b.skipAll(skipped)
	b.cancelCurrent()
	return nil
}

// flushCall is the call that commits some tasks.
func (b *Bundle) flushCall(some []flushed, current int, began time.Time) (keys []string, args []any) {
	now := b.attempts.store.now()
	day := now.UTC().Format("2006-01-02")
	q := func(part string) string { return broker.QueueKey(b.queue, part) }
	keys = []string{
		broker.TaskKey(b.queue, b.id), q("pending"), q("retry"), q("archived"), q("completed"),
		q("processed:" + day), q("failed:" + day), q("processed"), q("failed"),
	}
	running := ""
	if current >= 0 {
		running = fmt.Sprint(current, " ", began.UnixMilli())
	}
	args = append(make([]any, 0, 7+3*len(some)),
		b.fence, now.UnixMilli(), b.queue, b.batch, now.AddDate(0, 0, statsDays).Unix(), running, 0)
	records := 0
	for _, f := range some {
		if f.alone == nil {
			records++
			args = append(args, f.number, string(f.record.state), f.record.bytes())
		}
	}
	args[6] = records
	for _, f := range some {
		if f.alone != nil {
			keys = append(keys, broker.TaskKey(b.queue, f.alone.id))
			args = append(args, f.alone.args(f.number)...)
		}
	}
	return keys, args
}

// args are what the flush script is told of the task.
func (a *aloneTask) args(n int) []any {
	reason, message, again, fields := errorArgs(a.err)
	return []any{
		n, a.id, a.msg, string(a.state), strconv.FormatFloat(a.score, 'f', 3, 64), a.sum, a.started.UnixMilli(),
		reason, message, again, fields, a.result, a.cached,
	}
}

// errorArgs are what the scripts are told of a failure.
func errorArgs(e *tasks.Error) (reason, message, again, fields string) {
	again = "0"
	if e == nil {
		return reason, message, again, fields
	}
	if e.Retryable {
		again = "1"
	}
	if len(e.Fields) > 0 {
		raw, _ := json.Marshal(e.Fields) // two strings each: cannot fail
		fields = string(raw)
	}
	return string(e.Reason), e.Message, again, fields
}
