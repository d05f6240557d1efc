package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/isolation"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// returnGrace is how long a job may take to return after its verdict before
	// it counts as stuck.
	returnGrace = 50 * time.Millisecond
	// flushAgain is the pause after a commit that failed, and flushTries how
	// often it is tried when the bundle has to end.
	flushAgain = 250 * time.Millisecond
	flushTries = 4
)

// bundle is one attempt of a bundle: many small tasks that share a slot, one
// after the other, each with its own time limit, verdict and commit.
type bundle struct {
	*results.Bundle
	worker   *Worker
	lane     *lane
	stop     context.CancelCauseFunc
	attempt  step
	peak     int64
	waited   time.Duration
	started  time.Time
	place    trace.Carried // where in a trace the batch was handed over
	returned chan struct{} // closed when the job of the task that runs returns
}

// runBundle is the life of a bundle's attempt.
func (w *Worker) runBundle(actx context.Context, l *lane, t *asynq.Task) error {
	id, _ := asynq.GetTaskID(actx)
	ctx, cancel := context.WithCancelCause(actx)
	defer cancel(nil)
	b := &bundle{worker: w, lane: l, stop: cancel, waited: w.attempts.Started(id, cancel)}
	start := time.Now()
	defer func() { l.queue.Ended(time.Since(start)) }()
	queue, _ := asynq.GetQueueName(actx)
	_, b.place = results.TraceOf(t.Headers())
	ctx, span := w.tracer.Begin(ctx, trace.Consumer, "process bundle", l.kind, b.place)
	var outcome results.Outcome
	if payload, err := w.payload(ctx, t, queue, id); err != nil {
		outcome = notRun(err)
	} else {
		outcome = b.do(ctx, id, payload)
	}
	outcome.Settled = b.end(ctx, span, outcome)
	w.attempts.Ended(id, outcome)
	return asynqError(outcome)
}

// do runs the bundle on one of the lane's slots.
func (b *bundle) do(ctx context.Context, id string, payload []byte) results.Outcome {
	select {
	case b.lane.slots <- struct{}{}:
	case <-ctx.Done():
		return judge(nil, ended(ctx))
	}
	leave, err := b.worker.admit(ctx, b.lane)
	if err != nil {
		<-b.lane.slots
		return judge(nil, err)
	}
	whole := &run{id: id, kind: b.lane.kind}
	b.lane.roster.enter(whole)
	release := func() {
		b.lane.roster.leave(whole)
		leave(b.peak)
	}
	b.Bundle, err = b.worker.attempts.OpenBundle(ctx, id, payload, b.stop, errCanceled)
	if err != nil {
		release()
		return notRun(err)
	}
	defer b.Close()
	b.Trace = b.place
	limited := limited(b.worker.reused(b.lane, b.worker.enlarged(b.lane.kind, recovered(b.worker.jobs[b.lane.kind]))), b.lane.crew.launch)
	b.attempt = b.worker.observed(b.lane, func(ctx context.Context, r *run) ([]byte, error) {
		returned := b.returned
		return limited(ctx, r, func() { close(returned) })
	})
	b.started = time.Now()
	stuck, err := b.runAll(ctx)
	if stuck {
		// The job that does not return keeps the slot until it does.
		go func(returned chan struct{}) { <-returned; release() }(b.returned)
	} else {
		release()
	}
	if err == nil {
		err = b.flush(ctx)
	}
	if err == nil && ctx.Err() != nil {
		err = ended(ctx)
	}
	if err != nil {
		return notRun(err)
	}
	return results.Outcome{Mode: results.Complete}
}

// notRun is the outcome of a bundle that did not come to its end: all but a
// payload that nobody can read is for the next attempt.
func notRun(err error) results.Outcome {
	f := fault.Of(err)
	if f.Reason != tasks.ReasonInvalid && f.Verdict != fault.Canceled {
		f = fault.RetryableError(tasks.ReasonInterrupted, "the bundle was not run to its end").Because(err)
	}
	return judge(nil, f)
}

// runAll runs the tasks of the bundle until its time is over, and sends the
// rest on alone. Stuck reports that a job has not returned.
func (b *bundle) runAll(ctx context.Context) (stuck bool, err error) {
	ctx, end := context.WithCancel(ctx)
	var ticking sync.WaitGroup
	ticking.Go(func() { b.tick(ctx) })
	defer ticking.Wait()
	defer end()
	todo := b.Todo()
	b.worker.prefetch(ctx, b.lane, todo)
	for i, item := range todo {
		if ctx.Err() != nil {
			return stuck, nil
		}
		if stuck || b.Scattered() || time.Since(b.started) > results.BundleTime {
			b.Alone(todo[i:])
			return stuck, nil
		}
		var full bool
		if full, stuck = b.runOne(ctx, item); full {
			if err := b.flush(ctx); err != nil {
				return stuck, err
			}
		}
	}
	return stuck, nil
}

// runOne runs one task of the bundle.
func (b *bundle) runOne(ctx context.Context, item results.BundleTask) (full, stuck bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !b.Begin(item.Number, cancel) {
		return false, false
	}
	b.returned = make(chan struct{})
	r := &run{
		id: b.ItemID(item.Number), kind: b.lane.kind, queue: tasks.BulkQueue(b.lane.kind), payload: item.Payload,
		timeout: min(time.Duration(item.Timeout), b.worker.cfg.MaxTimeout), waited: b.waited + time.Since(b.started),
		last: item.MaxRetry == 0, noCache: item.NoCache, asked: b.worker.cache.Has(cache.InMemory),
	}
	if b.worker.runners.larger(r.kind) > 0 {
		ctx, r.used = isolation.WithAttempt(ctx, r.id, isolation.Limits{Wall: r.timeout})
	}
	ctx, span := b.worker.beginIn(ctx, r, b.place)
	out, err := b.attempt(ctx, r)
	outcome := judge(out, err)
	outcome.Cached = r.from()
	if r.used != nil {
		outcome.PeakMemory = r.used.PeakMemory()
		b.peak = max(b.peak, outcome.PeakMemory)
	}
	note(span, r, outcome)
	span.End()
	b.worker.metrics.ended(r, outcome)
	b.lane.served.note(r, outcome)
	b.worker.attempts.KeepResult(ctx, r.queue, r.id, &outcome)
	return b.End(item, outcome, retryDelay(0, err, nil)), b.isStuck()
}

// isStuck reports whether the job of the task that ended has not returned.
func (b *bundle) isStuck() bool {
	select {
	case <-b.returned:
		return false
	default:
	}
	late := time.NewTimer(returnGrace)
	defer late.Stop()
	select {
	case <-b.returned:
		return false
	case <-late.C:
		return true
	}
}

// tick commits while a slow task runs, so that those before it need not wait.
func (b *bundle) tick(ctx context.Context) {
	tick := time.NewTicker(results.FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// Any other error: the next flush commits the same.
			if err := b.Tick(context.WithoutCancel(ctx)); errors.Is(err, results.ErrLate) {
				b.stop(errLost)
				return
			}
		}
	}
}

// flush commits what has ended. While Redis is away it tries again, as long as
// the bundle may run.
func (b *bundle) flush(ctx context.Context) error {
	again := time.NewTicker(flushAgain)
	defer again.Stop()
	for try := 1; ; try++ {
		err := b.Flush(context.WithoutCancel(ctx))
		if err == nil || errors.Is(err, results.ErrLate) || ctx.Err() != nil && try >= flushTries {
			return err
		}
		<-again.C
	}
}
