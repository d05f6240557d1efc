package isolation

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/tasks"
)

// A burst grows the pool to its slots and a spare, never further, and rest
// shrinks it to the spare.
func TestPool_growsAndShrinks(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Slots, c.IdleTimeout = 3, 50*time.Millisecond
	p := newPool(t, c)
	if n := len(p.Runners()); n != 1 {
		t.Errorf("got %d runners at the start, want 1", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all []<-chan error
	for range 6 {
		all = append(all, start(ctx, p, Call{Func: "polite", Payload: []byte("{}")}))
	}
	eventually(t, "grown", func() bool { return len(p.Runners()) == 4 && busyOf(p) == 3 })
	for range 20 { // and no further
		if n, working := len(p.Runners()), busyOf(p); n > 4 || working > 3 {
			t.Errorf("got %d at work of %d runners, want at most 3 of 4", working, n)
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // watches for what must not happen
	}
	cancel()
	for _, ended := range all {
		wantInterrupted(t, <-ended)
	}
	eventually(t, "shrunk", func() bool { return len(p.Runners()) == 1 })
}

// wantInterrupted fails the test unless a call was ended by its caller.
func wantInterrupted(tb testing.TB, err error) {
	tb.Helper()
	if got := reasonOf(tb, err); got != tasks.ReasonInterrupted {
		tb.Errorf("got %s, want %s", got, tasks.ReasonInterrupted)
	}
}

func busyOf(p *Pool) (n int) {
	for _, r := range p.Runners() {
		if r.State == "busy" {
			n++
		}
	}
	return n
}

// Runners that are all due at once are replaced one after the other, and the
// pool serves meanwhile.
func TestPool_allDue(t *testing.T) {
	t.Parallel()
	c := testConfig()
	p := newPool(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	first, other := start(ctx, p, Call{Func: "polite", Payload: []byte("{}")}), start(ctx, p, Call{Func: "polite", Payload: []byte("{}")})
	eventually(t, "full", func() bool { return len(p.Runners()) == 3 && busyOf(p) == 2 })
	old := map[int]bool{}
	for _, r := range p.Runners() {
		old[r.PID] = true
	}
	p.mu.Lock()
	for c := range p.children {
		c.due = "age"
	}
	p.mu.Unlock()
	cancel()
	wantInterrupted(t, <-first)
	wantInterrupted(t, <-other)
	eventually(t, "renewed", func() bool {
		if _, err := Remote[echo, int](p, "pid", nil)(t.Context(), echo{}); err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Runners() {
			if old[r.PID] {
				return false
			}
		}
		return true
	})
}

// A runner's slot is free only when the runner is reaped, and the spare is warm
// by then.
func TestPool_countsTheDying(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Slots = 1
	p := newPool(t, c)
	for range 5 {
		if got := reasonOf(t, second(p.Do(t.Context(), Call{Func: "exit", Payload: []byte("{}")}))); got != tasks.ReasonCrash {
			t.Fatalf("got %s, want %s", got, tasks.ReasonCrash)
		}
		if n := len(p.Runners()); n > 2 {
			t.Errorf("got %d runners, want at most 2", n)
		}
	}
	if _, err := Remote[echo, int](p, "pid", nil)(t.Context(), echo{}); err != nil {
		t.Error(err)
	}
}

// Runners are replaced between tasks, for each reason.
func TestPool_recycles(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		set   func(*Config)
		leaks bool
		job   string
		in    string
	}{
		{name: "tasks", set: func(c *Config) { c.Recycle.Tasks = 5 }, job: "echo", in: "{}"},
		{name: "age", set: func(c *Config) { c.Recycle.Age = 300 * time.Millisecond }, job: "echo", in: "{}"},
		{name: "rss", set: func(c *Config) { c.Recycle.RSS, c.Limits.Memory = minMemory, 1<<30 }, job: "keep", in: "10000000"},
		{name: "leak", leaks: true, job: "echo", in: "{}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := testConfig()
			c.Kind, c.Recycle.MinLife, c.CollectEvery = tc.name, 0, 2
			if tc.set != nil {
				tc.set(&c)
			}
			reg := prometheus.NewRegistry()
			m := NewMetrics(reg)
			p, err := New(c, zerolog.Nop(), m, func(s Sample) bool {
				if s.Live <= 0 || s.RSS <= 0 || s.Done == 0 || s.PID == 0 || s.Kind != tc.name {
					t.Errorf("got sample %+v, want all of it set", s)
				}
				return tc.leaks
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closePool(t, p) })
			eventually(t, "replaced", func() bool {
				if _, err := p.Do(t.Context(), Call{Func: tc.job, Payload: []byte(tc.in)}); err != nil {
					t.Fatal(err)
				}
				return value(t, reg, "jobyard_runner_recycles_total", tc.name, tc.name) >= 2
			})
		})
	}
}

// A bad threshold does not make the pool spin: a runner lives its least life.
func TestPool_leastLife(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Recycle = Recycle{Tasks: 1, RSS: minMemory, Age: time.Hour, MinLife: time.Hour}
	c.Slots, c.CollectEvery = 1, 1
	p, err := New(c, zerolog.Nop(), nil, func(Sample) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closePool(t, p) })
	pids := map[int]bool{}
	for range 30 {
		pid, err := Remote[echo, int](p, "pid", nil)(t.Context(), echo{})
		if err != nil {
			t.Fatal(err)
		}
		pids[pid] = true
	}
	if len(pids) > 2 {
		t.Errorf("got %d runners for 30 tasks, want the first two", len(pids))
	}
}

// A runner that hangs at its start does not hang its pool.
func TestNew_hungChild(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Args, c.StartTimeout = []string{"hang"}, 100*time.Millisecond
	p, err := New(c, zerolog.Nop(), nil, nil)
	if err == nil {
		p.Close(t.Context())
		t.Fatal("got a pool of hanging runners, want an error")
	}
}

// Runners that hang at their start later on cost their task a crash and are
// tried again.
func TestPool_hungChild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := testConfig()
	c.Args, c.Slots, c.StartTimeout = []string{"moody", dir}, 1, 2*time.Second
	p := newPool(t, c)
	if err := os.WriteFile(filepath.Join(dir, "hang"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, r := range p.Runners() {
		kill(t, r.PID)
	}
	eventually(t, "without runners", func() bool { return len(p.Runners()) == 0 })
	_, err := Remote[echo, echo](p, "echo", nil)(t.Context(), echo{"x"})
	if got := reasonOf(t, err); got != tasks.ReasonCrash {
		t.Errorf("got %s (%v), want %s", got, err, tasks.ReasonCrash)
	}
	if err := os.Remove(filepath.Join(dir, "hang")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "back in service", func() bool {
		_, err := Remote[echo, echo](p, "echo", nil)(t.Context(), echo{"x"})
		return err == nil
	})
}

// While one runner hangs at its start, seven callers go on with theirs, and the
// place of the hanging one is free again.
func TestPool_hungChildAmongNeighbors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hang := filepath.Join(dir, "hang")
	c := testConfig()
	c.Args, c.Slots, c.StartTimeout = []string{"moody", dir}, 8, 3*time.Second
	reg := prometheus.NewRegistry()
	p, err := New(c, zerolog.Nop(), NewMetrics(reg), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closePool(t, p) })
	failed := func() float64 { return value(t, reg, "jobyard_runner_starts_total", "test", "failed") }
	neighbors := startNeighbors(t, p, 7)
	eventually(t, "seven at work beside a spare", func() bool { return busyOf(p) == 7 && len(p.Runners()) == 8 })
	if err := os.WriteFile(hang, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := failed()
	eventually(t, "without its spare", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, spare := range slices.Clone(p.idle) {
			p.retire(spare, "test")
			p.balance()
			return true
		}
		return false
	})
	eventually(t, "given up", func() bool { return failed() > before })
	if n := len(p.Runners()); n != 7 {
		t.Errorf("got %d runners beside the hanging one, want 7", n)
	}
	if late := neighbors(); late >= c.StartTimeout {
		t.Errorf("a neighbor was late by %s: it has waited for the hanging runner", late)
	}
	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all []<-chan error
	for range c.Slots {
		all = append(all, start(ctx, p, Call{Func: "polite", Payload: []byte("{}")}))
	}
	eventually(t, "eight at work", func() bool { return busyOf(p) == c.Slots })
	cancel()
	for _, ended := range all {
		wantInterrupted(t, <-ended)
	}
}

