package memwatch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
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
// goroutines; it has none of its own: its owner calls Watch every Poll.
type Budget struct {
	cfg  BudgetConfig
	read func() Load
	open atomic.Bool   // below the mark, when last read
	rest atomic.Uint64 // the throttle's, as bits

	mu       sync.Mutex
	load     Load
	readAt   time.Time
	rss      map[string][]int64 // of the runners of each kind, those at work first
	running  map[string]int
	extra    int64 // that larger slots take beyond what is expected of their kinds
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
	b := &Budget{
		cfg: cfg, read: read, rss: map[string][]int64{}, running: map[string]int{}, peaks: map[string]*peaks{},
		throttle: throttle{high: cfg.CPU, low: cfg.CPUCalm, window: cfg.CPUWindow},
	}
	b.open.Store(true)
	return b, nil
}

// Release ends a task that was admitted. Peak is the most memory that it took,
// from which the budget learns; 0 means unknown. Calling it again does nothing.
type Release func(peak int64)

// nothing releases a task that takes no memory of its own.
func nothing(int64) {}

// light reports whether a task of the kind takes nothing worth counting and the
// node has room. It takes no lock: such tasks may last microseconds.
func (b *Budget) light(kind string) bool { return b.open.Load() && b.cfg.Ceilings[kind] == 0 }

// Admit admits a task, or reports that it would have to wait.
func (b *Budget) Admit(kind string) (release Release, ok bool) {
	if b.light(kind) {
		return nothing, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiters) > 0 || !b.fits(b.running, kind, 1, time.Now()) {
		return nil, false
	}
	return b.grant(kind), true
}

// Room is how many of so many tasks of a kind would be admitted now, if those
// were that the node holds already: held counts them by kind, with those that
// run. Tasks of other kinds that take nothing worth counting don't count: there
// may always be some, and an idle node has room for one.
func (b *Budget) Room(kind string, want int, held func() map[string]int) int {
	if b.light(kind) {
		return want
	}
	taken := held()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiters) > 0 {
		return 0
	}
	busy := maps.Clone(b.running) // not only what is held: a job may outlast its task
	for k, n := range taken {
		if k == kind || b.cfg.Ceilings[k] > 0 {
			busy[k] = max(busy[k], n)
		}
	}
	now, n := time.Now(), 0
	for n < want && b.fits(busy, kind, n+1, now) {
		n++
	}
	return n
}

// Acquire waits until a task is admitted or ctx ends.
func (b *Budget) Acquire(ctx context.Context, kind string) (Release, error) {
	if release, ok := b.Admit(kind); ok {
		return release, nil
	}
	w := &waiter{kind: kind, admitted: make(chan struct{})}
	b.mu.Lock()
	b.waiters = append(b.waiters, w)
	b.serve() // the last one may have ended in between
	b.mu.Unlock()
	select {
	case <-w.admitted:
		return b.once(kind), nil
	case <-ctx.Done():
		return b.withdraw(ctx, w)
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
	return nil, fmt.Errorf("wait for memory: %w", context.Cause(ctx))
}

// Enlarge gives a running task so much memory more than is expected of its
// kind, if the node has it and nobody waits for it.
func (b *Budget) Enlarge(more int64) (shrink func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refresh(time.Now())
	if b.cfg.Limit > 0 && (len(b.waiters) > 0 || b.load.Used+b.reserved(b.running, "", 0)+more > b.mark()) {
		return nil, false
	}
	b.extra += more
	var done sync.Once
	return func() {
		done.Do(func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.extra -= more
			b.serve()
		})
	}, true
}

// Rest is how long a slot rests after a task that took so long: not at all,
// unless the node's processors are too busy.
func (b *Budget) Rest(took time.Duration) time.Duration {
	rest := math.Float64frombits(b.rest.Load())
	if rest == 0 {
		return 0
	}
	return restAfter(took, rest)
}

// Poll is how often Watch is to be called.
func (b *Budget) Poll() time.Duration { return b.cfg.Poll }

