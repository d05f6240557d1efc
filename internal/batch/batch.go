// Package batch runs a file of requests: it reads them line by line, hands them
// over, and writes the tasks as they end, one line each in the order of the
// input.
//
// It promises that every line of the input has its line in the output, a line
// that cannot be a task included; that memory does not grow with the file; that
// a full queue makes it wait, not fail; and that a batch which stands still ends
// after a while, each task it had handed over reported as last seen. Tasks go to
// their kind's bulk queue unless the line names another.
//
//	lines ─▶ hand over ─▶ (window) ─▶ wait, a few ahead ─▶ write in order
package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/tasks"
)

// Config bounds a batch.
type Config struct {
	// Window is how many tasks may be handed over and not yet written.
	Window int
	// WaitTimeout is how long the batch may stand still: no task accepted, none
	// ended. Waiting for input does not count.
	WaitTimeout time.Duration
}

// DefaultConfig returns the bounds of a batch.
func DefaultConfig() Config { return Config{Window: 1000, WaitTimeout: 5 * time.Minute} }

// Validate reports every setting that is out of bounds.
func (c Config) Validate() error {
	var errs []error
	if c.Window < 1 || c.Window > 10000 {
		errs = append(errs, fmt.Errorf("batch window must be from 1 to 10000, got %d", c.Window))
	}
	if c.WaitTimeout <= 0 {
		errs = append(errs, fmt.Errorf("wait timeout must be positive, got %s", c.WaitTimeout))
	}
	return errors.Join(errs...)
}

// Summary counts what a batch has written so far.
type Summary struct {
	Lines     int // all
	Completed int
	Failed    int // archived or canceled, invalid ones included
	Invalid   int // never handed over
	// Unfinished tasks were handed over; they go on.
	Unfinished int
}

func (s *Summary) count(t tasks.Task) {
	s.Lines++
	switch {
	case t.State == tasks.Completed:
		s.Completed++
	case t.State.Final():
		s.Failed++
		if t.ID == "" {
			s.Invalid++
		}
	default:
		s.Unfinished++
	}
}

// StandstillError tells that nothing moved for the wait timeout.
type StandstillError struct{ After time.Duration }

// Error says how long and what to do.
func (e *StandstillError) Error() string {
	return fmt.Sprintf("the batch stood still for %s: no task ended and none was accepted; are workers running? (--wait-timeout)", e.After)
}

// Unwrap makes it a missed deadline.
func (e *StandstillError) Unwrap() error { return context.DeadlineExceeded }

// waitAhead is how many results are fetched at once: enough to hide the way to
// Redis, few because each may have 32 MiB.
const waitAhead = 8

// entry is one line on its way.
type entry struct {
	task    tasks.Task // as handed over, or why it was refused
	refused bool
	ended   chan tasks.Task
}

// Streams are what a batch reads and writes.
type Streams struct {
	// In holds the requests, Out receives their tasks.
	In  io.Reader
	Out io.Writer
	// Progress is called after each task; it may be nil.
	Progress func(Summary)
}

// Run runs the requests of s.In and writes their tasks to s.Out. The error tells
// why it stopped early; failed tasks are none.
func Run(ctx context.Context, cfg Config, c *client.Client, s Streams) (Summary, error) {
	if err := cfg.Validate(); err != nil {
		return Summary{}, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	b := &run{
		client: c, stop: stop, clock: newClock(cfg.WaitTimeout, stop), handing: make(chan struct{}, 1),
		accepted: make(chan *entry, cfg.Window), ordered: make(chan *entry, waitAhead),
	}
	defer b.clock.close()
	// Not waited for: it may sit in a Read of a terminal or pipe that only the
	// process's end breaks off.
	go b.handOver(ctx, s.In)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	waiting.Go(func() { b.wait(ctx, &waiting) })
	summary, err := b.write(s)
	switch cause := context.Cause(ctx); {
	case err != nil:
		stop(err)
		for range b.ordered { // so that wait can end
		}
		return summary, err
	case cause != nil:
		return summary, fmt.Errorf("batch stopped after %d lines: %w", summary.Lines, cause)
	}
	return summary, nil
}

type run struct {
	client *client.Client
	stop   context.CancelCauseFunc
	clock  *clock
	// handing is held from the start of handing a chunk over until all of it is
	// in accepted: whoever holds it knows that nothing more is on its way.
	handing  chan struct{}
	accepted chan *entry
	ordered  chan *entry
}

// wait starts a wait for each entry, at most waitAhead before the one that is
// written next. When ctx ends it still passes on what was handed over.
func (b *run) wait(ctx context.Context, waiting *sync.WaitGroup) {
	defer close(b.ordered)
	for {
		e, more := b.next(ctx)
		if !more {
			return
		}
		if e.refused {
			e.ended <- e.task
		} else {
			waiting.Go(func() { e.ended <- b.outcome(ctx, e.task) })
		}
		b.ordered <- e
	}
}

// next returns the next entry. After the end of ctx there are only those whose
// hand-over had begun.
func (b *run) next(ctx context.Context) (e *entry, more bool) {
	select {
	case e, more = <-b.accepted:
		return e, more
	case <-ctx.Done():
	}
	select {
	case e, more = <-b.accepted:
		return e, more
	case b.handing <- struct{}{}:
	}
	defer func() { <-b.handing }()
	select {
	case e, more = <-b.accepted:
		return e, more
	default:
		return nil, false
	}
}

// outcome waits for the end of a task. If that cannot be had, the task comes
// back as it was last seen.
func (b *run) outcome(ctx context.Context, t tasks.Task) tasks.Task {
	defer b.clock.done()
	ended, err := b.client.Wait(ctx, t.ID)
	switch {
	case err == nil:
		return ended
	case errors.Is(err, client.ErrNotFound):
		t.State = tasks.Archived
		t.Error = &tasks.Error{Reason: tasks.ReasonExpired, Message: "the result is no longer kept: raise options.retention"}
		return t
	case ctx.Err() == nil:
		b.stop(err)
	}
	if ended.ID != "" {
		return ended
	}
	return t
}

func (b *run) write(to Streams) (Summary, error) {
	var s Summary
	enc := json.NewEncoder(to.Out)
	enc.SetEscapeHTML(false)
	for e := range b.ordered {
		t := <-e.ended
		b.clock.pause() // a slow reader of ours is no standstill
		err := enc.Encode(t)
		b.clock.resume()
		if err != nil {
			return s, fmt.Errorf("write results: %w", err)
		}
		s.count(t)
		if to.Progress != nil {
			to.Progress(s)
		}
	}
	return s, nil
}