// A runner that has served its time serves on until the one that takes its place
// is ready, and they do not all serve as long.
func TestPool_spareFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hang := filepath.Join(dir, "hang")
	c := testConfig()
	c.Args, c.Slots, c.StartTimeout = []string{"moody", dir}, 1, 2*time.Second
	c.Recycle.Tasks, c.Recycle.MinLife = 5, 0
	p := newPool(t, c)
	pid := Remote[echo, int](p, "pid", nil)
	served := map[int]bool{}
	serve := func() {
		t.Helper()
		by, err := pid(t.Context(), echo{})
		if err != nil {
			t.Fatal(err)
		}
		served[by] = true
	}
	serve()
	eventually(t, "a spare", func() bool { return len(p.Runners()) == 2 })
	p.mu.Lock()
	spread := map[float64]bool{}
	for c := range p.children {
		spread[c.spread] = true
	}
	p.mu.Unlock()
	if len(spread) != 2 {
		t.Errorf("got spreads %v, want two", spread)
	}
	if err := os.WriteFile(hang, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 30 { // three times as many as two runners are to do
		serve()
	}
	if len(served) != 2 {
		t.Errorf("got %d runners, want the first and its spare, though both have served their time", len(served))
	}
	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	eventually(t, "replaced", func() bool { serve(); return len(served) > 2 })
}

