package results

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// DoneChannel is where the end of tasks and batches is announced: an id, or
	// a batch's and the numbers of its tasks ("<batch> 3,17").
	DoneChannel = "jobyard:done"
	// CancelChannel is where the id of a running task is announced that is to stop.
	CancelChannel = "jobyard:cancel"
	// pollEvery is how soon a waiter looks although nothing was announced; each
	// further look comes later, up to pollAtMost: ten thousand waits must not
	// keep Redis busy with questions.
	pollEvery  = time.Second
	pollAtMost = 10 * time.Second
	// maxWaiters bounds the waits of one process.
	maxWaiters = 20000
)

// ErrTooManyWaits tells that this process waits for as many tasks as it may.
var ErrTooManyWaits = errors.New("too many waits at once")

// Events wakes whoever waits for a task to end. One subscription serves all
// waiters of a process.
type Events struct {
	store   *Store
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]struct{}
	count   int

	watchers *watchers
}

// NewEvents returns the events of the store's tasks. Run must run for waits to
// be quick; without it they poll.
func (s *Store) NewEvents() *Events {
	return &Events{store: s, waiting: map[string]map[chan struct{}]struct{}{}, watchers: newWatchers()}
}

// Run listens until ctx ends.
func (e *Events) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	watching.Go(func() { e.watchers.listen(ctx, e.store.broker) })
	defer watching.Wait()
	return broker.Listen(ctx, e.store.broker.Client(), func(_, ended string) { e.announced(ended) }, e.wakeAll, DoneChannel)
}

// announced wakes for tasks or a batch that ended ("<id>,<id>"), or for the
// tasks of a batch that ended together ("<batch> 3,17").
func (e *Events) announced(ended string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) == 0 {
		return
	}
	batch, numbers, many := strings.Cut(ended, " ")
	if !many {
		for id := range strings.SplitSeq(ended, ",") {
			e.wake(id)
		}
		return
	}
	for n := range strings.SplitSeq(numbers, ",") {
		e.wake(batch + "." + n)
	}
}

// wake wakes the waiters of one id; e.mu is held.
func (e *Events) wake(id string) {
	for ch := range e.waiting[id] {
		ring(ch)
	}
}

func (e *Events) wakeAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, waiters := range e.waiting {
		for ch := range waiters {
			ring(ch)
		}
	}
}

// ring wakes a waiter that has not been woken yet.
func ring(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (e *Events) join(id string) (chan struct{}, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count >= maxWaiters {
		return nil, ErrTooManyWaits
	}
	e.count++
	ch := make(chan struct{}, 1)
	if e.waiting[id] == nil {
		e.waiting[id] = map[chan struct{}]struct{}{}
	}
	e.waiting[id][ch] = struct{}{}
	return ch, nil
}

func (e *Events) leave(id string, ch chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count--
	delete(e.waiting[id], ch)
	if len(e.waiting[id]) == 0 {
		delete(e.waiting, id)
	}
}

// Wait returns the task once it is final. If ctx ends first it returns the
// task as it then was, and the context's error. The queues are where to look,
// as for Store.Get.
func (e *Events) Wait(ctx context.Context, id string, queues ...string) (tasks.Task, error) {
	var last tasks.Task
	err := e.until(ctx, id, e.final(ctx, id, &last, queues...))
	return last, err
}

// Expected is a wait for a task that is yet to be handed over. It hears of the
// end however soon that comes, and so need not look before.
type Expected struct {
	events *Events
	id     string
	ch     chan struct{}
}

// Expect begins to wait for the task that will have the id. Leave ends it.
func (e *Events) Expect(id string) (*Expected, error) {
	ch, err := e.join(id)
	return &Expected{e, id, ch}, err
}

// Wait is Events.Wait, of the task as it was handed over.
func (x *Expected) Wait(ctx context.Context, t tasks.Task) (tasks.Task, error) {
	err := rung(ctx, x.id, x.ch, x.events.final(ctx, x.id, &t, t.Queue))
	return t, err
}

// Leave ends the wait.
func (x *Expected) Leave() { x.events.leave(x.id, x.ch) }

// final is a look at a task that reports whether it is final, and keeps what it
// saw last.
func (e *Events) final(ctx context.Context, id string, last *tasks.Task, queues ...string) func() (bool, error) {
	return func() (bool, error) {
		t, err := e.store.Get(ctx, id, queues...)
		if err == nil {
			*last = t
			if _, _, batched := splitItem(id); !batched && t.Queue != "" {
				queues = []string{t.Queue} // a task never changes its queue
			}
		}
		return t.State.Final(), err
	}
}

// tried looks once. A look that failed because ctx ended says so.
func tried(ctx context.Context, id string, look func() (bool, error)) (there bool, err error) {
	there, err = look()
	if ctx.Err() != nil {
		return there, fmt.Errorf("wait for %s: %w", id, ctx.Err())
	}
	return there, err
}

// until looks, and again whenever the id is announced, and now and then without,
// until what it waits for is there, the look fails, or ctx ends.
func (e *Events) until(ctx context.Context, id string, look func() (bool, error)) error {
	ch, err := e.join(id)
	if err != nil {
		return err
	}
	defer e.leave(id, ch)
	if there, err := tried(ctx, id, look); there || err != nil {
		return err
	}
	return rung(ctx, id, ch, look)
}

// rung is until without the first look.
func rung(ctx context.Context, id string, announced <-chan struct{}, look func() (bool, error)) error {
	every := pollEvery
	poll := time.NewTimer(every)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", id, ctx.Err())
		case <-announced:
		case <-poll.C:
			every = min(2*every, pollAtMost)
			poll.Reset(every)
		}
		if there, err := tried(ctx, id, look); there || err != nil {
			return err
		}
	}
}
