package broker

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// WakeChannel is where a queue's name is announced when it gets work after it
// was empty.
const WakeChannel = "jobyard:wake"

// Sweep is how long an idle worker waits before it looks without having been
// woken: the safety net for announcements that were lost.
const Sweep = time.Second

// Waker holds an idle worker back from Redis until one of its queues has work.
//
// A queue's generation grows with every announcement. Whoever finds a queue
// empty gives Empty the generation it read before it looked: an announcement
// in between is then never missed.
type Waker struct {
	queues []string

	mu     sync.Mutex
	gen    map[string]uint64
	empty  map[string]uint64
	change chan struct{} // closed and renewed with every announcement
	paused bool
	closed bool
}

// NewWaker watches the queues of one asynq server.
func NewWaker(queues ...string) *Waker {
	w := &Waker{queues: queues, gen: map[string]uint64{}, empty: map[string]uint64{}, change: make(chan struct{})}
	for _, q := range queues {
		w.gen[q] = 1
	}
	return w
}

// Announce wakes whoever waits for the queue; queues of other servers are
// ignored.
func (w *Waker) Announce(queue string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ours := w.gen[queue]; ours {
		w.gen[queue]++
		w.signal()
	}
}

// AnnounceAll wakes for every queue, as after a lost connection.
func (w *Waker) AnnounceAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for q := range w.gen {
		w.gen[q]++
	}
	w.signal()
}

func (w *Waker) signal() {
	close(w.change)
	w.change = make(chan struct{})
}

// Close lets every wait return, now and later.
func (w *Waker) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		w.signal()
	}
}

// Pause holds every wait, whatever is announced, until it is taken back.
func (w *Waker) Pause(paused bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.paused != paused {
		w.paused = paused
		w.signal()
	}
}

// Look is a queue that may have work, at a generation.
type Look struct {
	Queue string
	gen   uint64
}

// Await returns the queues that may have work, in the waker's order. While
// every queue is known to be empty it waits, at most Sweep. It returns nothing
// once the waker is closed or ctx ends, and after Sweep while it is paused.
func (w *Waker) Await(ctx context.Context) []Look {
	deadline := time.NewTimer(Sweep)
	defer deadline.Stop()
	for {
		w.mu.Lock()
		looks, change, closed, paused := w.looks(), w.change, w.closed, w.paused
		w.mu.Unlock()
		if closed {
			return nil
		}
		if len(looks) > 0 {
			return looks
		}
		select {
		case <-change:
		case <-deadline.C:
			if paused {
				// asynq counts a task's lease from when it asked: it must not ask once
				// and wait until somebody lets the node go on.
				return nil
			}
			w.AnnounceAll()
		case <-ctx.Done():
			return nil
		}
	}
}

// looks lists the queues that are not known to be empty, or none while paused;
// w.mu is held.
func (w *Waker) looks() []Look {
	var looks []Look
	if w.paused {
		return nil
	}
	for _, q := range w.queues {
		if w.empty[q] != w.gen[q] {
			looks = append(looks, Look{q, w.gen[q]})
		}
	}
	return looks
}

// Rest waits for d, or less if the waker is closed.
func (w *Waker) Rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		w.mu.Lock()
		change, closed := w.change, w.closed
		w.mu.Unlock()
		if closed {
			return
		}
		select {
		case <-change:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Empty notes that a look found nothing.
func (w *Waker) Empty(l Look) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.empty[l.Queue] = l.gen
}

// Listen passes every message of the channels to deliver until ctx ends. After
// each (re)connection it calls resumed, because messages may have been lost.
func Listen(ctx context.Context, c redis.UniversalClient, deliver func(channel, payload string), resumed func(), channels ...string) error {
	sub := c.Subscribe(ctx, channels...)
	defer sub.Close()
	messages := sub.ChannelWithSubscriptions(redis.WithChannelSize(1024))
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, ok := <-messages:
			if !ok {
				return nil
			}
			switch m := m.(type) {
			case *redis.Subscription:
				resumed()
			case *redis.Message:
				deliver(m.Channel, m.Payload)
			}
		}
	}
}
