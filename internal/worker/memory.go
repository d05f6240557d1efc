package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/isolation"
	"github.com/jobyard/jobyard/internal/memwatch"
	"github.com/jobyard/jobyard/tasks"
)

// itself is the name under which the worker's own memory is watched, beside the
// kinds of its runners.
const itself = "worker"

const (
	// admitWithin is how long a task that was taken waits for memory here, before
	// it goes back for another node: less than asynq's deadline is later than ours.
	admitWithin = 5 * time.Second
	// fullPause is the pause before the next look at the queues of a full node.
	fullPause = 50 * time.Millisecond
)

var errNoRoom = fault.RetryableError(tasks.ReasonInterrupted, "the node had no memory left for the task")

// newBudget makes the budget of a worker's node. The kinds that have runners are
// counted; the memory of the others is the worker's own.
func (w *Worker) newBudget() error {
	cfg := memwatch.DefaultBudget(w.cfg.NodeMemory, w.runners.ceilings())
	if cfg.Limit == 0 {
		cfg.Limit = w.node.Limit()
	}
	cfg.CPU = float64(w.cfg.MaxCPU) / 100
	cfg.CPUCalm = cfg.CPU * 7 / 8
	var err error
	w.budget, err = memwatch.NewBudget(cfg, w.load)
	return err
}

// LimitHeap keeps this process's own heap within what the node's memory leaves
// beside the runners, unless the operator has set GOMEMLIMIT.
func (w *Worker) LimitHeap() {
	var runners int64
	for kind, ceiling := range w.runners.ceilings() {
		runners += int64(w.cfg.Slots[kind]) * ceiling
	}
	limit, ours := memwatch.SetGoLimit(w.budget.State().Limit, runners)
	w.log.Info().Int64("bytes", limit).Bool("by_operator", !ours).Msg("soft limit of the worker's own memory")
}

// load is what is in use on the node.
func (w *Worker) load() (l memwatch.Load) {
	l.Used, l.CPU = w.node.Read()
	if w.cfg.NodeMemory > 0 { // a part of the machine: ours alone counts
		l.Used = memwatch.RSS()
	}
	for _, r := range w.runners.List() {
		if w.cfg.NodeMemory > 0 {
			l.Used += r.RSS
		}
		l.Runners = append(l.Runners, memwatch.RunnerLoad{PID: r.PID, Kind: r.Kind, Task: r.Task, RSS: r.RSS})
	}
	return l
}

// admit waits until the node has memory for a task on one of the lane's slots,
// and returns how the slot is left: the task's peak is learned from, and where
// the processors are too busy the slot rests before it is free.
func (w *Worker) admit(ctx context.Context, l *lane) (leave func(peak int64), err error) {
	release, ok := w.budget.Admit(l.kind)
	if !ok {
		ctx, cancel := context.WithTimeoutCause(ctx, admitWithin, errNoRoom)
		defer cancel()
		if release, err = w.budget.Acquire(ctx, l.kind); err != nil {
			return nil, ended(ctx)
		}
	}
	start := time.Now()
	return func(peak int64) {
		release(peak)
		if rest := w.budget.Rest(time.Since(start)); rest > 0 {
			time.AfterFunc(rest, func() { <-l.slots })
			return
		}
		<-l.slots
	}, nil
}

// enlarged gives a task that ran into its memory ceiling one more try, at once
// and in a larger slot, if the node has room for it. What is too large for that
// slot too is not tried again.
func (w *Worker) enlarged(kind string, next step) step {
	more := w.runners.larger(kind)
	if more == 0 {
		return next
	}
	return func(ctx context.Context, r *run) ([]byte, error) {
		out, err := next(ctx, r)
		if err == nil || !errors.Is(err, isolation.ErrCeiling) || ctx.Err() != nil {
			return out, err
		}
		shrink, ok := w.budget.Enlarge(more)
		if !ok {
			return nil, err
		}
		defer shrink()
		most := w.runners.ceilings()[kind] + more
		r.used.Enlarge(most)
		zerolog.Ctx(ctx).Info().Int64("bytes", most).Msg("out of memory: tried again in a larger slot")
		out, err = next(ctx, r)
		if errors.Is(err, isolation.ErrCeiling) {
			err = fault.PermanentError(tasks.ReasonOOM, "the task needed more than %d MiB of memory, the most that this node gives; give it less to do, or raise --job-memory", most>>20).Because(err)
		}
		return out, err
	}
}

// guard watches the node's memory until ctx ends: it lets waiting tasks start,
// ends the largest runner before the kernel ends something, and says in the log
// what state the node is in.
func (w *Worker) guard(ctx context.Context) {
	tick := time.NewTicker(w.budget.Poll())
	defer tick.Stop()
	memory, resting := memwatch.MemoryOK, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if v, ok := w.budget.Watch(); ok && w.runners.Evict(v.PID) {
			w.log.Error().Str("kind", v.Kind).Str("task_id", v.Task).Int64("rss", v.RSS).Msg("the node runs out of memory: largest runner ended")
		}
		s := w.budget.State()
		if s.Memory != memory {
			memory = s.Memory
			w.log.Warn().Str("state", string(memory)).Int64("used", s.Used).Int64("limit", s.Limit).Msg("memory of the node")
		}
		if (s.Rest > 0) != resting {
			resting = s.Rest > 0
			w.log.Warn().Bool("throttled", resting).Str("cpu", fmt.Sprintf("%.0f %%", 100*s.CPU)).Msg("processors of the node")
		}
	}
}

// tellLeaks writes a leak's incident into the log, when it begins and when it
// ends.
func tellLeaks(log zerolog.Logger) func(memwatch.Leak) {
	return func(l memwatch.Leak) {
		if !l.Suspected {
			log.Info().Str("kind", l.Kind).Msg("leak no longer suspected")
			return
		}
		log.Error().Str("kind", l.Kind).Int64("bytes_per_minute", int64(l.PerMinute.Bytes)).
			Int64("at_least", int64(l.PerMinute.Low)).Int64("at_most", int64(l.PerMinute.High)).
			Int64("bytes_per_task", int64(l.PerTask.Bytes)).Int64("live", l.Live).Dur("to_ceiling", l.ToCeiling).
			Msg("memory leak suspected")
	}
}
