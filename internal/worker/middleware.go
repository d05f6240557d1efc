package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/isolation"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// Causes by which an attempt's context ends: each says what becomes of it.
var (
	errCanceled = &fault.Error{Verdict: fault.Canceled, Reason: tasks.ReasonCanceled, Message: "canceled by a caller"}
	errShutdown = fault.RetryableError(tasks.ReasonInterrupted, "the worker shut down")
	errLost     = fault.RetryableError(tasks.ReasonInterrupted, "the worker lost the task")
)

// run is one attempt of one task.
type run struct {
	id, kind, queue string
	payload         []byte
	used            *isolation.Attempt // nil for a task of a bundle that has no runner
	task            *asynq.Task        // nil for a task of a bundle, whose payload is there
	timeout         time.Duration
	waited, took    time.Duration
	// last tells that no retry is left.
	last bool
	// noCache tells to run the task whatever the cache has, and asked that Redis's
	// part of it was asked already.
	noCache, asked bool
	// cached is the tier of the cache that the result is from. A job that did not
	// return in time may yet write it.
	cached atomic.Pointer[string]
}

// from is the tier of the cache that the result is from; empty if it was made.
func (r *run) from() string {
	if tier := r.cached.Load(); tier != nil {
		return *tier
	}
	return ""
}

// step does an attempt, or a part of it.
type step func(ctx context.Context, r *run) ([]byte, error)

// handler is the life of an attempt, outermost first.
func (w *Worker) handler(l *lane) asynq.Handler {
	attempt := w.observed(l, w.slotted(l, limited(w.loaded(w.reused(l, w.enlarged(l.kind, recovered(w.jobs[l.kind])))), l.crew.launch)))
	return asynq.HandlerFunc(func(actx context.Context, t *asynq.Task) error {
		if t.Headers()[results.HeaderBundle] != "" {
			return w.runBundle(actx, l, t)
		}
		id, _ := asynq.GetTaskID(actx)
		queue, _ := asynq.GetQueueName(actx)
		r := &run{id: id, kind: l.kind, queue: queue, task: t, timeout: w.timeout(t), last: isLast(actx), noCache: t.Headers()[results.HeaderNoCache] != ""}
		ctx, span := w.begin(actx, r)
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		r.waited = w.attempts.Started(id, cancel)
		ctx, r.used = isolation.WithAttempt(ctx, id, isolation.Limits{Wall: r.timeout})
		reports := &progress.Throttle{Send: func(ctx context.Context, p tasks.Progress) { w.attempts.Progress(ctx, id, p) }}
		defer func() { l.queue.Ended(r.took) }()
		outcome := judge(attempt(progress.With(ctx, reports.Report), r))
		reports.Close()
		outcome.PeakMemory, outcome.Cached = r.used.PeakMemory(), r.from()
		w.metrics.ended(r, outcome)
		l.served.note(r, outcome)
		outcome.Settled = end(ctx, span, r, outcome)
		w.attempts.KeepResult(actx, queue, id, &outcome)
		w.attempts.Ended(id, outcome)
		return asynqError(outcome)
	})
}

// isLast reports whether asynq will archive the task if it fails.
func isLast(ctx context.Context) bool {
	retried, _ := asynq.GetRetryCount(ctx)
	most, _ := asynq.GetMaxRetry(ctx)
	return retried >= most
}

// timeout reads the task's exact time limit; asynq keeps whole seconds only.
func (w *Worker) timeout(t *asynq.Task) time.Duration {
	d, err := time.ParseDuration(t.Headers()[results.HeaderTimeout])
	if err != nil || d <= 0 {
		d = tasks.DefaultTimeout
	}
	return min(d, w.cfg.MaxTimeout)
}

// observed measures and logs an attempt.
func (w *Worker) observed(l *lane, next step) step {
	return func(ctx context.Context, r *run) ([]byte, error) {
		log := w.log.With().Str("task_id", r.id).Str("kind", r.kind).Str("queue", r.queue).Logger()
		if id := trace.ID(ctx); id != "" {
			log = log.With().Str("trace_id", id).Logger()
		}
		start := time.Now()
		out, err := next(log.WithContext(ctx), r)
		r.took = time.Since(start)
		if err == nil {
			l.served.completed.Add(1)
			log.Debug().Dur("took", r.took).Int("bytes", len(out)).Msg("task completed")
			return out, nil
		}
		f := fault.Of(err)
		if f.Reason != tasks.ReasonInterrupted && f.Reason != tasks.ReasonCanceled {
			l.served.failed.Add(1)
		}
		log.Warn().Str("reason", string(f.Reason)).Str("error", fault.Clean(f.Error(), fault.MaxMessage)).Dur("took", r.took).Msg("attempt failed")
		return nil, err
	}
}

