package memwatch

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	traces = flag.Int("traces", 1000, "simulated traces of each scenario")
	only = flag.Bool("only", false, "")
	seed0  = flag.Uint64("seed0", 1, "first seed; thresholds are tuned on 100000 and up only")
)

// outcome is how one detector did on the traces of a scenario.
type outcome struct {
	alarmed int       // traces with an alarm
	early   int       // traces of a leak with an alarm before it began
	delays  []float64 // minutes from the leak's beginning
	errors  []float64 // of the slope, as a share
	early2  int
	covered int // slopes whose bounds hold the true one
}

func (o outcome) share(n int) float64 { return 100 * float64(o.alarmed) / float64(n) }

func quantileOf(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[int(q*float64(len(v)-1)+0.5)]
}

// row is a line of the table.
type row struct {
	scenario
	runner, process, old outcome
}

func simulate(s scenario, first uint64, n int) row {
	out := row{scenario: s}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		seed := first + uint64(i)
		w := newWorld(s, seed)
		trend := NewTrend(RunnerTrend())
		w.runners(start, func(minute float64, r Reading) bool {
			if trend.Observe(r) && trend.Suspected() {
				if w.byTask {
					out.runner.early2++
				}
				out.runner.add(s, minute, trend.last.inMinutes().mid/mb)
				if iv := trend.last.inMinutes(); iv.low/mb <= s.leak && s.leak <= iv.high/mb {
					out.runner.covered++
				}
				return true
			}
			return false
		})
		w = newWorld(s, seed)
		slow, steep, old := NewTrend(ProcessTrend()), NewTrend(SteepTrend()), new(oldRule)
		oldSaid, newSaid := false, false
		w.process(start, func(minute float64, r Reading, heap float64) bool {
			if old.observe(heap) && !oldSaid {
				oldSaid = true
				out.old.add(s, minute, 0)
			}
			if newSaid {
				return oldSaid
			}
			for _, t := range []*Trend{slow, steep} {
				if t.Observe(r) && t.Suspected() && !newSaid {
					newSaid = true
					out.process.add(s, minute, t.last.inMinutes().mid/mb)
				}
			}
			return false
		})
	}
	return out
}

func (o *outcome) add(s scenario, minute, slope float64) {
	o.alarmed++
	if s.leak == 0 {
		o.delays = append(o.delays, minute)
		return
	}
	if minute < s.onset {
		o.early++
		return
	}
	o.delays = append(o.delays, minute-s.onset)
	o.errors = append(o.errors, (slope-s.leak)/s.leak)
}

// simulateAll plays all scenarios on all processors.
func simulateAll(first uint64, n int) []row {
	all := scenarios(); if *only { all = []scenario{all[4], all[5], all[6], all[11]} }
	const chunk = 50
	type job struct {
		s    int
		at   uint64
		size int
	}
	var jobs []job
	for i := range all {
		for at := 0; at < n; at += chunk {
			jobs = append(jobs, job{i, first + uint64(at), min(chunk, n-at)})
		}
	}
	parts := make([]row, len(jobs))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				parts[i] = simulate(all[jobs[i].s], jobs[i].at, jobs[i].size)
			}
		})
	}
	wg.Wait()
	rows := make([]row, len(all))
	for i, j := range jobs {
		r := &rows[j.s]
		r.scenario = all[j.s]
		r.runner.merge(parts[i].runner)
		r.process.merge(parts[i].process)
		r.old.merge(parts[i].old)
	}
	return rows
}

func (o *outcome) merge(p outcome) {
	o.alarmed += p.alarmed
	o.early += p.early
	o.early2 += p.early2
	o.covered += p.covered
	o.delays = append(o.delays, p.delays...)
	o.errors = append(o.errors, p.errors...)
}

func TestSimulation(t *testing.T) {
	n := *traces
	if testing.Short() {
		n = min(n, 100)
	}
	for _, r := range simulateAll(*seed0, n) {
		line := fmt.Sprintf("%-36s", r.name)
		for _, o := range []outcome{r.runner, r.process, r.old} {
			line += fmt.Sprintf(" | %5.1f%% early %3d delay %3.0f/%3.0f err %+.2f cov %d", o.share(n), o.early2, quantileOf(o.delays, .5), quantileOf(o.delays, .95), quantileOf(o.errors, .5), o.covered)
		}
		t.Log(line)
	}
}

// oldRule is what the system before this one took for a leak: a heap that has
// grown by more than half within three samples.
type oldRule struct{ last []float64 }

func (o *oldRule) observe(heap float64) bool {
	o.last = append(o.last, heap)
	if len(o.last) < 4 {
		return false
	}
	first := o.last[0]
	o.last = append(o.last[:0], o.last[1:]...)
	return heap > 1.5*first
}
