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
	for _, q := range queues {
		gen, _ := w.Await(context.Background(), q)
		w.Empty(q, gen)
	}
	return w
}

func TestWaker_SleepsUntilTheSweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := idle("a", "b")
		start := time.Now()
		if _, look := w.Await(t.Context(), "a"); !look || time.Since(start) != Sweep {
			t.Errorf("looked %v after %s, want true after %s", look, time.Since(start), Sweep)
		}
	})
}

func TestWaker_WakesForAnnouncement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := idle("a", "b")
		time.AfterFunc(time.Millisecond, func() { w.Announce("b") })
		start := time.Now()
		if _, look := w.Await(t.Context(), "a"); look {
			t.Error("looked into a, want b only")
		}
		if _, look := w.Await(t.Context(), "b"); !look || time.Since(start) != time.Millisecond {
			t.Errorf("looked into b: %v after %s", look, time.Since(start))
		}
	})
}

// A task that comes between the look and the note that the queue was empty
// must not be slept over.
func TestWaker_AnnouncementDuringTheLookIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := NewWaker("a")
		gen, _ := w.Await(t.Context(), "a")
		w.Announce("a")
		w.Empty("a", gen)
		start := time.Now()
		if _, look := w.Await(t.Context(), "a"); !look || time.Since(start) != 0 {
			t.Errorf("looked %v after %s, want at once", look, time.Since(start))
		}
	})
}

func TestWaker_OtherQueuesAreIgnored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := idle("a")
		time.AfterFunc(time.Millisecond, func() { w.Announce("other") })
		start := time.Now()
		w.Await(t.Context(), "a")
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
		if _, look := w.Await(t.Context(), "a"); look || time.Since(start) != time.Millisecond {
			t.Errorf("looked %v after %s", look, time.Since(start))
		}
		w.Rest(t.Context(), time.Hour)
		w.Close()
		if time.Since(start) != time.Millisecond {
			t.Error("a rest outlasted the close")
		}
	})
}