// slotted gives the attempt one of the lane's slots, and the memory that it is
// expected to take. It keeps them until the job has really returned, even when
// its verdict had to come earlier: asynq would start the next task beside it.
func (w *Worker) slotted(l *lane, next func(ctx context.Context, r *run, release func()) ([]byte, error)) step {
	return func(ctx context.Context, r *run) ([]byte, error) {
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ended(ctx)
		}
		leave, err := w.admit(ctx, l)
		if err != nil {
			<-l.slots
			return nil, err
		}
		l.roster.enter(r)
		return next(ctx, r, func() {
			l.roster.leave(r)
			leave(r.used.PeakMemory())
		})
	}
}

// crew runs jobs on goroutines of its own that stay: a new one would have to
// grow its stack for every job.
type crew chan func()

// launch runs a job at once, on a goroutine that has none or on a new one.
func (c crew) launch(job func()) {
	select {
	case c <- job:
	default:
		go c.serve(job)
	}
}

// crewIdle is how long a goroutine stays without a job.
const crewIdle = 5 * time.Second

func (c crew) serve(job func()) {
	idle := time.NewTimer(crewIdle)
	defer idle.Stop()
	for {
		job()
		idle.Reset(crewIdle)
		select {
		case job = <-c:
		case <-idle.C:
			return
		}
	}
}

// limited ends the attempt at its time limit, whether the job returns or not;
// launch runs it on another goroutine.
func limited(next step, launch func(job func())) func(context.Context, *run, func()) ([]byte, error) {
	type answer struct {
		out []byte
		err error
	}
	return func(ctx context.Context, r *run, release func()) ([]byte, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, overtime(r.timeout))
		answers := make(chan answer, 1)
		launch(func() {
			defer release()
			defer cancel()
			out, err := next(ctx, r)
			// What a job says once its context has ended is only that. A runner's
			// fault has the verdict in it, and what the runner had used.
			if _, killed := errors.AsType[*isolation.DeathError](err); err != nil && ctx.Err() != nil && !killed {
				err = ended(ctx)
			}
			answers <- answer{out, err}
		})
		select {
		case a := <-answers:
			return a.out, a.err
		case <-ctx.Done():
		}
		cause := ended(ctx)
		grace := time.NewTimer(stopGrace)
		defer grace.Stop()
		select {
		case a := <-answers:
			return a.out, a.err
		case <-grace.C:
			return nil, cause
		}
	}
}

// overtime is why a context ends at its time limit. It says the same as a runner
// does, since either may be the first to notice. Every attempt makes one: it is
// put together without fmt.
func overtime(limit time.Duration) *fault.Error {
	return &fault.Error{
		Verdict: fault.Retryable, Reason: tasks.ReasonTimeout,
		Message: "the task ran over its time limit of " + limit.String() + "; give it less to do or more time",
	}
}

// ended says why an attempt's context ended.
func ended(ctx context.Context) error {
	if f, ours := errors.AsType[*fault.Error](context.Cause(ctx)); ours {
		return f
	}
	return errLost // asynq ended it
}

// loaded brings the payload.
func (w *Worker) loaded(next step) step {
	return func(ctx context.Context, r *run) (out []byte, err error) {
		if r.payload, err = w.payload(ctx, r.task, r.queue, r.id); err != nil {
			return nil, err
		}
		return next(ctx, r)
	}
}

// payload is what a task was handed over with; a large one is not in asynq's
// message.
func (w *Worker) payload(ctx context.Context, t *asynq.Task, queue, id string) ([]byte, error) {
	if t.Headers()[results.HeaderPayload] == "" {
		return t.Payload(), nil
	}
	payload, err := w.attempts.LargePayload(ctx, queue, id)
	if lost, ok := errors.AsType[*fault.Error](err); ok {
		return nil, lost // another attempt would not find it either
	}
	if err != nil {
		return nil, fault.RetryableError(tasks.ReasonUpstream, "the payload could not be read").Because(err)
	}
	return payload, nil
}

// recovered turns a panic of the job into a fault.
func recovered(job Job) step {
	return func(ctx context.Context, r *run) (out []byte, err error) {
		defer func() {
			if v := recover(); v != nil {
				err = fault.RetryableError(tasks.ReasonPanic, "the job panicked").
					Because(fmt.Errorf("%v\n%.2000s", v, debug.Stack()))
			}
		}()
		return job(ctx, r.payload)
	}
}
