package results

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// MaxDeadPage is the largest page of a list.
	MaxDeadPage = 1000
	// maxDeadLooks bounds how many letters are looked at for one page: a filter
	// that few fit must not hold a caller up.
	maxDeadLooks = 5000
	// maxDeadScan bounds how many letters are grouped.
	maxDeadScan = 500_000
	// MaxDeadGroups bounds how many groups are told apart.
	MaxDeadGroups = 1000
)

// DeadPage lists dead letters, the latest first, behind the place that an
// earlier page ended at. The filter is checked.
func (s *Store) DeadPage(ctx context.Context, f tasks.DeadFilter, after string, most int) (tasks.DeadPage, error) {
	page := tasks.DeadPage{Letters: []tasks.DeadLetter{}}
	most = min(max(most, 1), MaxDeadPage)
	read := min(most, deadPage)
	if f.Reason != "" || f.Group != "" {
		read = deadPage
	}
	w := s.walkDead(f, true, read)
	if err := w.from(after); err != nil {
		return page, err
	}
	last := ""
	for looks := 0; ; looks++ {
		r, err := w.next(ctx)
		if err != nil {
			return page, err
		}
		if r == nil {
			break
		}
		if len(page.Letters) == most || looks == maxDeadLooks {
			page.Next = last
			break
		}
		if last = r.cursor(); fits(f, r.letter) {
			page.Letters = append(page.Letters, r.letter.DeadLetter)
		}
	}
	total, err := s.countDead(ctx, deadQueues(f))
	page.Total = total
	return page, err
}

// countDead counts the dead letters of queues.
func (s *Store) countDead(ctx context.Context, queues []string) (total int64, err error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	cmds, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, q := range queues {
			p.ZCard(ctx, broker.QueueKey(q, "archived"))
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("count dead letters: %w", s.broker.Explain(err))
	}
	for _, cmd := range cmds {
		total += cmd.(*redis.IntCmd).Val()
	}
	return total, nil
}

// DeadGroups groups the dead letters that the filter chooses by what they have
// in common, the largest group first.
func (s *Store) DeadGroups(ctx context.Context, f tasks.DeadFilter) (tasks.DeadGroups, error) {
	w, tally := s.walkDead(f, true, deadPage), NewDeadTally()
	answer := tasks.DeadGroups{}
	for looks := 0; ; looks++ {
		r, err := w.next(ctx)
		if err != nil {
			return answer, err
		}
		if r == nil {
			break
		}
		if looks == maxDeadScan {
			answer.Partial = true
			break
		}
		if fits(f, r.letter) {
			answer.Letters++
			answer.Partial = !tally.Add(r.letter) || answer.Partial
		}
	}
	answer.Groups = tally.Groups()
	return answer, nil
}

// DeadTally groups letters by fingerprint.
type DeadTally struct{ groups map[string]*tasks.DeadGroup }

// NewDeadTally returns one without groups.
func NewDeadTally() *DeadTally { return &DeadTally{map[string]*tasks.DeadGroup{}} }

// Add reports false if there is no room for another group.
func (t *DeadTally) Add(d Dead) bool {
	group := t.groups[d.Fingerprint]
	if group == nil {
		if len(t.groups) == MaxDeadGroups {
			return false
		}
		group = &tasks.DeadGroup{Fingerprint: d.Fingerprint, Kind: d.Kind, Reason: d.Error.Reason, FirstAt: d.FinishedAt}
		t.groups[d.Fingerprint] = group
	}
	group.Count++
	if d.FinishedAt.Before(group.FirstAt) {
		group.FirstAt = d.FinishedAt
	}
	if !d.FinishedAt.Before(group.LastAt) {
		group.LastAt, group.Message, group.Example = d.FinishedAt, d.Error.Message, d.ID
	}
	return true
}

// Groups lists the groups, the largest first.
func (t *DeadTally) Groups() []tasks.DeadGroup {
	all := make([]tasks.DeadGroup, 0, len(t.groups))
	for _, group := range t.groups {
		all = append(all, *group)
	}
	slices.SortFunc(all, func(a, b tasks.DeadGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.LastAt.Compare(a.LastAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return all
}

// deadFingerprint is the same for tasks of one kind that failed with the same
// reason and alike messages.
func deadFingerprint(t tasks.Task) string {
	sum := sha256.Sum256([]byte(t.Kind + "\n" + string(t.Error.Reason) + "\n" + alike(t.Error.Message)))
	return hex.EncodeToString(sum[:6])
}

// particular is what differs between messages of one fault: addresses, quoted
// texts, ids, and numbers with what hangs on them, as versions and durations.
var particular = regexp.MustCompile("[a-zA-Z][a-zA-Z0-9+.-]*://[^\\s\"`]+" + `|"[^"]*"|` + "`[^`]*`" +
	`|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b[0-9a-fA-F]{12,}\b|[0-9]+(?:[.,:][0-9]+)*`)

// alike replaces what is particular in a message.
func alike(message string) string { return particular.ReplaceAllString(message, "#") }
