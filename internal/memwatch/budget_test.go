package memwatch

import (
	"context"
	"errors"
	"math"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stage is a node whose load the test sets, with a limit of 1,000 MB: tasks are
// admitted up to 850, and runners go above 950.
type stage struct {
	*Budget
	load  Load
	reads int
}

func newStage(t *testing.T, ceilings map[string]int64) *stage {
	t.Helper()
	s := new(stage)
	b, err := NewBudget(DefaultBudget(1000*mb, ceilings), func() Load { s.reads++; return s.load })
	if err != nil {
		t.Fatal(err)
	}
	s.Budget = b
	return s
}

// set changes the load and lets the budget see it. It needs a fake clock.
func (s *stage) set(used int64, runners ...RunnerLoad) (RunnerLoad, bool) {
	s.load = Load{Used: used * mb, Runners: runners}
	time.Sleep(s.cfg.Poll) //nolint:forbidigo // the clock is fake
	return s.Watch()
}

func admit(t *testing.T, b *Budget, kind string) Release {
	t.Helper()
	release, ok := b.Admit(kind)
	if !ok {
		t.Fatalf("a task of kind %s was not admitted", kind)
	}
	return release
}

// holds says what the node holds beside what it was admitted.
func holds(taken map[string]int) func() map[string]int {
	return func() map[string]int { return taken }
}

// What was taken and not yet admitted needs its room too, on an idle node and on
// a busy one: else more would be taken than fits, and would wait here.
func TestBudget_roomBesideWhatIsHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, map[string]int64{"parse": 300 * mb, "gen": 400 * mb})
		s.set(100)
		for name, c := range map[string]struct {
			held map[string]int
			want int
		}{
			"nothing":      {nil, 2},
			"one":          {map[string]int{"parse": 1}, 1},
			"both":         {map[string]int{"parse": 2}, 0},
			"another kind": {map[string]int{"gen": 1}, 1},
		} {
			if got := s.Room("parse", 8, holds(c.held)); got != c.want {
				t.Errorf("%s held: got room for %d, want %d", name, got, c.want)
			}
		}
		s.set(860)
		if got := s.Room("parse", 8, holds(map[string]int{"gen": 1})); got != 0 {
			t.Errorf("full, the first on its way: got room for %d, want none", got)
		}
		if got := s.Room("parse", 8, holds(map[string]int{"search": 4})); got != 1 {
			t.Errorf("full of others, and light tasks run: got room for %d, want 1", got)
		}
		if got := s.Room("search", 8, holds(map[string]int{"search": 1})); got != 0 {
			t.Errorf("full, a light one on its way: got room for %d, want none", got)
		}
		s.set(100)
		defer admit(t, s.Budget, "parse")(0)
		if got := s.Room("parse", 8, holds(map[string]int{"parse": 1})); got != 1 {
			t.Errorf("the one that is held runs: got room for %d, want 1", got)
		}
	})
}

func TestBudget_admitsWhatFits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, map[string]int64{"parse": 300 * mb})
		s.set(100)
		if got := s.Room("parse", 8, holds(nil)); got != 2 { // 100 + 2 × 300 of 850
			t.Errorf("got room for %d, want 2", got)
		}
		first, second := admit(t, s.Budget, "parse"), admit(t, s.Budget, "parse")
		if _, ok := s.Admit("parse"); ok {
			t.Error("a third task was admitted")
		}
		if got := s.Room("parse", 8, holds(nil)); got != 0 {
			t.Errorf("got room for %d more, want none", got)
		}
		// What the runners have already is not expected once more.
		s.set(500, RunnerLoad{PID: 3, Kind: "parse", RSS: 250 * mb},
			RunnerLoad{PID: 1, Kind: "parse", Task: "a", RSS: 200 * mb}, RunnerLoad{PID: 2, Kind: "parse", Task: "b", RSS: 200 * mb})
		if got := s.State(); got.Reserved != 200*mb || got.Room != 150*mb || got.Running != 2 || got.Memory != MemoryOK {
			t.Errorf("got %+v, want 200 MB reserved", got)
		}
		first(0)
		first(0) // does nothing
		second(0)
		if got := s.State(); got.Running != 0 || got.Reserved != 0 {
			t.Errorf("got %+v, want nothing to run", got)
		}
	})
}

