package client

import (
	"context"
	"errors"
	"time"

	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// sweepPage is how many letters go in one round trip.
	sweepPage = 100
	// sweepTurns is how many round trips a second a sweep with a rate makes.
	sweepTurns = 10
	// roomEvery is how often a sweep that waits looks for room.
	roomEvery = 500 * time.Millisecond
)

// sweeper does something with many dead letters.
type sweeper struct {
	client *Client
	call   tasks.DeadCall
	sweep  Sweep
	// act does it with one page; its answers have the letters' order.
	act  func(context.Context, []results.Dead) ([]error, error)
	now  func() time.Time
	wait func(context.Context, time.Duration) error

	done   tasks.DeadSweep
	due    time.Time // of the next page
	groups *results.DeadTally
}

func newSweeper(c *Client, call tasks.DeadCall, s Sweep) *sweeper {
	if s.Show == nil {
		s.Show = func(tasks.DeadSweep, error) {}
	}
	return &sweeper{client: c, call: call, sweep: s, now: time.Now, wait: pause, groups: results.NewDeadTally()}
}

// pause waits for d, or for ctx to end.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *sweeper) run(ctx context.Context) (tasks.DeadSweep, error) {
	if err := w.call.Check(); err != nil {
		return w.done, err
	}
	// Whole milliseconds, as the times of tasks are: what fails again in this one
	// is not met again.
	start := w.now().UTC().Truncate(time.Millisecond)
	w.done.DryRun, w.done.StartedAt = w.call.DryRun, start
	err := w.client.store.EachDead(ctx, w.call.DeadFilter, start, w.page(), func(letters []results.Dead) (bool, error) {
		return w.take(ctx, letters)
	})
	if ctx.Err() != nil {
		w.done.Stopped = "time"
	}
	w.done.Groups = w.groups.Groups()
	return w.done, err
}

// page is how many letters go at once: with a rate, those of a tenth of a
// second.
func (w *sweeper) page() int {
	if w.call.Rate <= 0 || w.call.DryRun {
		return sweepPage
	}
	return min(sweepPage, max(1, int(w.call.Rate/sweepTurns)))
}

// take deals with a page, within the limit.
func (w *sweeper) take(ctx context.Context, letters []results.Dead) (more bool, err error) {
	if w.call.Limit > 0 && w.done.Matched+len(letters) > w.call.Limit {
		letters = letters[:w.call.Limit-w.done.Matched]
		w.done.Stopped = "limit"
	}
	if len(letters) == 0 {
		return false, nil
	}
	w.done.Matched += len(letters)
	for _, d := range letters {
		w.groups.Add(d)
	}
	if !w.call.DryRun {
		if err := w.pace(ctx, len(letters)); err != nil {
			return false, err
		}
		err = w.insist(ctx, letters)
	}
	w.sweep.Show(w.done, nil)
	return w.done.Stopped == "" && err == nil, err
}

// pace waits until n more letters may go. Time that was lost is not made up for.
func (w *sweeper) pace(ctx context.Context, n int) error {
	if w.call.Rate <= 0 {
		return nil
	}
	now := w.now()
	if d := w.due.Sub(now); d > 0 {
		if err := w.wait(ctx, d); err != nil {
			return err
		}
		now = w.due
	}
	w.due = now.Add(time.Duration(float64(n) / w.call.Rate * float64(time.Second)))
	return nil
}

// insist acts on the letters, and again on those for which there was no room,
// as long as its patience lasts.
func (w *sweeper) insist(ctx context.Context, letters []results.Dead) error {
	patience := w.sweep.Patience
	for {
		left, why, err := w.once(ctx, letters)
		if err != nil || len(left) == 0 {
			return err
		}
		if len(left) < len(letters) {
			patience = w.sweep.Patience
		}
		stopped, after := noRoom(why)
		if patience <= 0 {
			// Those left were counted, and nothing has become of them.
			w.done.Matched -= len(left)
			w.done.Stopped = stopped
			return why
		}
		w.sweep.Show(w.done, why)
		d := min(after, roomEvery, patience)
		patience -= d
		letters = left
		if err := w.wait(ctx, d); err != nil {
			return err
		}
	}
}

// once acts on the letters. It returns those for which there was no room, and
// why.
func (w *sweeper) once(ctx context.Context, letters []results.Dead) (left []results.Dead, why, err error) {
	answers, err := w.act(ctx, letters)
	if stopped, _ := noRoom(err); stopped != "" {
		return letters, err, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var failed []error
	for i, answer := range answers {
		stopped, _ := noRoom(answer)
		switch {
		case answer == nil:
			w.done.Done++
		case errors.Is(answer, ErrNotDead):
			w.done.Gone++
		case errors.As(answer, new(*tasks.InvalidError)):
			w.done.Refused++
		case stopped != "":
			left, why = append(left, letters[i]), answer
		default:
			failed = append(failed, answer)
		}
	}
	return left, why, errors.Join(failed...)
}
