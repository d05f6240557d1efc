package monitor

import (
	"context"
	"errors"
	"time"

	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// maxMoved bounds how many dead letters one action replays or deletes, and
	// movedAtOnce how many go in one round trip.
	maxMoved, movedAtOnce = 1000, 100
)

// deadGroups groups the dead letters by what failed alike. Messages are a
// stranger's: secrets in them are masked.
func (m *Monitor) deadGroups(ctx context.Context) (tasks.DeadGroups, error) {
	found, err := m.store.DeadGroups(ctx, tasks.DeadFilter{})
	for i := range found.Groups {
		mask := masker{}
		found.Groups[i].Message = mask.text(found.Groups[i].Message, maxString)
	}
	return found, err
}

// moved is what became of dead letters.
type moved struct {
	Done int `json:"done"`
	// Left is how many that fit are left, at least.
	Left int `json:"left"`
}

// moveGroup replays or deletes the dead letters of a group, at most maxMoved.
func (m *Monitor) moveGroup(ctx context.Context, group, how string) (moved, error) {
	var did moved
	err := m.store.EachDead(ctx, tasks.DeadFilter{Group: group}, time.Now(), movedAtOnce, func(letters []results.Dead) (bool, error) {
		if did.Done >= maxMoved {
			did.Left = len(letters)
			return false, nil
		}
		n, err := m.move(ctx, how, letters...)
		did.Done += n
		return true, err
	})
	return did, err
}

// moveOne replays or deletes one dead letter.
func (m *Monitor) moveOne(ctx context.Context, id, how string) (moved, error) {
	d, err := m.store.FindDead(ctx, id)
	if err != nil {
		return moved{}, err
	}
	n, err := m.move(ctx, how, d)
	return moved{Done: n}, err
}

// move replays or deletes letters, and returns how many. One that somebody else
// moved meanwhile is done, too.
func (m *Monitor) move(ctx context.Context, how string, letters ...results.Dead) (int, error) {
	var answers []error
	var err error
	if how == "delete" {
		answers, err = m.store.DeleteDead(ctx, letters...)
	} else {
		answers, err = m.store.ReplayDead(ctx, m.cfg.limit, letters...)
	}
	done := 0
	for _, refused := range answers {
		if refused == nil || errors.Is(refused, results.ErrNotDead) {
			done++
		} else if err == nil {
			err = refused
		}
	}
	return done, err
}
