package monitor

import (
	"fmt"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// leakFor is how long a suspicion must stand before it is told. The node has
	// judged for minutes already; this is for a heartbeat that was garbled.
	leakFor = 2 * broker.HeartbeatEvery
	// leakClear is how long it must be gone: a node that is started anew takes a
	// while to come back to the same verdict.
	leakClear = 2 * time.Minute
)

// leakReadings tell of kinds that leak. One kind is one alert, on however many
// nodes: the leak is in its code.
func leakReadings(o *Overview) []reading {
	var all []reading
	for _, kind := range append(tasks.KindNames(), ofWorker) {
		r := reading{rule: ruleLeak, subject: kind, warn: 1, after: leakFor, clear: leakClear}
		nodes, worst, on := 0, broker.NodeLeak{}, ""
		for n := range o.living() {
			for _, l := range n.Leaks {
				if l.Kind == kind && l.Suspected {
					nodes++
					if on == "" || l.PerMinute > worst.PerMinute {
						worst, on = l, n.ID
					}
				}
			}
		}
		if nodes > 0 {
			r.value = 1
			r.text, r.detail = leakWords(worst, on, nodes-1)
		}
		all = append(all, r)
	}
	return all
}

// leakWords say what leaks, how much, and how sure that is.
func leakWords(l broker.NodeLeak, node string, others int) (text, detail string) {
	process := "each of its runners"
	text = fmt.Sprintf("the runners of %s are suspected of a memory leak", l.Kind)
	if l.Kind == ofWorker {
		process, text = "it", "the worker itself is suspected of a memory leak"
	}
	where := "on node " + node
	if others > 0 {
		where += fmt.Sprintf(" and %d more", others)
	}
	detail = fmt.Sprintf("%s, %s grows by %s a minute (99 %%: %s to %s)", where, process, size(int64(l.PerMinute)), size(int64(l.Low)), size(int64(l.High)))
	if l.CeilingSeconds > 0 {
		detail += fmt.Sprintf("; at its ceiling in %s", span(float64(l.CeilingSeconds)))
	}
	return text, detail
}
