package results

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// watchPoll is how often a watcher looks although nothing was announced: the
	// start of an attempt is not.
	watchPoll = 500 * time.Millisecond
	// watchLinger is how long progress is listened to after the last watcher left.
	watchLinger = 5 * time.Second
)

// watchers are those who want to know how far tasks are.
type watchers struct {
	mu    sync.Mutex
	rings map[string]map[chan struct{}]struct{}
	// came is rung when somebody begins to watch.
	came chan struct{}
}

func newWatchers() *watchers {
	return &watchers{rings: map[string]map[chan struct{}]struct{}{}, came: make(chan struct{}, 1)}
}

func (w *watchers) join(id string, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rings[id] == nil {
		w.rings[id] = map[chan struct{}]struct{}{}
	}
	w.rings[id][ch] = struct{}{}
	ring(w.came)
}

func (w *watchers) leave(id string, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.rings[id], ch)
	if len(w.rings[id]) == 0 {
		delete(w.rings, id)
	}
}

// moved wakes the watchers of a task.
func (w *watchers) moved(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.rings[id] {
		ring(ch)
	}
}

func (w *watchers) movedAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rings := range w.rings {
		for ch := range rings {
			ring(ch)
		}
	}
}

func (w *watchers) none() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.rings) == 0
}

// listen listens to progress while somebody watches, until ctx ends.
func (w *watchers) listen(ctx context.Context, b *broker.Broker) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.came:
		}
		listening, stop := context.WithCancel(ctx)
		var listener sync.WaitGroup
		listener.Go(func() {
			// It ends only with its context.
			_ = broker.Listen(listening, b.Client(), func(_, id string) { w.moved(id) }, w.movedAll, progressChannel)
		})
		w.untilNone(ctx)
		stop()
		listener.Wait()
	}
}

// untilNone returns when nobody has watched for a while, or ctx ends.
func (w *watchers) untilNone(ctx context.Context) {
	tick := time.NewTicker(watchLinger)
	defer tick.Stop()
	for idle := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := w.none(); idle && now {
			return
		} else {
			idle = now
		}
	}
}

// Watch yields a task as it is, and again whenever its state, its attempts or
// its progress has changed, until it is final. Changes that follow each other
// closely may be seen as one. If ctx ends first, its error comes with the task
// as it was last seen. The queues are where to look, as for Store.Get.
func (e *Events) Watch(ctx context.Context, id string, queues ...string) iter.Seq2[tasks.Task, error] {
	return func(yield func(tasks.Task, error) bool) {
		ch, err := e.join(id)
		if err != nil {
			yield(tasks.Task{}, err)
			return
		}
		defer e.leave(id, ch)
		e.watchers.join(id, ch)
		defer e.watchers.leave(id, ch)
		poll := time.NewTicker(watchPoll)
		defer poll.Stop()
		var last tasks.Task
		for {
			t, err := e.store.Get(ctx, id, queues...)
			switch {
			case ctx.Err() != nil:
				yield(last, fmt.Errorf("watch %s: %w", id, ctx.Err()))
				return
			case err != nil:
				yield(last, err)
				return
			case t.Stamp() != last.Stamp() && !yield(t, nil), t.State.Final():
				return
			}
			if last = t; !isItem(id) {
				queues = []string{t.Queue} // it never changes
			}
			select {
			case <-ctx.Done():
			case <-ch:
			case <-poll.C:
			}
		}
	}
}

// isItem reports whether an id may be that of a task in a bundle, whose place
// changes when it goes on alone.
func isItem(id string) bool {
	_, _, ok := splitItem(id)
	return ok
}
