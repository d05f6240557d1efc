package isolation

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

// The bounds of what a runner may tell beside its answers. It sends at most
// four reports a second; one that sends far more, or larger ones, is in a
// stranger's hands.
const (
	maxReport     = 2048
	reportsAtOnce = 40
	reportsEach   = 20 // more, a second
)

// told passes on how far a runner's task is.
type told struct {
	mu     sync.Mutex
	seq    uint32
	report func(tasks.Progress) // nil where nobody wants to know
	room   float64
	since  time.Time
}

// to says whose reports go where from now on.
func (t *told) to(seq uint32, report func(tasks.Progress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seq, t.report = seq, report
}

// take takes the body of a progress frame. One of an earlier task is late and
// no fault.
func (t *told) take(body []byte) error {
	seq, raw, err := seqOf(body)
	if err != nil {
		return err
	}
	if len(raw) > maxReport {
		return fmt.Errorf("%w: a report of %d bytes", errCorrupt, len(raw))
	}
	t.mu.Lock()
	now := time.Now()
	t.room = min(reportsAtOnce, t.room+now.Sub(t.since).Seconds()*reportsEach)
	t.since = now
	t.room--
	room, report := t.room, t.report
	if seq != t.seq {
		report = nil
	}
	t.mu.Unlock()
	if room < 0 {
		return fmt.Errorf("%w: too many reports", errCorrupt)
	}
	if report == nil {
		return nil
	}
	var p tasks.Progress
	if err := json.Unmarshal(raw, &p); err != nil {
		return fmt.Errorf("%w: a report: %w", errCorrupt, err)
	}
	report(p)
	return nil
}
