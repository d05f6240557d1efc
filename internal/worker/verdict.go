package worker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hibiken/asynq"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/isolation"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// judge is the table from faults to how an attempt ends.
func judge(out []byte, err error) results.Outcome {
	f := fault.Of(err)
	switch {
	case f == nil:
		return results.Outcome{Mode: results.Complete, Result: out}
	case f.Verdict == fault.Canceled:
		return results.Outcome{Mode: results.CancelIt, Error: f.Task()}
	case f.Reason == tasks.ReasonInterrupted:
		return results.Outcome{Mode: results.Requeue, Error: f.Task()}
	case f.Verdict == fault.Permanent:
		return results.Outcome{Mode: results.Archive, Error: explained(f, err)}
	}
	return results.Outcome{Mode: results.RetryIt, Error: explained(f, err)}
}

// explained is the fault as callers see it. Where a runner died over the task it
// says what the task had used, and the first that it wrote before.
func explained(f *fault.Error, err error) *tasks.Error {
	t := f.Task()
	if d, ok := errors.AsType[*isolation.DeathError](err); ok {
		t.Message = fault.Clean(fmt.Sprintf("%s (%s)", t.Message, d.Brief()), fault.MaxMessage)
	}
	return t
}

// asynqError says an outcome in asynq's words. Nothing else does.
func asynqError(o results.Outcome) error {
	switch o.Mode {
	case results.Complete:
		return nil
	case results.CancelIt:
		return asynq.RevokeTask
	case results.Archive:
		return fmt.Errorf("%w: %w", o.Error, asynq.SkipRetry)
	}
	return o.Error
}

// retryDelay is 1 s, doubled with each retry up to a minute, ± 20 %. A task
// whose node went away is due at once.
func retryDelay(retried int, err error, _ *asynq.Task) time.Duration {
	if errors.Is(err, asynq.ErrLeaseExpired) {
		return 0
	}
	base := min(time.Minute, time.Second<<min(retried, 10))
	return time.Duration(float64(base) * (0.8 + 0.4*rand.Float64()))
}