func TestBudget_learnsPeaks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, map[string]int64{"parse": 300 * mb})
		s.set(100)
		for range 30 {
			admit(t, s.Budget, "parse")(40 * mb)
		}
		if got := s.State().Expected["parse"]; got < 40*mb || got > 44*mb {
			t.Errorf("got %d MB expected of tasks of 40 MB", got/mb)
		}
		if got := s.Room("parse", 100, holds(nil)); got < 15 || got > 18 {
			t.Errorf("got room for %d, want 750 MB by 40", got)
		}
		for range 5 { // one in seven is large now
			admit(t, s.Budget, "parse")(2000 * mb)
		}
		if got := s.State().Expected["parse"]; got != 300*mb {
			t.Errorf("got %d MB expected, want the ceiling and no more", got/mb)
		}
	})
}

func TestBudget_nothingAboveTheMark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, map[string]int64{"parse": 10 * mb})
		s.set(860)
		if got := s.State().Memory; got != MemoryFull {
			t.Errorf("got state %s, want full", got)
		}
		// An idle node admits always, but one.
		if got := s.Room("search", 4, holds(nil)); got != 1 {
			t.Errorf("idle and full: got room for %d, want 1", got)
		}
		last := admit(t, s.Budget, "parse")
		for _, kind := range []string{"parse", "search"} {
			if _, ok := s.Admit(kind); ok || s.Room(kind, 4, holds(nil)) != 0 {
				t.Errorf("%s was admitted above the mark", kind)
			}
		}
		s.set(500)
		admit(t, s.Budget, "search")(0)
		if got := s.Room("search", 4, holds(nil)); got != 4 {
			t.Errorf("got room for %d light tasks, want all", got)
		}
		last(0)
	})
}

func TestBudget_nobodyPassesAWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, map[string]int64{"large": 600 * mb, "small": 100 * mb})
		s.set(100)
		running := admit(t, s.Budget, "large")
		var mu sync.Mutex
		var order []string
		var releases []Release
		wait := func(kind string) {
			go func() {
				release, err := s.Acquire(t.Context(), kind)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order, releases = append(order, kind), append(releases, release)
			}()
			synctest.Wait()
		}
		wait("large")
		wait("small") // would fit, but a large one must not starve
		if len(order) != 0 || s.State().Waiting != 2 {
			t.Fatalf("got %v admitted, want nobody", order)
		}
		running(0)
		synctest.Wait()
		if len(order) != 2 {
			t.Errorf("got %v admitted, want both", order)
		}
		for _, release := range releases {
			release(0)
		}
	})
}

func TestBudget_memoryThatOthersFreeAdmits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, map[string]int64{"parse": 100 * mb})
		s.set(100)
		defer admit(t, s.Budget, "parse")(0)
		s.set(900)
		admitted := make(chan Release, 1)
		go func() {
			release, err := s.Acquire(t.Context(), "parse")
			if err == nil {
				admitted <- release
			}
		}()
		synctest.Wait()
		if len(admitted) != 0 {
			t.Fatal("admitted on a full node")
		}
		s.set(200)
		(<-admitted)(0)
	})
}

func TestBudget_waitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, map[string]int64{"parse": 500 * mb})
		s.set(100)
		running := admit(t, s.Budget, "parse")
		why := errors.New("canceled")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, why)
		defer cancel()
		if _, err := s.Acquire(ctx, "parse"); !errors.Is(err, why) {
			t.Errorf("got %v, want the cause", err)
		}
		if got := s.State(); got.Waiting != 0 || got.Running != 1 {
			t.Errorf("got %+v, want nobody waiting", got)
		}
		running(0)
		admit(t, s.Budget, "parse")(0)
	})
}

