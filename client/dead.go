package client

import (
	"context"
	"errors"
	"time"

	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

type (
	// DeadLetter is a task that failed for good.
	DeadLetter = tasks.DeadLetter
	// DeadFilter chooses dead letters.
	DeadFilter = tasks.DeadFilter
)

// ErrNotDead tells that the task is no dead letter, or somebody else has dealt with it
// since it was looked at.
var ErrNotDead = results.ErrNotDead

// MaxDeadPage is the largest page of DeadLetters.
const MaxDeadPage = results.MaxDeadPage

// DeadLetters lists dead letters, the latest first, at most that many. After is
// the Next of the page before, or empty. Letters that come or go meanwhile
// neither double nor hide others.
func (c *Client) DeadLetters(ctx context.Context, f DeadFilter, after string, most int) (tasks.DeadPage, error) {
	if err := f.Check(); err != nil {
		return tasks.DeadPage{}, err
	}
	if most < 1 || most > MaxDeadPage {
		return tasks.DeadPage{}, tasks.Invalid("limit", "must be from 1 to 1000")
	}
	return c.store.DeadPage(ctx, f, after, most)
}

// DeadGroups groups dead letters by what they have in common: kind, reason, and
// message but for names and numbers. The largest group comes first.
func (c *Client) DeadGroups(ctx context.Context, f DeadFilter) (tasks.DeadGroups, error) {
	if err := f.Check(); err != nil {
		return tasks.DeadGroups{}, err
	}
	return c.store.DeadGroups(ctx, f)
}

// DeadLetter returns one dead letter with what it was handed over with. Errors
// are ErrNotFound and ErrNotDead.
func (c *Client) DeadLetter(ctx context.Context, id string) (DeadLetter, error) {
	d, err := c.store.FindDead(ctx, id)
	return d.DeadLetter, err
}

// ReplayDead puts a dead letter back into its queue, changed if asked for, and
// returns the task as it then is. The id stays, attempts are counted anew. Of
// any number of callers one succeeds; the others get ErrNotDead, or may replay
// it again once it has failed again. Other errors: ErrNotFound,
// *tasks.InvalidError, *FullError, *MemoryError, *UnavailableError.
func (c *Client) ReplayDead(ctx context.Context, id string, change tasks.Replay) (tasks.Task, error) {
	d, err := c.store.FindDead(ctx, id)
	if err != nil {
		return tasks.Task{}, err
	}
	if change.Empty() {
		err = one(c.store.ReplayDead(ctx, c.Limit, d))
	} else {
		err = c.store.ReplayChanged(ctx, c.Limit, d, change)
	}
	if err != nil {
		return tasks.Task{}, err
	}
	t, err := c.store.Get(ctx, id, d.Queue)
	if err != nil { // it is replayed all the same, and must not look as if it were not
		t = tasks.Task{ID: id, Kind: d.Kind, Queue: d.Queue, State: tasks.Pending}
	}
	return t, nil
}

// DeleteDead deletes a dead letter for good. Errors are ErrNotFound and
// ErrNotDead.
func (c *Client) DeleteDead(ctx context.Context, id string) error {
	d, err := c.store.FindDead(ctx, id)
	if err != nil {
		return err
	}
	return one(c.store.DeleteDead(ctx, d))
}

// one is the error of a call for one letter.
func one(answers []error, err error) error {
	if err != nil {
		return err
	}
	return answers[0]
}

// Sweep says how a sweep behaves.
type Sweep struct {
	// Patience is how long a replay may wait, without a single letter going on,
	// for room in a queue or in Redis's memory. Without it, it ends there.
	Patience time.Duration
	// Show is told what has been done so far; waiting is why it stands still, if
	// it does. It may be nil.
	Show func(done tasks.DeadSweep, waiting error)
}

// SweepReplay replays the dead letters that fit, the oldest first, none faster
// than the call's rate. The order of its errors: a *FullError or *MemoryError
// tells that its patience was over. What it says it has done is done, also with
// an error.
func (c *Client) SweepReplay(ctx context.Context, call tasks.DeadCall, s Sweep) (tasks.DeadSweep, error) {
	w := newSweeper(c, call, s)
	w.act = func(ctx context.Context, letters []results.Dead) ([]error, error) {
		return c.store.ReplayDead(ctx, c.Limit, letters...)
	}
	return w.run(ctx)
}

// SweepDelete deletes the dead letters that fit for good, the oldest first. A
// call without a filter needs All.
func (c *Client) SweepDelete(ctx context.Context, call tasks.DeadCall, s Sweep) (tasks.DeadSweep, error) {
	if call.Empty() && !call.All {
		return tasks.DeadSweep{}, tasks.Invalid("all", "must be set to delete every dead letter; or give a filter: kind, queue, reason, group, since or before")
	}
	if call.Rate != 0 {
		return tasks.DeadSweep{}, tasks.Invalid("rate", "is for replays only")
	}
	w := newSweeper(c, call, s)
	w.act = func(ctx context.Context, letters []results.Dead) ([]error, error) {
		return c.store.DeleteDead(ctx, letters...)
	}
	return w.run(ctx)
}

// noRoom reports whether an error is a lack of room, which passes, and what a
// sweep says that stopped for it.
func noRoom(err error) (stopped string, after time.Duration) {
	var full *FullError
	var memory *MemoryError
	switch {
	case errors.As(err, &full):
		return "full", full.RetryAfter
	case errors.As(err, &memory):
		return "memory", memory.RetryAfter
	}
	return "", 0
}
