package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/hibiken/asynq"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/isolation"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// Causes by which an attempt's context ends: each says what becomes of it.
var (
	errCanceled = &fault.Error{Verdict: fault.Canceled, Reason: tasks.ReasonCanceled, Message: "canceled by a caller"}
	errShutdown = fault.RetryableError(tasks.ReasonInterrupted, "the worker shut down")
	errTimeout  = fault.RetryableError(tasks.ReasonTimeout, "the task ran over its time limit")
	errLost     = fault.RetryableError(tasks.ReasonInterrupted, "the worker lost the task")
)

// run is one attempt of one task.
type run struct {
	id, kind, queue string
	payload         []byte
	task            *asynq.Task // nil for a task of a bundle, whose payload is there
	timeout         time.Duration
	waited, took    time.Duration
}

// step does an attempt, or a part of it.
type step func(ctx context.Context, r *run) ([]byte, error)

// handler is the life of an attempt, outermost first.
func (w *Worker) handler(l *lane) asynq.Handler {
	attempt := w.observed(l, slotted(l, limited(w.loaded(recovered(w.jobs[l.kind])), apart)))
	return asynq.HandlerFunc(func(actx context.Context, t *asynq.Task) error {
		if t.Headers()[results.HeaderBundle] != "" {
			return w.runBundle(actx, l, t)
		}
		id, _ := asynq.GetTaskID(actx)
		queue, _ := asynq.GetQueueName(actx)
		r := &run{id: id, kind: l.kind, queue: queue, task: t, timeout: w.timeout(t)}
		ctx, cancel := context.WithCancelCause(actx)
		defer cancel(nil)
		r.waited = w.attempts.Started(id, cancel)
		ctx, used := isolation.WithAttempt(ctx, id, isolation.Limits{Wall: r.timeout})
		defer l.queue.Ended()
		outcome := judge(attempt(ctx, r))
		outcome.PeakMemory = used.PeakMemory()
		w.metrics.ended(r, outcome)
		l.served.note(r, outcome)
		w.attempts.Ended(id, outcome)
		return asynqError(outcome)
	})
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

// slotted gives the attempt one of the lane's slots. It keeps it until the
// job has really returned, even when its verdict had to come earlier: asynq
// would start the next task beside it.
func slotted(l *lane, next func(ctx context.Context, r *run, release func()) ([]byte, error)) step {
	return func(ctx context.Context, r *run) ([]byte, error) {
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ended(ctx)
		}
		return next(ctx, r, func() { <-l.slots })
	}
}

// apart runs a job on a goroutine of its own.
func apart(job func()) { go job() }

// limited ends the attempt at its time limit, whether the job returns or not;
// launch runs it on another goroutine.
func limited(next step, launch func(job func())) func(context.Context, *run, func()) ([]byte, error) {
	type answer struct {
		out []byte
		err error
	}
	return func(ctx context.Context, r *run, release func()) ([]byte, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, errTimeout)
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
	payload, err := w.store.LargePayload(ctx, queue, id)
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
