package monitor

import (
	"cmp"
	"math"
	"slices"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// ofWorker is the name under which a worker's own memory is watched, beside the
// kinds.
const ofWorker = "worker"

// cleanLeaks keeps what is known of the yard's kinds, each once: their names are
// labels of metrics.
func cleanLeaks(all []broker.NodeLeak) []broker.NodeLeak {
	kinds := append(tasks.KindNames(), ofWorker)
	var list []broker.NodeLeak
	for _, l := range all {
		twice := slices.ContainsFunc(list, func(x broker.NodeLeak) bool { return x.Kind == l.Kind })
		if twice || !slices.Contains(kinds, l.Kind) {
			continue
		}
		l.Live, l.Ceiling, l.CeilingSeconds = max(0, l.Live), max(0, l.Ceiling), max(0, l.CeilingSeconds)
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b broker.NodeLeak) int { return cmp.Compare(a.Kind, b.Kind) })
	return list
}

// cleanBudget takes impossible figures out of a heartbeat.
func cleanBudget(b broker.NodeBudget) broker.NodeBudget {
	b.Memory = clean(b.Memory, maxWord)
	b.Used, b.Reserved, b.Room, b.Waiting = max(0, b.Used), max(0, b.Reserved), max(0, b.Room), max(0, b.Waiting)
	b.CPU, b.Rest = share(b.CPU), share(b.Rest)
	expected := map[string]int64{}
	for _, kind := range tasks.KindNames() {
		if n, ok := b.Expected[kind]; ok {
			expected[kind] = max(0, n)
		}
	}
	b.Expected = expected
	return b
}

// share bounds what is a part of a whole.
func share(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return min(max(v, 0), 1)
}
