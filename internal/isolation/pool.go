package isolation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// Call is one task for a runner.
type Call struct {
	// Func is the name of an entry in the runner's Table.
	Func string
	// Payload is its input.
	Payload []byte
	// Limits are the task's own; see Limits.
	Limits Limits

	place string // in a trace, if what is done is recorded
}

// Reply is what came of a Call.
type Reply struct {
	Payload []byte
	// PeakMemory is the runner's highest resident memory meanwhile.
	PeakMemory int64
	// CPU is the processor time spent.
	CPU time.Duration

	steps []byte // as trace.Retell takes them
}

// Sample is a reading of a quiescent runner after a collection.
type Sample struct {
	Kind string
	PID  int
	// Done is how many tasks the runner has done.
	Done int
	// Live is the heap that stays alive, RSS the resident memory, in bytes.
	Live, RSS int64
	At        time.Time
}

// Pool keeps the runners of one kind. It is stopped by Close.
type Pool struct {
	cfg     Config
	log     zerolog.Logger
	metrics *Metrics
	leaks   func(Sample) bool
	spawner *spawner
	report  atomic.Pointer[Report]
	kills   atomic.Int64 // the kernel's, when last looked at
	stop    chan struct{}
	gone    chan struct{} // closed when it is closed and no child is left

	mu        sync.Mutex // guards what follows, and the children's states
	children  map[*child]struct{}
	idle      []*child // the last used last
	waiters   []*waiter
	starting  int
	inUse     int // slots with a task, or with the remains of one
	done      int // tasks, ever
	failures  int // starts that failed in a row
	notBefore time.Time
	closed    bool
}

// waiter is a call without a runner. Its channel gets one of them, or a fault.
type waiter struct {
	child chan *child
	err   error
}

// New starts a pool and its first runner. The function leaks, which may be nil,
// gets every Sample; when it answers true, that runner is replaced. In mode
// Required New refuses where the sandbox is not full.
func New(cfg Config, log zerolog.Logger, metrics *Metrics, leaks func(Sample) bool) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("runners of %q: %w", cfg.Kind, err)
	}
	if cfg.Executable == "" {
		path, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the own binary: %w", err)
		}
		cfg.Executable = path
	}
	if leaks == nil {
		leaks = func(Sample) bool { return false }
	}
	closeInherited()
	p := &Pool{
		cfg: cfg, log: log.With().Str("component", "isolation").Str("kind", cfg.Kind).Logger(),
		metrics: metrics, leaks: leaks, spawner: newSpawner(),
		stop: make(chan struct{}), gone: make(chan struct{}), children: map[*child]struct{}{},
	}
	p.kills.Store(kernelKills())
	p.starting = 1
	if err := p.start(); err != nil {
		_ = p.Close(context.Background()) // nothing is left to wait for
		return nil, fmt.Errorf("runners of %s: %w", cfg.Kind, err)
	}
	p.log.Info().Str("sandbox", p.Report().String()).Msg("runners ready")
	go p.tend()
	return p, nil
}

// Do runs a task in a runner and waits for its end. Its errors are faults and
// tasks.InvalidErrors: those of the function, and timeout, cpu, oom, crash,
// panic and too_large with a DeathError as the cause. When ctx ends, its cause is
// the verdict if it is a fault; else a deadline is a timeout, and all else an
// interruption.
func (p *Pool) Do(ctx context.Context, call Call) (Reply, error) {
	attempt := attemptOf(ctx)
	if call.Limits == (Limits{}) {
		call.Limits = attempt.bounds()
	}
	if len(call.Payload) > p.cfg.Input {
		return Reply{}, fault.PermanentError(tasks.ReasonTooLarge, "the input has %d bytes, more than the %d that a runner takes", len(call.Payload), p.cfg.Input)
	}
	if len(call.Func) > 255 {
		return Reply{}, fault.PermanentError(tasks.ReasonUnknown, "a function's name must not be over 255 bytes")
	}
	waiting := time.Now()
	c, err := p.take(ctx, attempt.task)
	if err != nil {
		return Reply{}, err
	}
	waited := time.Since(waiting)
	limits := call.Limits.within(p.cfg.Limits, p.cfg.MaxMemory)
	w := &watch{c: c, limits: limits, wall: limits.Wall, most: p.cfg.MaxMemory, grace: p.cfg.Grace, starved: p.starved}
	if deadline, ok := ctx.Deadline(); ok {
		w.limits.Wall = max(min(limits.Wall, time.Until(deadline)), time.Millisecond)
	}
	ctx, span := trace.Start(ctx, trace.Within, "run", call.Func)
	began := time.Now()
	if span.On() {
		call.place = trace.Here(ctx).Parent
	}
	reply, err := w.run(ctx, call)
	if span.On() {
		trace.Retell(ctx, reply.steps, began, time.Now())
	}
	noteRun(span, c, waited, reply, err)
	attempt.used(reply.PeakMemory, reply.CPU)
	p.give(c, err)
	return reply, err
}

