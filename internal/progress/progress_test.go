package progress

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// It counts allocations, which it cannot beside other tests.
func TestReport_WithoutAnybodyIsNothing(t *testing.T) {
	Report(t.Context(), tasks.Progress{Done: 1})
	if ctx := Part(t.Context(), 0, 1, "x"); ctx != t.Context() {
		t.Error("a part of nothing has a context of its own")
	}
	if n := testing.AllocsPerRun(100, func() { Report(t.Context(), tasks.Progress{Done: 1, Total: 2, Message: "x"}) }); n != 0 {
		t.Errorf("got %.0f allocations", n)
	}
}

func TestPart(t *testing.T) {
	t.Parallel()
	var got []tasks.Progress
	ctx := With(t.Context(), func(p tasks.Progress) { got = append(got, p) })
	part := Part(ctx, 0.2, 0.6, "parse")
	Report(part, tasks.Progress{Done: 1, Total: 4})
	Report(Part(part, 0.5, 1, "inner"), tasks.Progress{Fraction: 1, Message: "own"})
	want := []tasks.Progress{
		{Fraction: 0.2, Message: "parse"}, {Fraction: 0.2 + 0.4*0.25, Done: 1, Total: 4, Message: "parse"},
		{Fraction: 0.4, Message: "inner"}, {Fraction: 0.6, Message: "own"},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i, p := range got {
		if p.Bounded() != want[i].Bounded() {
			t.Errorf("report %d: got %+v, want %+v", i, p, want[i])
		}
	}
}

func TestThrottle_LastOneWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		type sent struct {
			done int64
			at   time.Duration
		}
		var got []sent
		throttle := &Throttle{Send: func(_ context.Context, p tasks.Progress) { got = append(got, sent{p.Done, time.Since(start)}) }}
		for i := range int64(1000) { // a second
			throttle.Report(tasks.Progress{Done: i})
			pass(time.Millisecond)
		}
		pass(time.Minute)
		throttle.Report(tasks.Progress{Done: 5000})
		pass(time.Minute)
		throttle.Close()
		throttle.Report(tasks.Progress{Done: 6000})
		throttle.Close()
		pass(time.Minute)
		synctest.Wait()
		if len(got) != 6 {
			t.Fatalf("got %+v, want five in a second and one later", got)
		}
		for i, at := range []time.Duration{100, 350, 600, 850} {
			if d := got[i].at - at*time.Millisecond; d < 0 || d > time.Millisecond {
				t.Errorf("report %d: got %s, want %dms", i, got[i].at, at)
			}
		}
		if got[4].done != 999 || got[5].done != 5000 {
			t.Errorf("got %+v, want the last of each run", got)
		}
	})
}

func TestThrottle_ShortJobsSendNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		throttle := &Throttle{Send: func(context.Context, tasks.Progress) { t.Error("sent") }}
		throttle.Report(tasks.Progress{Done: 1})
		pass(First - time.Millisecond)
		throttle.Close()
		pass(time.Minute)
	})
}

func TestThrottle_CloseEndsTheSending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sending := false
		throttle := &Throttle{Send: func(ctx context.Context, _ tasks.Progress) {
			sending = true
			<-ctx.Done()
			sending = false
		}}
		throttle.Report(tasks.Progress{Done: 1})
		pass(time.Second)
		synctest.Wait()
		if !sending {
			t.Error("nothing is sent")
		}
		throttle.Close()
		if sending {
			t.Error("it sends after its end")
		}
	})
}

func TestBounded(t *testing.T) {
	t.Parallel()
	nan := 0.0
	nan /= nan
	for _, p := range []tasks.Progress{
		{Fraction: nan, Done: -1, Total: -5, Message: strings.Repeat("ä\n", 500)}, {Fraction: 7, Done: 9, Total: 3, Message: "\xff\x00\u202e"},
	} {
		b := p.Bounded()
		if !(b.Fraction >= 0 && b.Fraction <= 1) || b.Done < 0 || b.Total < 0 || b.Total > 0 && b.Done > b.Total ||
			len(b.Message) > tasks.MaxProgressMessage || strings.ContainsAny(b.Message, "\n\x00\u202e") || b.Bounded() != b {
			t.Errorf("got %+v of %+v", b, p)
		}
	}
	if p := (tasks.Progress{Done: 1, Total: 4}).Bounded(); p.Fraction != 0.25 {
		t.Errorf("got %v, want the share of the parts", p.Fraction)
	}
}