// Close ends what runs and what waits, twice if need be.
func TestPool_Close(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Slots = 2
	p := newPool(t, c)
	var all []<-chan error
	for range 4 {
		all = append(all, start(t.Context(), p, Call{Func: "ignore", Payload: []byte("{}")}))
	}
	eventually(t, "full", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.inUse == 2 && len(p.waiters) == 2
	})
	closePool(t, p)
	for _, ended := range all {
		if got := reasonOf(t, <-ended); got != tasks.ReasonInterrupted {
			t.Errorf("got %s, want %s", got, tasks.ReasonInterrupted)
		}
	}
	if n := len(p.Runners()); n != 0 {
		t.Errorf("got %d runners after the end, want none", n)
	}
	if got := reasonOf(t, second(p.Do(t.Context(), Call{Func: "echo"}))); got != tasks.ReasonInterrupted {
		t.Errorf("got %s after the end, want %s", got, tasks.ReasonInterrupted)
	}
	closePool(t, p)
}

// A call that is withdrawn while it waits takes no slot with it.
func TestPool_withdrawnCall(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Slots = 1
	p := newPool(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	first := start(ctx, p, Call{Func: "polite", Payload: []byte("{}")})
	atWork(t, p)
	waiting, withdraw := context.WithCancelCause(t.Context())
	ended := start(waiting, p, Call{Func: "echo", Payload: []byte("{}")})
	withdraw(errors.New("no longer wanted"))
	wantInterrupted(t, <-ended)
	cancel()
	wantInterrupted(t, <-first)
	if _, err := Remote[echo, int](p, "pid", nil)(t.Context(), echo{}); err != nil {
		t.Error(err)
	}
}

// Kills are counted by reason, and the sandbox is shown by level.
func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	p, err := New(testConfig(), zerolog.Nop(), NewMetrics(reg), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closePool(t, p) })
	_, _ = p.Do(t.Context(), Call{Func: "exit", Payload: []byte("{}")})
	_, _ = p.Do(t.Context(), Call{Func: "ignore", Payload: []byte("{}"), Limits: Limits{Wall: 20 * time.Millisecond}})
	for _, reason := range []string{"crash", "timeout"} {
		if n := value(t, reg, "jobyard_runner_kills_total", "test", reason); n != 1 {
			t.Errorf("got %v kills for %s, want 1", n, reason)
		}
	}
	shown := 0.0
	for _, level := range Levels() {
		shown += value(t, reg, "jobyard_runner_sandbox", "test", string(level))
	}
	if shown != 1 || value(t, reg, "jobyard_runner_sandbox", "test", string(p.Level())) != 1 {
		t.Errorf("got %v levels shown, want %s alone", shown, p.Level())
	}
}

// value is that of a metric with exactly these label values, or 0.
func value(tb testing.TB, reg *prometheus.Registry, name string, labels ...string) float64 {
	tb.Helper()
	families, err := reg.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var got []string
			for _, l := range m.GetLabel() {
				got = append(got, l.GetValue())
			}
			if f.GetName() == name && slices.Equal(got, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// The least that an inline pool answers.
func TestInline(t *testing.T) {
	t.Parallel()
	p := Inline()
	out, err := Remote(p, "echo", func(_ context.Context, in echo) (int, error) { return os.Getpid(), nil })(t.Context(), echo{})
	if err != nil || out != os.Getpid() {
		t.Errorf("got %d, %v, want this process", out, err)
	}
	if p.Level() != None || len(p.Runners()) != 0 || p.Evict(1) || p.Close(t.Context()) != nil {
		t.Error("an inline pool reports runners")
	}
}
