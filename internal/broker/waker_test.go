package broker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// idle makes a waker whose queues are all known to be empty.
func idle(queues ...string) *Waker {
	w := NewWaker(queues...)
	for _, l := range w.Await(context.Background()) {
		w.Empty(l)
	}
	return w
}

// queues names what a wait returned.
func queues(looks []Look) (names string) {
	for _, l := range looks {
		names += l.Queue
	}
	return names
}

func TestWaker_SleepsUntilTheSweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := idle("a", "b")
		start := time.Now()
		if got := queues(w.Await(t.Context())); got != "ab" || time.Since(start) != Sweep {
			t.Errorf("got %q after %s, want both queues after %s", got, time.Since(start), Sweep)
		}
	})
}

func TestWaker_WakesForAnnouncement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := idle("a", "b")
		time.AfterFunc(time.Millisecond, func() { w.Announce("b") })
		start := time.Now()
		if got := queues(w.Await(t.Context())); got != "b" || time.Since(start) != time.Millisecond {
			t.Errorf("got %q after %s, want b after 1ms", got, time.Since(start))
		}
	})
}

// A task that comes between the look and the note that the queue was empty
// must not be slept over.
func TestWaker_AnnouncementDuringTheLookIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := NewWaker("a")
		look := w.Await(t.Context())[0]
		w.Announce("a")
		w.Empty(look)
		start := time.Now()
		if got := queues(w.Await(t.Context())); got != "a" || time.Since(start) != 0 {
			t.Errorf("got %q after %s, want a at once", got, time.Since(start))
		}
	})
}

func TestWaker_OtherQueuesAreIgnored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := idle("a")
		time.AfterFunc(time.Millisecond, func() { w.Announce("other") })
		start := time.Now()
		w.Await(t.Context())
		if time.Since(start) != Sweep {
			t.Errorf("woke after %s", time.Since(start))
		}
	})
}

func TestWaker_CloseEndsEveryWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := idle("a")
		time.AfterFunc(time.Millisecond, w.Close)
		start := time.Now()
		if got := queues(w.Await(t.Context())); got != "" || time.Since(start) != time.Millisecond {
			t.Errorf("got %q after %s", got, time.Since(start))
		}
		w.Rest(t.Context(), time.Hour)
		w.Close()
		if time.Since(start) != time.Millisecond {
			t.Error("a rest outlasted the close")
		}
	})
}

func TestWaker_PausedComesBackEmpty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := NewWaker("q")
		w.Pause(true)
		begin := time.Now()
		w.Announce("q")
		if looks := w.Await(t.Context()); len(looks) > 0 || time.Since(begin) != Sweep {
			t.Errorf("got %v after %s, want nothing after %s", looks, time.Since(begin), Sweep)
		}
		w.Pause(false)
		if looks := w.Await(t.Context()); len(looks) != 1 {
			t.Errorf("got %v, want the queue at once", looks)
		}
	})
}
