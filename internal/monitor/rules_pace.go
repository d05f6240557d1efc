package monitor

import (
	"fmt"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

const (
	// waitFor is how long a wait must be too long before that is told.
	waitFor = 20 * time.Second
	// stuckAfter is how long a kind may have work and slots without an attempt
	// ending: longer than any attempt may take, with its grace.
	stuckAfter = tasks.MaxTimeout + 30*time.Second
	// deadSpan is what "growing" looks back on; deadWarn and deadBad are how many
	// more dead letters are told.
	deadSpan          = 10 * time.Minute
	deadEvery         = 30 * time.Second
	deadWarn, deadBad = 10, 200
	// fillingWarn and fillingBad are how soon a node's memory would be full.
	fillingWarn, fillingBad = 30 * time.Minute, 5 * time.Minute
)

// waitReadings tell of tasks that have waited for a slot too long.
func (r *rules) waitReadings(o *Overview) []reading {
	var all []reading
	for _, q := range o.Queues {
		most := r.cfg.WaitWarn
		if q.Bulk {
			most = r.cfg.BulkWaitWarn
		}
		n := reading{rule: ruleWait, subject: q.Name, warn: 1, slack: 0.2, after: waitFor}
		if !q.Paused {
			n.value = q.OldestSeconds / most.Seconds()
			n.text = fmt.Sprintf("tasks of %s wait long", q.Name)
			n.detail = fmt.Sprintf("the oldest has waited %s for a slot", span(q.OldestSeconds))
			if q.DrainSeconds != nil {
				n.detail += fmt.Sprintf("; the slots need %s for what waits", span(*q.DrainSeconds))
			}
		}
		all = append(all, n)
	}
	return all
}

// progress is when an attempt of a kind was last seen to end.
type progress struct {
	ended int64
	at    time.Time
}

// progressReadings tell of kinds that have work and slots, and get nothing
// done: workers that are quiet, not gone.
func (r *rules) progressReadings(o *Overview) []reading {
	ready := map[string]int64{}
	for _, q := range o.Queues {
		if !q.Paused {
			ready[q.Kind] += q.Counts[tasks.Pending]
		}
	}
	var all []reading
	for _, k := range o.Kinds {
		ended := k.Completed + k.Failed
		last, known := r.progress[k.Kind]
		if !known || ended != last.ended || ready[k.Kind] == 0 || k.Taking == 0 || o.At.Before(last.at) {
			last = progress{ended, o.At}
			r.progress[k.Kind] = last
		}
		still := o.At.Sub(last.at)
		n := reading{rule: ruleProgress, subject: k.Kind, bad: stuckAfter.Seconds(), value: still.Seconds(), after: patience, clear: steady}
		if still >= stuckAfter {
			n.text = fmt.Sprintf("nothing of %s gets done", k.Kind)
			n.detail = fmt.Sprintf("%s and there are %d slots, but no attempt has ended for %s", waits(ready[k.Kind]), k.Taking, span(still.Seconds()))
		}
		all = append(all, n)
	}
	return all
}

// deadAt is how many dead letters there were.
type deadAt struct {
	at    time.Time
	count int64
}

func (r *rules) deadReading(o *Overview) reading {
	count := int64(0)
	for _, q := range o.Queues {
		count += q.Counts[tasks.Archived]
	}
	if n := len(r.dead); n == 0 || o.At.Sub(r.dead[n-1].at) >= deadEvery || o.At.Before(r.dead[n-1].at) {
		r.dead = append(r.dead, deadAt{o.At, count})
	}
	for len(r.dead) > 1 && (o.At.Sub(r.dead[0].at) > deadSpan || o.At.Before(r.dead[0].at)) {
		r.dead = r.dead[1:]
	}
	least := count
	for _, d := range r.dead {
		least = min(least, d.count)
	}
	n := reading{rule: ruleDead, value: float64(count - least), warn: deadWarn, bad: deadBad, slack: deadWarn - 1, after: patience}
	n.text = "dead letters grow in number"
	n.detail = fmt.Sprintf("%d more within %s, %d in all; see the page Dead letters for why", count-least, span(deadSpan.Seconds()), count)
	return n
}

// fillingReading tells of a node whose memory will be full soon. It is a leak,
// or work that needs more than the node has.
func fillingReading(n Node) reading {
	r := reading{rule: ruleFilling, subject: n.ID, warn: 1, bad: fillingWarn.Seconds() / fillingBad.Seconds(), slack: 0.3, after: time.Minute, clear: time.Minute}
	// Where there is room for as much again, a trend of minutes says little.
	if n.FullInSeconds == nil || float64(n.RSS) < 0.5*float64(n.MemoryLimit) {
		return r
	}
	r.value = fillingWarn.Seconds() / max(1, *n.FullInSeconds)
	r.text = fmt.Sprintf("the memory of node %s will be full in %s", n.ID, span(*n.FullInSeconds))
	r.detail = fmt.Sprintf("%s of %s are resident and it grows steadily", size(n.RSS), size(n.MemoryLimit))
	return r
}
