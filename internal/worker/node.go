package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/isolation"
)

// Node is what the worker tells of itself.
func (w *Worker) Node() broker.Node {
	u := w.meter.Read()
	n := broker.Node{
		ID: w.id, Host: w.host, PID: os.Getpid(), Version: version(), State: w.condition(),
		StartedAt: w.started.UTC(), SeenAt: time.Now().UTC(), RSS: u.RSS, HeapLive: u.HeapLive, MemoryLimit: w.limit,
		Goroutines: u.Goroutines, CPUPercent: u.CPUPercent, OpenFiles: u.OpenFiles, Isolation: string(isolation.None),
		Kinds: make(map[string]broker.NodeKind, len(w.lanes)),
	}
	if w.runners != nil {
		n.Isolation = string(w.runners.Level())
		for _, r := range w.runners.List() {
			n.RSS += r.RSS // the node's memory is that of all its processes
			n.Runners = append(n.Runners, broker.NodeRunner{
				PID: r.PID, Kind: r.Kind, State: r.State, Task: r.Task, RSS: r.RSS, AgeSeconds: int64(r.Age.Seconds()), Done: r.Done,
			})
		}
	}
	for _, l := range w.lanes {
		n.Kinds[l.kind] = l.served.kind(cap(l.slots), len(l.slots))
	}
	return n
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

// beat writes heartbeats, and looks whether the node is to drain and for cancels
// whose announcement was lost, until ctx ends; the last one says in which state the node went.
func (w *Worker) beat(ctx context.Context) {
	tick := time.NewTicker(broker.HeartbeatEvery)
	defer tick.Stop()
	away := false
	for {
		err := errors.Join(w.heed(ctx), w.broker.PutNode(ctx, w.Node()))
		if err == nil {
			err = w.attempts.CancelMarked(ctx, errCanceled)
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
				w.log.Warn().Err(err).Msg("lease not renewed")
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
