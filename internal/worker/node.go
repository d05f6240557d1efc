package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/memwatch"
	"github.com/jobyard/jobyard/internal/results"
)

// Node is what the worker tells of itself.
func (w *Worker) Node() broker.Node {
	u, now := w.meter.Read(), time.Now()
	n := broker.Node{
		ID: w.id, Host: w.host, PID: os.Getpid(), Version: version(), State: w.condition(),
		StartedAt: w.started.UTC(), SeenAt: now.UTC(), RSS: u.RSS, HeapLive: u.HeapLive,
		Goroutines: u.Goroutines, Threads: u.Threads, CPUPercent: u.CPUPercent, OpenFiles: u.OpenFiles, Load: u.Load,
		GCShare: u.GCShare, PauseP99: float64(u.PauseP99) / float64(time.Millisecond),
		Isolation: string(w.runners.Level()), Leaks: leaksOf(w.leaks.Leaks(now)), Kinds: make(map[string]broker.NodeKind, len(w.lanes)),
	}
	n.Budget, n.MemoryLimit = budgetOf(w.budget.State())
	n.Cache = w.cache.State()
	for _, r := range w.runners.List() {
		n.RSS += r.RSS // the node's memory is that of all its processes
		n.Runners = append(n.Runners, broker.NodeRunner{
			PID: r.PID, Kind: r.Kind, State: r.State, Task: r.Task, RSS: r.RSS, AgeSeconds: int64(r.Age.Seconds()), Done: r.Done,
		})
	}
	for _, l := range w.lanes {
		kind := l.served.kind(cap(l.slots), len(l.slots))
		kind.Sandbox = w.runners.sandbox(l.kind)
		n.Kinds[l.kind] = kind
	}
	return n
}

func budgetOf(s memwatch.BudgetState) (b broker.NodeBudget, limit int64) {
	return broker.NodeBudget{
		Memory: string(s.Memory), Used: s.Used, Reserved: s.Reserved, Room: s.Room, Waiting: s.Waiting,
		CPU: s.CPU, Rest: s.Rest, Expected: s.Expected,
	}, s.Limit
}

func leaksOf(all []memwatch.Leak) []broker.NodeLeak {
	list := make([]broker.NodeLeak, len(all))
	for i, l := range all {
		list[i] = broker.NodeLeak{
			Kind: l.Kind, Suspected: l.Suspected, Since: l.Since, Live: l.Live, Ceiling: l.Ceiling,
			PerMinute: l.PerMinute.Bytes, Low: l.PerMinute.Low, High: l.PerMinute.High, PerTask: l.PerTask.Bytes,
			CeilingSeconds: int64(l.ToCeiling.Seconds()),
		}
	}
	return list
}

// About is what the node says of itself beside that it lives: how well its
// runners are locked in, and what is missing.
func (w *Worker) About() map[string]any {
	return map[string]any{
		"node": w.id, "state": w.state.Load(),
		"sandbox": map[string]any{"level": w.runners.Level(), "kinds": w.runners.Reports()},
	}
}

// condition is the node's state in a word. One that was asked to drain is
// drained once nothing runs there any more; it may be asked to go on.
func (w *Worker) condition() string {
	state := w.state.Load().(string)
	if state != "running" || !w.resting.Load() {
		return state
	}
	if len(w.attempts.Running()) > 0 {
		return "draining"
	}
	return "drained"
}

// heed looks whether the node is asked to take no more tasks.
func (w *Worker) heed(ctx context.Context) error {
	asked, err := w.broker.DrainAsked(ctx, w.id)
	if err != nil || asked == w.resting.Load() {
		return err
	}
	w.resting.Store(asked)
	for _, l := range w.lanes {
		l.queue.Waker().Pause(asked)
	}
	if asked {
		w.log.Info().Int("running", len(w.attempts.Running())).Msg("asked to drain: no more tasks are taken")
	} else {
		w.log.Info().Msg("tasks are taken again")
	}
	return nil
}

