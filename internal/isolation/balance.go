package isolation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// This file decides which runners there are. Its functions, but for those that
// say so, are called with the pool's lock held.

// balance hands ready runners to waiting calls, replaces the runners that are
// due and starts the ones that are missing. It is called after every change.
func (p *Pool) balance() {
	if p.closed {
		return
	}
	for len(p.waiters) > 0 && p.inUse < p.cfg.Slots && len(p.idle) > 0 {
		w, c := p.waiters[0], p.pop()
		p.waiters = p.waiters[1:]
		c.state, c.slot = busy, true
		p.inUse++
		w.child <- c
	}
	p.retireDue()
	want := min(len(p.waiters), p.cfg.Slots-p.inUse) + p.cfg.Spares
	for ready := p.ready(); ready < want && p.room() > 0; ready++ {
		if wait := time.Until(p.notBefore); wait > 0 {
			return // tend or the timer of the last failure calls again
		}
		p.starting++
		go p.start() //nolint:errcheck // it logs its failure
	}
}

// pop takes the idle runner that has done the most: its memory is warm, a spare
// stays fresh, and a leak shows in one long series of readings rather than in
// several short ones. Of equals it takes the one that was used last, and one that
// is due only if there is no other.
func (p *Pool) pop() *child {
	last := 0
	for i, c := range p.idle {
		best := p.idle[last]
		if stays := c.due == ""; stays == (best.due == "") && c.done >= best.done || stays && best.due != "" {
			last = i
		}
	}
	c := p.idle[last]
	p.idle = slices.Delete(p.idle, last, last+1)
	return c
}

// ready counts the runners that are or will soon be idle and stay.
func (p *Pool) ready() int {
	n := p.starting
	for c := range p.children {
		if c.due == "" && (c.state == idle || c.state == collecting) {
			n++
		}
	}
	return n
}

// room is how many more children there may be.
func (p *Pool) room() int { return p.cfg.Slots + p.cfg.Spares - len(p.children) - p.starting }

// rest makes a runner idle, and due if it has served its time.
func (p *Pool) rest(c *child) {
	c.state, c.idleAt, c.task = idle, time.Now(), ""
	p.idle = append(p.idle, c)
	p.judge(c)
}

// judge finds out whether a runner has served its time.
func (p *Pool) judge(c *child) {
	age := time.Since(c.born)
	switch {
	case c.due != "" || age < p.cfg.Recycle.MinLife:
	case float64(c.done) >= c.spread*float64(p.cfg.Recycle.Tasks):
		c.due = "tasks"
	case age.Seconds() >= c.spread*p.cfg.Recycle.Age.Seconds():
		c.due = "age"
	}
}

// retireDue ends idle runners that are due: once a fresh one is ready, or while
// all slots are taken and nobody can use them. Where all are due and there is no
// room for a fresh one, one of them makes it.
func (p *Pool) retireDue() {
	fresh, leaving := 0, 0
	for c := range p.children {
		switch {
		case c.state == ending:
			leaving++
		case c.state == idle && c.due == "":
			fresh++
		}
	}
	for _, c := range slices.Clone(p.idle) {
		makesRoom := leaving == 0 && p.room() <= 0 && len(p.idle) > 1
		if c.due != "" && (fresh > 0 || p.inUse >= p.cfg.Slots || makesRoom) {
			p.retire(c, c.due)
			leaving++
		}
	}
}

// retire ends an idle runner.
func (p *Pool) retire(c *child, why string) {
	p.idle = slices.DeleteFunc(p.idle, func(x *child) bool { return x == c })
	c.state = ending
	p.metrics.retired(p.cfg.Kind, why)
	p.log.Debug().Int("pid", c.pid()).Str("why", why).Int("tasks", c.done).Msg("runner replaced")
	go c.dismiss(p.cfg.Grace)
}

