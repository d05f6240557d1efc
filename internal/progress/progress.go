// Package progress carries how far a job is from the job to whoever runs it.
//
// A job calls Report with the context that it was given, as often as it likes:
// where nobody carries reports on, that costs a look into the context. It
// promises that a job never waits for a report to arrive. The package knows
// nothing of where reports go.
package progress

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

const (
	// First is how long a job has run at least before it is told how far it is.
	First = 100 * time.Millisecond
	// Every is how often a report is passed on, at most; of those between, the
	// last counts.
	Every = 250 * time.Millisecond
)

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

// Reader returns r, whose bytes are reported as they are read, of total if that
// is known (over 0).
func Reader(ctx context.Context, r io.Reader, total int64) io.Reader {
	report := Of(ctx)
	if report == nil {
		return r
	}
	return &reader{from: r, report: report, total: total}
}

type reader struct {
	from        io.Reader
	report      func(tasks.Progress)
	done, total int64
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.done += int64(n)
	r.report(tasks.Progress{Done: r.done, Total: max(0, r.total)})
	return n, err
}

// Throttle passes reports on: the first after a moment, so that jobs which are
// done by then cost nothing, and then one every so often. It is stopped by
// Close. The zero value with Send set is ready.
type Throttle struct {
	// Send passes one report on. Its context ends with Close.
	Send func(context.Context, tasks.Progress)

	mu      sync.Mutex
	pending *tasks.Progress
	timer   *time.Timer // set while something is or may soon be pending
	cancel  context.CancelFunc
	sending sync.WaitGroup
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
	if t.timer == nil {
		t.timer = time.AfterFunc(First, t.fire)
	}
}

// fire sends what is pending, and comes again if it sent anything.
func (t *Throttle) fire() {
	t.mu.Lock()
	p := t.pending
	if t.pending = nil; p == nil || t.closed {
		t.timer = nil
		t.mu.Unlock()
		return
	}
	ctx, cancel := context.WithCancel(context.Background()) // ends with Close
	t.cancel = cancel
	t.sending.Add(1)
	t.mu.Unlock()

	t.Send(ctx, *p)

	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.sending.Done()
	cancel()
	if !t.closed {
		t.timer = time.AfterFunc(Every, t.fire)
	}
}

// Close drops what was not sent, and returns when nothing is sent any more. It
// may be called twice.
func (t *Throttle) Close() {
	t.mu.Lock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
	if t.cancel != nil {
		t.cancel()
	}
	t.mu.Unlock()
	t.sending.Wait()
}