func TestBudget_victim(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		runners := []RunnerLoad{{PID: 1, RSS: 100 * mb}, {PID: 2, RSS: 400 * mb}, {PID: 3, RSS: 200 * mb}}
		if v, ok := s.set(940, runners...); ok {
			t.Errorf("got victim %+v below the mark", v)
		}
		if v, ok := s.set(960, runners...); !ok || v.PID != 2 {
			t.Errorf("got victim %+v, %v, want the largest", v, ok)
		}
		if s.State().Memory != MemoryCritical {
			t.Errorf("got state %s", s.State().Memory)
		}
		if v, ok := s.set(960, runners...); ok {
			t.Errorf("got victim %+v before the first one is gone", v)
		}
		time.Sleep(shedPause) //nolint:forbidigo // the clock is fake
		if _, ok := s.set(960, runners[0], runners[2]); !ok {
			t.Error("got no second victim")
		}
		time.Sleep(shedPause) //nolint:forbidigo // the clock is fake
		if v, ok := s.set(990, RunnerLoad{PID: 9, RSS: 5 * mb}); ok {
			t.Errorf("got victim %+v, which isn't what fills the node", v)
		}
	})
}

func TestBudget_enlarge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, map[string]int64{"parse": 300 * mb})
		s.set(100)
		defer admit(t, s.Budget, "parse")(0)
		if _, ok := s.Enlarge(500 * mb); ok {
			t.Error("got 100 + 300 + 500 of 850 MB")
		}
		shrink, ok := s.Enlarge(300 * mb)
		if !ok {
			t.Fatal("got no larger slot with 450 MB left")
		}
		if _, ok := s.Admit("parse"); ok {
			t.Error("what was given away was given twice")
		}
		shrink()
		shrink()
		admit(t, s.Budget, "parse")(0)
	})
}

func TestBudget_unknownLimit(t *testing.T) {
	t.Parallel()
	b, err := NewBudget(DefaultBudget(0, map[string]int64{"parse": 1 << 50}), func() Load { return Load{Used: 1 << 60} })
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		admit(t, b, "parse")
	}
	if _, ok := b.Watch(); ok || b.State().Memory != MemoryOK {
		t.Error("a node without a known limit sheds")
	}
	if _, ok := b.Enlarge(1 << 50); !ok {
		t.Error("got no larger slot")
	}
}

func TestBudget_readsAtMostOncePerPoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, map[string]int64{"parse": mb})
		s.set(1)
		defer admit(t, s.Budget, "parse")(0)
		before := s.reads
		for range 1000 {
			admit(t, s.Budget, "parse")(0)
			s.State()
		}
		if s.reads != before {
			t.Errorf("got %d readings at one moment", s.reads-before)
		}
	})
}

// The node is busy while a task runs and idle while its slot rests, beside a
// load that is not ours.
func TestBudget_throttlesWithTheProcessors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cpu, took := 0.9, time.Second
		b, err := NewBudget(DefaultBudget(0, nil), func() Load { return Load{CPU: cpu} })
		if err != nil {
			t.Fatal(err)
		}
		pass := func(d time.Duration) {
			for range d / b.cfg.Poll {
				time.Sleep(b.cfg.Poll) //nolint:forbidigo // the clock is fake
				b.Watch()
			}
		}
		pass(5 * time.Second)
		if got := b.Rest(took); got != 0 {
			t.Errorf("5 s of load: got a rest of %s, want none before 10 s", got)
		}
		pass(6 * time.Second)
		first := b.Rest(took)
		if first <= 0 || first > took/2 || b.State().Rest == 0 || b.State().CPU < 0.8 {
			t.Errorf("11 s of load: got a rest of %s and %+v, want a short one", first, b.State())
		}
		if short := b.Rest(time.Millisecond); short > time.Millisecond/2 {
			t.Errorf("got a rest of %s after a task of 1 ms", short)
		}
		pass(time.Minute)
		if got := b.Rest(took); got < 2*time.Second || b.Rest(time.Hour) != longestRest {
			t.Errorf("a minute of load: got %s and %s, want more, but bounded", got, b.Rest(time.Hour))
		}
		cpu = 0.75 // between the marks
		pass(time.Second)
		held := b.State().Rest
		pass(20 * time.Second)
		if got := b.State().Rest; math.Abs(got-held) > restStep+0.01 {
			t.Errorf("got %.2f, want it held at about %.2f", got, held)
		}
		cpu = 0.2
		pass(30 * time.Second)
		if got := b.Rest(took); got != 0 || b.State().Rest != 0 {
			t.Errorf("calm again: got a rest of %s", got)
		}
	})
}

