package monitor

import (
	"github.com/jobyard/jobyard/internal/monitor/scale"
	"github.com/jobyard/jobyard/tasks"
)

// estimateDrains says how long the slots take for what waits in each queue. A
// bulk queue is worked off after its kind's other queue; a bundle counts as one
// task, because Redis does not say how many are in it.
func estimateDrains(o *Overview) {
	for _, k := range o.Kinds {
		if k.Taking == 0 || k.SecondsPerTask <= 0 {
			continue
		}
		before := int64(0)
		for i := range o.Queues { // the interactive queues come first
			q := &o.Queues[i]
			if q.Kind != k.Kind {
				continue
			}
			ready := q.Counts[tasks.Pending] + q.Counts[tasks.Retry]
			if ready > 0 && !q.Paused {
				seconds := float64(before+ready) * k.SecondsPerTask / float64(k.Taking)
				q.DrainSeconds = &seconds
			}
			before += ready
		}
	}
}

// loadOf is the yard as the planner sees it.
func loadOf(o *Overview) scale.Load {
	l := scale.Load{Nodes: o.Total.NodesTaking}
	serving, least := map[string]int{}, int64(0)
	for n := range o.living() {
		for kind, k := range n.Kinds {
			if k.Slots > 0 && n.Takes(o.At) {
				serving[kind]++
			}
		}
		if n.MemoryLimit > 0 && (l.NodeMemory == 0 || n.MemoryLimit < l.NodeMemory) {
			l.NodeMemory = n.MemoryLimit
		}
		// What a node uses without its runners is what it uses without tasks.
		base := n.RSS
		for _, r := range n.Runners {
			base -= r.RSS
		}
		if base > 0 && (least == 0 || base < least) {
			least = base
		}
	}
	l.NodeBase = least
	for _, k := range o.Kinds {
		load := scale.Kind{Name: k.Kind, Arrivals: k.ArrivePerSecond, Seconds: k.SecondsPerTask, Memory: k.PeakMemory}
		if n := serving[k.Kind]; n > 0 {
			load.SlotsPerNode = float64(k.Taking) / float64(n)
		}
		for _, q := range o.Queues {
			if q.Kind != k.Kind || q.Paused {
				continue
			}
			if ready := q.Counts[tasks.Pending] + q.Counts[tasks.Retry]; q.Bulk {
				load.Bulk = ready
			} else {
				load.Waiting = ready
			}
		}
		l.Kinds = append(l.Kinds, load)
	}
	return l
}
