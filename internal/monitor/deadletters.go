package monitor

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// maxDead bounds the dead letters that are grouped, the latest of each queue,
	// and maxGroups the groups that are shown.
	maxDead, maxGroups = 5000, 200
	// maxMoved bounds how many dead letters one action replays or deletes.
	maxMoved = 1000
)

// DeadGroup is the dead letters of one kind that failed alike.
type DeadGroup struct {
	Fingerprint string       `json:"fingerprint"`
	Kind        string       `json:"kind"`
	Reason      tasks.Reason `json:"reason"`
	// Message and Example are the message and the id of the latest of them.
	Message string    `json:"message"`
	Example string    `json:"example"`
	Count   int       `json:"count"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
}

// particular is what differs between messages that say the same.
var particular = regexp.MustCompile(`[0-9a-fA-F]{8,}|[0-9]+|"[^"]*"|'[^']*'|https?://\S+`)

// fingerprint is the same for dead letters that failed alike.
func fingerprint(t tasks.Task) string {
	reason, message := reasonOf(t)
	sum := sha256.Sum256([]byte(t.Kind + "\n" + string(reason) + "\n" + particular.ReplaceAllString(message, "#")))
	return hex.EncodeToString(sum[:6])
}

func reasonOf(t tasks.Task) (tasks.Reason, string) {
	if t.Error == nil {
		return tasks.ReasonUnknown, "put aside by hand"
	}
	return t.Error.Reason, t.Error.Message
}

// groupDead groups dead letters, the largest group first. Cut tells that there
// are more letters or groups than are looked at.
func groupDead(letters []tasks.Task) (list []DeadGroup, cut bool) {
	groups := map[string]*DeadGroup{}
	for _, t := range letters {
		key := fingerprint(t)
		g := groups[key]
		if g == nil {
			reason, _ := reasonOf(t)
			g = &DeadGroup{Fingerprint: key, Kind: t.Kind, Reason: reason, FirstAt: t.FinishedAt}
			groups[key] = g
		}
		g.Count++
		if g.Example == "" || t.FinishedAt.After(g.LastAt) {
			_, g.Message = reasonOf(t)
			g.Example, g.LastAt = t.ID, t.FinishedAt
		}
		if t.FinishedAt.Before(g.FirstAt) {
			g.FirstAt = t.FinishedAt
		}
	}
	list = make([]DeadGroup, 0, len(groups))
	for _, g := range groups {
		m := masker{}
		g.Message = m.text(g.Message, maxString)
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b DeadGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.LastAt.Compare(a.LastAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	if len(list) > maxGroups {
		list, cut = list[:maxGroups], true
	}
	return list, cut || len(letters) >= maxDead
}

// moved is what became of dead letters.
type moved struct {
	Done int `json:"done"`
	// Left is how many that fit are left, at least.
	Left int `json:"left"`
}

// moveDead replays or deletes the dead letters of a group, at most maxMoved.
func (m *Monitor) moveDead(ctx context.Context, group, id, how string) (moved, error) {
	var did moved
	letters, err := m.store.Dead(ctx, results.DeadFilter{Limit: maxDead})
	if err != nil {
		return did, err
	}
	move := m.store.Replay
	if how == "delete" {
		move = m.store.Delete
	}
	for _, t := range letters {
		if id != "" && t.ID != id || group != "" && fingerprint(t) != group {
			continue
		}
		if did.Done == maxMoved {
			did.Left++
			continue
		}
		// One that somebody else moved meanwhile is done, too.
		if err := move(ctx, t); err != nil && !errors.Is(err, results.ErrNotDead) {
			return did, err
		}
		did.Done++
	}
	return did, nil
}
