package batch

import (
	"context"
	"sync"
	"time"
)

// clock stops a batch that stands still. It runs only while tasks are pending.
type clock struct {
	limit time.Duration
	timer *time.Timer

	mu      sync.Mutex
	pending int
	paused  bool
}

func newClock(limit time.Duration, stop context.CancelCauseFunc) *clock {
	c := &clock{limit: limit, timer: time.AfterFunc(limit, func() { stop(&StandstillError{limit}) })}
	c.timer.Stop()
	return c
}

// change notes that something moved.
func (c *clock) change(pending int, paused bool) {
	c.pending, c.paused = pending, paused
	if c.pending > 0 && !c.paused {
		c.timer.Reset(c.limit)
	} else {
		c.timer.Stop()
	}
}

// add notes n more tasks to wait for.
func (c *clock) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change(c.pending+n, c.paused)
}

// done notes that one of them ended.
func (c *clock) done() { c.add(-1) }

func (c *clock) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change(c.pending, true)
}

func (c *clock) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change(c.pending, false)
}

func (c *clock) close() { c.timer.Stop() }