// beat writes heartbeats, looks whether the node is to drain, and mends what was
// lost on the way, until ctx ends; the last one says in which state the node went.
func (w *Worker) beat(ctx context.Context) {
	tick := time.NewTicker(broker.HeartbeatEvery)
	defer tick.Stop()
	away, trimmer := false, memwatch.NewTrimmer()
	for n := 0; ; n++ {
		err := errors.Join(w.heed(ctx), w.broker.PutNode(ctx, w.watched(trimmer)))
		if err == nil {
			err = w.mend(ctx, n%reconcileBeats == 0)
		}
		if ctx.Err() == nil && (err != nil) != away {
			away = err != nil
			if away {
				w.log.Warn().Err(err).Msg("heartbeats fail")
			} else {
				w.log.Info().Msg("heartbeats are back")
			}
		}
		select {
		case <-ctx.Done():
			w.sayGoodbye()
			return
		case <-tick.C:
		}
	}
}

// reconcileBeats is how many heartbeats lie between two looks at what Redis
// says of this node's tasks.
const reconcileBeats = 3

// mend looks for cancels whose announcement was lost, for tasks that were taken
// or ended without the answer having arrived, and makes the queues known again:
// a loss of data breaks no connection that would tell of it.
func (w *Worker) mend(ctx context.Context, thorough bool) error {
	if err := w.attempts.CancelMarked(ctx, errCanceled); err != nil {
		return err
	}
	if !thorough {
		return nil
	}
	did, err := w.attempts.Reconcile(ctx)
	if did != (results.Reconciled{}) {
		w.log.Warn().Int("handed_back", did.HandedBack).Int("settled", did.Settled).Msg("lost answers made good")
	}
	if err != nil {
		return err
	}
	return w.store.Register(ctx)
}

// watched gives back what memory is to spare, and passes the worker's own on to
// the leak detector.
func (w *Worker) watched(t *memwatch.Trimmer) broker.Node {
	if t.Trim() {
		w.log.Debug().Msg("gave memory back")
	}
	n := w.Node()
	// What the cache holds is bounded and no leak, however long it takes to fill.
	w.leaks.ObserveWorker(memwatch.Reading{Kind: itself, Live: max(0, n.HeapLive-w.cache.HeapBytes()), At: n.SeenAt})
	return n
}

func (w *Worker) sayGoodbye() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := w.broker.PutNode(ctx, w.Node()); err != nil {
		w.log.Warn().Err(err).Msg("last heartbeat failed")
	}
}

// holdLease renews the node's lease until ctx ends, and then gives it up. It
// has a goroutine of its own, because a slow heartbeat must not cost the lease.
func (w *Worker) holdLease(ctx context.Context) {
	tick := time.NewTicker(broker.LeaseRenew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			w.endLease(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			if err := w.broker.RenewLease(ctx, w.id); err != nil && ctx.Err() == nil {
				w.terse.Warn().Err(err).Msg("lease not renewed")
			}
			for _, l := range w.lanes {
				_ = l.queue.HandBackStale(ctx) // fails only while Redis is away, which the lease told
			}
		}
	}
}

func (w *Worker) endLease(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := w.broker.EndLease(ctx, w.id); err != nil {
		w.log.Warn().Err(err).Msg("lease not given up")
	}
}

// terse leaves out all but the first warnings and errors of each minute. Without
// Redis, asynq alone would write eight a second.
func terse(log zerolog.Logger) zerolog.Logger {
	few := &zerolog.BurstSampler{Burst: 6, Period: time.Minute}
	return log.Sample(zerolog.LevelSampler{WarnSampler: few, ErrorSampler: few})
}

// asynqLog writes asynq's lines into ours.
type asynqLog struct{ log zerolog.Logger }

// Debug implements asynq.Logger.
func (l asynqLog) Debug(args ...any) {
	l.log.Debug().Str("component", "asynq").Msg(fmt.Sprint(args...))
}

// Info implements asynq.Logger.
func (l asynqLog) Info(args ...any) { l.log.Debug().Str("component", "asynq").Msg(fmt.Sprint(args...)) }

// Warn implements asynq.Logger.
func (l asynqLog) Warn(args ...any) { l.log.Warn().Str("component", "asynq").Msg(fmt.Sprint(args...)) }

// Error implements asynq.Logger.
func (l asynqLog) Error(args ...any) {
	l.log.Error().Str("component", "asynq").Msg(fmt.Sprint(args...))
}

// Fatal implements asynq.Logger. asynq never calls it.
func (l asynqLog) Fatal(args ...any) {
	l.log.Error().Str("component", "asynq").Msg(fmt.Sprint(args...))
}