func TestBudgetConfig_Validate(t *testing.T) {
	t.Parallel()
	if err := DefaultBudget(mb, map[string]int64{"k": 1}).Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for _, c := range []struct {
		spoil func(*BudgetConfig)
		want  string
	}{
		{func(c *BudgetConfig) { c.Limit = -1 }, "memory limit"},
		{func(c *BudgetConfig) { c.Admit = 0.97 }, "memory marks"},
		{func(c *BudgetConfig) { c.Quantile = 1 }, "quantile"},
		{func(c *BudgetConfig) { c.CPU = 1.5 }, "CPU marks"},
		{func(c *BudgetConfig) { c.CPUWindow = 0 }, "CPU window"},
		{func(c *BudgetConfig) { c.Poll = 0 }, "poll"},
		{func(c *BudgetConfig) { c.Ceilings = map[string]int64{"k": -1} }, "ceiling of k"},
	} {
		cfg := DefaultBudget(mb, nil)
		c.spoil(&cfg)
		if _, err := NewBudget(cfg, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want it to name the %s", err, c.want)
		}
	}
}

func TestGoLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ limit, runners, want int64 }{
		{0, 0, math.MaxInt64},
		{1000, 0, 900},
		{1000, 400, 540},
		{1000, 5000, 450},
		{1000, -1, 900},
	} {
		if got := GoLimit(c.limit, c.runners); got != c.want {
			t.Errorf("limit %d, runners %d: got %d, want %d", c.limit, c.runners, got, c.want)
		}
	}
}

// It has the process to itself.
func TestSetGoLimit(t *testing.T) {
	old := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(old)
	got, ours := SetGoLimit(8000*mb, 0)
	if !ours || got != 7200*mb || debug.SetMemoryLimit(-1) != got {
		t.Errorf("got %d, %v", got, ours)
	}
	if got, ours := SetGoLimit(100*mb, 0); ours || got != 7200*mb {
		t.Errorf("a limit that is set: got %d, %v, want it kept", got, ours)
	}
}

// BenchmarkBudget is the admission of a task: of a light kind, and of one whose
// memory is counted.
func BenchmarkBudget(b *testing.B) {
	budget, err := NewBudget(DefaultBudget(1<<40, map[string]int64{"parse": mb}), func() Load { return Load{} })
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []string{"search", "parse"} {
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if release, ok := budget.Admit(kind); ok {
						release(mb)
					}
				}
			})
		})
	}
}

func TestPeaks(t *testing.T) {
	t.Parallel()
	p := newPeaks(256 * mb)
	if got := p.quantile(0.95); got < 256*mb || got > 280*mb {
		t.Errorf("got %d MB before anything is known, want the ceiling", got/mb)
	}
	for range 100_000 { // far beyond where weights are scaled
		p.add(10 * mb)
	}
	if got := p.quantile(0.95); got < 10*mb || got > 11*mb || math.IsNaN(p.total) {
		t.Errorf("got %d MB, want about 10", got/mb)
	}
	for range 100 {
		p.add(80 * mb)
	}
	if got := p.quantile(0.95); got < 80*mb || got > 88*mb {
		t.Errorf("got %d MB after a change, want about 80", got/mb)
	}
	for _, odd := range []int64{-1, 0, 1, math.MaxInt64} {
		p.add(odd)
	}
	if got := p.quantile(1); got <= 0 {
		t.Errorf("got %d", got)
	}
}