// Watch reads the node and admits those who wait, as far as that goes. If the
// memory is about to run out it names the largest runner, at most once a second:
// the caller ends it. A runner of less than a hundredth of the limit is not what
// fills the node, and is not named.
func (b *Budget) Watch() (victim RunnerLoad, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.refresh(now)
	b.serve()
	over := b.cfg.Limit > 0 && float64(b.load.Used) > float64(b.cfg.Limit)*b.cfg.Shed
	if !over || len(b.load.Runners) == 0 || now.Sub(b.shedAt) < shedPause {
		return RunnerLoad{}, false
	}
	victim = slices.MaxFunc(b.load.Runners, func(x, y RunnerLoad) int { return cmp.Compare(x.RSS, y.RSS) })
	if victim.RSS < b.cfg.Limit/100 {
		return RunnerLoad{}, false
	}
	b.shedAt = now
	return victim, true
}

// shedPause is how long a killed runner may take to give its memory back: one of
// 2 GB takes a quarter of a second.
const shedPause = time.Second

// The functions below are called with the lock held, but for those that take it.

// serve admits those who wait, in their order, as far as it goes.
func (b *Budget) serve() {
	for len(b.waiters) > 0 && b.fits(b.running, b.waiters[0].kind, 1, time.Now()) {
		w := b.waiters[0]
		b.waiters = b.waiters[1:]
		b.running[w.kind]++
		close(w.admitted)
	}
}

func (b *Budget) grant(kind string) Release {
	b.running[kind]++
	return b.once(kind)
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
	ceiling := b.cfg.Ceilings[kind]
	p := b.peaks[kind]
	if p == nil {
		return ceiling
	}
	if ceiling > 0 {
		return min(p.quantile(b.cfg.Quantile), ceiling)
	}
	return p.quantile(b.cfg.Quantile)
}

// fits reports whether so many tasks of a kind may start beside the busy ones.
func (b *Budget) fits(busy map[string]int, kind string, n int, now time.Time) bool {
	if n == 1 && total(busy) == 0 {
		return true
	}
	b.refresh(now)
	return b.cfg.Limit == 0 || b.load.Used <= b.mark() && b.load.Used+b.reserved(busy, kind, n) <= b.mark()
}

func total(busy map[string]int) (sum int) {
	for _, n := range busy {
		sum += n
	}
	return sum
}

// mark is up to where tasks are admitted.
func (b *Budget) mark() int64 { return int64(float64(b.cfg.Limit) * b.cfg.Admit) }

// reserved is what the busy tasks, and n more of a kind, will take beyond what
// their kinds' runners already have.
func (b *Budget) reserved(busy map[string]int, next string, n int) int64 {
	sum := b.extra
	for kind, k := range busy {
		if kind != next {
			sum += b.missing(kind, k)
		}
	}
	if n > 0 {
		sum += b.missing(next, busy[next]+n)
	}
	return sum
}

// missing is what n tasks of a kind will take beyond what as many of its runners
// have.
func (b *Budget) missing(kind string, n int) int64 {
	sum := int64(n) * b.expected(kind)
	for _, rss := range b.rss[kind][:min(n, len(b.rss[kind]))] {
		sum -= rss
	}
	return max(0, sum)
}

// refresh reads the node's load unless that was done just now.
func (b *Budget) refresh(now time.Time) {
	if !b.readAt.IsZero() && now.Sub(b.readAt) < b.cfg.Poll {
		return
	}
	b.load, b.readAt = b.read(), now
	clear(b.rss)
	slices.SortStableFunc(b.load.Runners, func(x, y RunnerLoad) int {
		switch {
		case (x.Task == "") == (y.Task == ""):
			return cmp.Compare(y.RSS, x.RSS)
		case x.Task == "":
			return 1
		}
		return -1
	})
	for _, r := range b.load.Runners {
		b.rss[r.Kind] = append(b.rss[r.Kind], r.RSS)
	}
	b.open.Store(b.cfg.Limit == 0 || b.load.Used <= b.mark())
	b.throttle.observe(now, b.load.CPU)
	b.rest.Store(math.Float64bits(b.throttle.rest))
}