// start adds a runner, or puts the next start off. It is called without the
// lock, after starting was counted up.
func (p *Pool) start() error {
	c, err := startChild(p.cfg, p.spawner)
	if err == nil && p.cfg.Sandbox == Required && c.report.Level != Full {
		err = fmt.Errorf("%w, but it is %s", ErrUnlocked, c.report)
		c.kill(nil)
		<-c.dead
	}
	p.metrics.started(p.cfg.Kind, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starting--
	if err != nil {
		p.failed(err)
		return err
	}
	p.report.Store(&c.report)
	p.metrics.locked(p.cfg.Kind, c.report.Level)
	p.children[c] = struct{}{}
	p.metrics.alive(p.cfg.Kind, len(p.children))
	go p.bury(c)
	if p.closed {
		c.kill(closedFault())
		return nil
	}
	p.failures = 0
	p.rest(c)
	p.balance()
	return nil
}

// failed puts the next start off, longer each time. Calls that wait get the
// error if no runner is left that could serve them.
func (p *Pool) failed(err error) {
	p.log.Error().Err(err).Int("failures", p.failures+1).Msg("runner did not start")
	p.backOff()
	serving := p.starting
	for c := range p.children {
		if c.state != ending {
			serving++
		}
	}
	if serving == 0 {
		p.refuse(fault.RetryableError(tasks.ReasonCrash, "the process for the task did not start").Because(err))
	}
	p.vanish()
}

// backOff puts the next start off by 100 ms, doubled up to 5 s, ± 20 %.
func (p *Pool) backOff() {
	base := min(5*time.Second, 100*time.Millisecond<<min(p.failures, 6))
	wait := time.Duration(float64(base) * (0.8 + 0.4*rand.Float64()))
	p.failures++
	p.notBefore = time.Now().Add(wait)
	time.AfterFunc(wait+time.Millisecond, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.balance()
	})
}

// refuse ends all waiting calls.
func (p *Pool) refuse(f *fault.Error) {
	for _, w := range p.waiters {
		w.err = f
		close(w.child)
	}
	p.waiters = nil
}

func (p *Pool) withdraw(w *waiter) {
	p.waiters = slices.DeleteFunc(p.waiters, func(x *waiter) bool { return x == w })
}

// bury waits for a runner's end and frees its place. It is called without the
// lock.
func (p *Pool) bury(c *child) {
	<-c.dead
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.children, c)
	p.metrics.alive(p.cfg.Kind, len(p.children))
	if c.state == idle && !p.closed {
		p.log.Warn().Int("pid", c.pid()).Str("stderr", fault.Clean(c.stderr.String(), 300)).Msg("idle runner died")
		p.backOff()
	}
	p.idle = slices.DeleteFunc(p.idle, func(x *child) bool { return x == c })
	if c.slot {
		p.inUse--
	}
	p.vanish()
	p.balance()
}

// vanish reports the end of a closed pool.
func (p *Pool) vanish() {
	if p.closed && len(p.children)+p.starting == 0 && p.spawner != nil {
		p.spawner.close()
		p.spawner = nil
		close(p.gone)
	}
}

// collect looks closer at a runner between two tasks: what stays alive after a
// collection, and what it keeps open. It is called without the lock.
func (p *Pool) collect(c *child) {
	got, err := c.collect()
	if err != nil {
		c.kill(nil)
		return
	}
	p.mu.Lock()
	s := Sample{Kind: p.cfg.Kind, PID: c.pid(), Done: c.done, Live: got.Live, RSS: c.meter.rss(), At: time.Now()}
	p.mu.Unlock()
	leak := s.RSS > 0 && p.leaks(s) // else it died after its answer
	openFiles := c.meter.open()
	p.mu.Lock()
	defer p.mu.Unlock()
	old := time.Since(c.born) >= p.cfg.Recycle.MinLife
	switch {
	case openFiles > c.files+maxLeftFiles:
		c.due = "files" // at once: it may be unable to do anything more
	case old && leak:
		c.due = "leak"
	case old && got.Goroutines > maxLeftGoroutines:
		c.due = "goroutines"
	case old && p.swollen(c, s.RSS):
		c.due = "rss"
	}
	if c.state == collecting {
		p.rest(c)
	}
	p.balance()
}

// What a runner may keep beyond its own between tasks.
const (
	maxLeftFiles      = 16
	maxLeftGoroutines = 100
)

// tend lets the pool shrink and age while nothing happens, until it is closed.
// It is called without the lock.
func (p *Pool) tend() {
	every := min(max(min(p.cfg.IdleTimeout, p.cfg.Recycle.Age)/4, 20*time.Millisecond), 5*time.Second)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
		}
		p.kills.Store(kernelKills())
		p.mu.Lock()
		p.shrink()
		p.balance()
		p.mu.Unlock()
	}
}

// shrink ends what has been idle for long, beyond the spares.
func (p *Pool) shrink() {
	for _, c := range slices.Clone(p.idle) {
		p.judge(c)
		if len(p.idle) > p.cfg.Spares && len(p.waiters) == 0 && time.Since(c.idleAt) > p.cfg.IdleTimeout {
			p.retire(c, "idle")
		}
	}
}