// noteRun ends the span of a run. It is the parent's: a runner has no network,
// and of what a stranger's document may have made of it the names and times of
// its steps are all that is recorded.
func noteRun(span trace.Span, c *child, waited time.Duration, reply Reply, err error) {
	if span.On() {
		span.Number("process.pid", int64(c.pid()))
		span.Seconds("jobyard.runner.waited_seconds", waited)
		span.Seconds("jobyard.runner.cpu_seconds", reply.CPU)
		span.Number("jobyard.runner.peak_memory_bytes", reply.PeakMemory)
		if err != nil {
			f := fault.Of(err)
			span.Fail(string(f.Reason), f.Task().Message)
		}
	}
	span.End()
}

// starved reports whether the kernel has killed anything for want of memory
// since tend looked last.
func (p *Pool) starved() bool { return kernelKills() > p.kills.Load() }

// take waits for a runner and a slot.
func (p *Pool) take(ctx context.Context, task string) (*child, error) {
	if ctx.Err() != nil {
		return nil, contextFault(ctx, 0)
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, closedFault()
	}
	w := &waiter{child: make(chan *child, 1)}
	p.waiters = append(p.waiters, w)
	p.balance()
	p.mu.Unlock()
	select {
	case c := <-w.child:
		return p.taken(w, c, task)
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.withdraw(w)
	select {
	case c := <-w.child: // it came at the last moment
		if c != nil {
			p.inUse--
			c.slot = false
			p.rest(c)
			p.balance()
		}
	default:
	}
	return nil, contextFault(ctx, 0)
}

func (p *Pool) taken(w *waiter, c *child, task string) (*child, error) {
	if c == nil {
		return nil, w.err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.task = task
	return c, nil
}

// give takes a runner back after a task that ended with err.
func (p *Pool) give(c *child, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.done++
	p.done++
	if c.doomed() {
		p.metrics.killed(p.cfg.Kind, fault.Of(err).Reason)
		c.state = ending // the slot is free when it is reaped
		return
	}
	c.task, c.slot = "", false
	p.inUse--
	if p.suspicious(c, err) {
		c.state = collecting
		go p.collect(c)
	} else {
		p.rest(c)
	}
	p.balance()
}

// suspicious says whether to look closer at a runner before its next task.
func (p *Pool) suspicious(c *child, err error) bool {
	if err != nil && fault.Of(err).Verdict != fault.Permanent {
		return true
	}
	every := p.cfg.CollectEvery
	if p.done <= closeLook {
		every = max(1, every/2)
	}
	return c.done%every == 0 || c.rss > c.fresh+shadowed*maxOverhang || p.swollen(c, c.rss)
}

// swollen reports whether a runner holds more memory than it may keep.
func (p *Pool) swollen(c *child, rss int64) bool {
	if raceDetector {
		rss = (rss - c.fresh) / shadowed
	}
	return float64(rss) > c.spread*float64(p.cfg.Recycle.RSS)
}

// closeLook is how many of the first tasks of a kind are looked at twice as
// often: a leak that a new version brings is to be found early.
const closeLook = 1000

// maxOverhang is how much more memory than a fresh runner one may hold between
// two tasks before it gives back what it doesn't need.
const maxOverhang = 32 << 20

// Close ends all runners, also those at work, and returns when they are reaped
// or ctx ends. It may be called twice.
func (p *Pool) Close(ctx context.Context) error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.stop)
		p.refuse(closedFault())
		for c := range p.children {
			c.kill(closedFault())
		}
		p.vanish()
	}
	left := len(p.children) + p.starting
	p.mu.Unlock()
	select {
	case <-p.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end %d runners of %s: %w", left, p.cfg.Kind, errors.Join(ctx.Err(), context.Cause(ctx)))
	}
}
