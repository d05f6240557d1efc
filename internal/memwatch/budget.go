package memwatch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Load is what is in use on the node.
type Load struct {
	// Used is memory in bytes, of all that shares the limit.
	Used int64
	// CPU is the share of the node's processors in use, from 0 to 1, since the
	// reading before.
	CPU float64
	// Runners are the processes that do the tasks, idle ones too.
	Runners []RunnerLoad
}

// RunnerLoad is what a runner has in use.
type RunnerLoad struct {
	PID  int
	Kind string
	Task string // empty if idle
	RSS  int64
}

// Budget admits tasks. One is admitted if the node's memory lasts for it and for
// all that run, at their expected peaks; first come, first served, whatever the
// kind, so that a large task isn't passed by small ones for ever. An idle node
// admits always, so that no task waits for ever. Safe for use by several
// goroutines; it has none of its own.
type Budget struct {
	cfg  BudgetConfig
	read func() Load

	mu       sync.Mutex
	load     Load
	readAt   time.Time
	rss      map[string]int64 // of the runners of each kind
	running  map[string]int
	total    int // of running
	peaks    map[string]*peaks
	waiters  []*waiter
	throttle throttle
	shedAt   time.Time
}

// waiter is a task that waits for its admission.
type waiter struct {
	kind     string
	admitted chan struct{} // closed when it is
}

// NewBudget returns a budget that reads the node's load by a function, which is
// called at most once in each Poll and must not call the budget.
func NewBudget(cfg BudgetConfig, read func() Load) (*Budget, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("memory budget: %w", err)
	}
	return &Budget{
		cfg: cfg, read: read, rss: map[string]int64{}, running: map[string]int{}, peaks: map[string]*peaks{},
		throttle: throttle{high: cfg.CPU, low: cfg.CPUCalm, window: cfg.CPUWindow},
	}, nil
}

// Release ends a task that was admitted. Peak is the most memory that it took,
// from which the budget learns; 0 means unknown. Calling it again does nothing.
type Release func(peak int64)

// Admit admits a task, or reports that it would have to wait.
func (b *Budget) Admit(kind string) (release Release, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiters) > 0 || !b.fits(kind, time.Now()) {
		return nil, false
	}
	return b.grant(kind), true
}

// Acquire waits until a task is admitted or ctx ends.
func (b *Budget) Acquire(ctx context.Context, kind string) (Release, error) {
	b.mu.Lock()
	if len(b.waiters) == 0 && b.fits(kind, time.Now()) {
		defer b.mu.Unlock()
		return b.grant(kind), nil
	}
	w := &waiter{kind: kind, admitted: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	b.mu.Unlock()
	tick := time.NewTicker(b.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-w.admitted:
			return b.once(kind), nil
		case <-tick.C: // memory is freed by others, too
			b.mu.Lock()
			b.serve()
			b.mu.Unlock()
		case <-ctx.Done():
			return b.withdraw(ctx, w)
		}
	}
}

// withdraw ends the wait of a task whose context has ended.
func (b *Budget) withdraw(ctx context.Context, w *waiter) (Release, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.admitted: // at the last moment
		b.end(w.kind, 0)
	default:
		b.waiters = slices.DeleteFunc(b.waiters, func(x *waiter) bool { return x == w })
	}
	b.serve() // it may have been the one that the others waited behind
	return nil, fmt.Errorf("wait for memory or processors: %w", context.Cause(ctx))
}

// The functions below are called with the lock held, but for those that take it.

// serve admits those who wait, in their order, as far as it goes.
func (b *Budget) serve() {
	for len(b.waiters) > 0 && b.fits(b.waiters[0].kind, time.Now()) {
		w := b.waiters[0]
		b.waiters = b.waiters[1:]
		b.count(w.kind)
		close(w.admitted)
	}
}

func (b *Budget) grant(kind string) Release {
	b.count(kind)
	return b.once(kind)
}

func (b *Budget) count(kind string) {
	b.running[kind]++
	b.total++
	b.throttle.last = time.Now()
}

// once returns the end of an admitted task.
func (b *Budget) once(kind string) Release {
	var done sync.Once
	return func(peak int64) {
		done.Do(func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.end(kind, peak)
			b.serve()
		})
	}
}

func (b *Budget) end(kind string, peak int64) {
	b.running[kind]--
	b.total--
	if peak > 0 {
		b.learned(kind).add(peak)
	}
}

// maxLearned bounds the kinds whose peaks are learned.
const maxLearned = 64

func (b *Budget) learned(kind string) *peaks {
	p := b.peaks[kind]
	if p == nil {
		p = newPeaks(b.cfg.Ceilings[kind])
		if len(b.peaks) < maxLearned {
			b.peaks[kind] = p
		}
	}
	return p
}

// expected is what a task of the kind will take.
func (b *Budget) expected(kind string) int64 {
	if p := b.peaks[kind]; p != nil {
		if ceiling := b.cfg.Ceilings[kind]; ceiling > 0 {
			return min(p.quantile(b.cfg.Quantile), ceiling)
		}
		return p.quantile(b.cfg.Quantile)
	}
	return b.cfg.Ceilings[kind]
}

// fits reports whether a task may start now.
func (b *Budget) fits(kind string, now time.Time) bool {
	if b.total == 0 {
		return true
	}
	b.refresh(now)
	if !b.throttle.allows(now) {
		return false
	}
	mark := int64(float64(b.cfg.Limit) * b.cfg.Admit)
	return b.cfg.Limit == 0 || b.load.Used <= mark && b.load.Used+b.reserved(kind) <= mark
}

// reserved is what the tasks that run, and one more of a kind, will take beyond
// what their kinds' runners already have.
func (b *Budget) reserved(next string) (sum int64) {
	for kind, n := range b.running {
		if kind != next {
			sum += b.missing(kind, n)
		}
	}
	if next == "" {
		return sum
	}
	return sum + b.missing(next, b.running[next]+1)
}

func (b *Budget) missing(kind string, n int) int64 {
	return max(0, int64(n)*b.expected(kind)-b.rss[kind])
}

// refresh reads the node's load unless that was done just now.
func (b *Budget) refresh(now time.Time) {
	if !b.readAt.IsZero() && now.Sub(b.readAt) < b.cfg.Poll {
		return
	}
	b.load, b.readAt = b.read(), now
	clear(b.rss)
	for _, r := range b.load.Runners {
		b.rss[r.Kind] += r.RSS
	}
	b.throttle.observe(now, b.load.CPU)
}

// shedPause is how long a killed runner may take to give its memory back: one of
// 2 GB takes a quarter of a second.
const shedPause = time.Second

// Victim names the largest runner if the node's memory is about to run out, at
// most once a second. The caller ends it.
func (b *Budget) Victim() (RunnerLoad, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.refresh(now)
	over := b.cfg.Limit > 0 && float64(b.load.Used) > float64(b.cfg.Limit)*b.cfg.Shed
	if !over || len(b.load.Runners) == 0 || now.Sub(b.shedAt) < shedPause {
		return RunnerLoad{}, false
	}
	b.shedAt = now
	return slices.MaxFunc(b.load.Runners, func(x, y RunnerLoad) int { return cmp.Compare(x.RSS, y.RSS) }), true
}
