// Package progress carries how far a job is from the job to whoever runs it.
//
// A job calls Report with the context that it was given, as often as it likes:
// where nobody carries reports on, that costs a look into the context. It
// promises that a job never waits for a report to arrive. The package knows
// nothing of where reports go.
package progress

import (
	"context"
	"sync"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

// Every is how often a report is passed on, at most; of those between, the
// last counts.
const Every = 250 * time.Millisecond

type key struct{}

// With returns a context whose reports go to report, which must not block.
func With(ctx context.Context, report func(tasks.Progress)) context.Context {
	return context.WithValue(ctx, key{}, report)
}

// Of returns where the context's reports go, or nil if nobody wants them.
func Of(ctx context.Context) func(tasks.Progress) {
	report, _ := ctx.Value(key{}).(func(tasks.Progress))
	return report
}

// Report tells how far the job of the context is.
func Report(ctx context.Context, p tasks.Progress) {
	if report := Of(ctx); report != nil {
		report(p)
	}
}

// Part returns a context in which a part of a job reports: a fraction from 0 to
// 1 there is one between from and to of the whole. What it reports without a
// message has the part's.
func Part(ctx context.Context, from, to float64, message string) context.Context {
	report := Of(ctx)
	if report == nil {
		return ctx
	}
	report(tasks.Progress{Fraction: from, Message: message})
	return With(ctx, func(p tasks.Progress) {
		p = p.Bounded()
		p.Fraction = from + (to-from)*p.Fraction
		if p.Message == "" {
			p.Message = message
		}
		report(p)
	})
}

// Throttle passes reports on, the first at once and then one every so often.
// It is stopped by Close. The zero value with Send set is ready.
type Throttle struct {
	// Send passes one report on. Its context ends with Close.
	Send func(context.Context, tasks.Progress)

	mu      sync.Mutex
	pending *tasks.Progress
	end     context.CancelFunc // of the goroutine that sends
	running sync.WaitGroup
	closed  bool
}

// Report notes how far a job is, and returns at once.
func (t *Throttle) Report(p tasks.Progress) {
	p = p.Bounded()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.pending = &p
	if t.end == nil {
		ctx, cancel := context.WithCancel(context.Background()) // ends with Close
		t.end = cancel
		t.running.Go(func() { t.run(ctx) })
	}
}

// run sends while there is something to send.
func (t *Throttle) run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	for {
		t.mu.Lock()
		p := t.pending
		if t.pending = nil; p == nil || t.closed {
			t.end() // Close may still call it
			t.end = nil
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		t.Send(ctx, *p)
		pause.Reset(Every)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

// Close drops what was not sent, and returns when nothing is sent any more. It
// may be called twice.
func (t *Throttle) Close() {
	t.mu.Lock()
	t.closed = true
	if t.end != nil {
		t.end()
	}
	t.mu.Unlock()
	t.running.Wait()
}
