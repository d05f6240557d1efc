package memwatch

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	update = flag.Bool("update", false, "write the table into docs/leak-detection.md")
	traces = flag.Int("traces", 1000, "simulated traces of each scenario")
	only   = flag.String("only", "", "simulate the scenarios whose names contain this, for tuning")
	seed   = flag.Uint64("seed", 1, "the first seed; thresholds are tuned on 100000 and up, never on those of the test")
)

// outcome is how a detector did on the traces of a scenario.
type outcome struct {
	alarmed int       // traces with an alarm
	early   int       // of these, before the leak began
	delays  []float64 // of the rest, in minutes since it began
	errors  []float64 // of the slope, as a share
	covered int       // slopes whose bounds hold the true one
}

// add takes the first alarm of a trace.
func (o *outcome) add(s scenario, minute float64, slope interval) {
	o.alarmed++
	if minute < s.onset {
		o.early++
		return
	}
	o.delays = append(o.delays, minute-s.onset)
	if s.leak > 0 {
		o.errors = append(o.errors, slope.mid/mb/s.leak-1)
		if slope.low/mb <= s.leak && s.leak <= slope.high/mb {
			o.covered++
		}
	}
}

func (o *outcome) merge(p outcome) {
	o.alarmed += p.alarmed
	o.early += p.early
	o.covered += p.covered
	o.delays = append(o.delays, p.delays...)
	o.errors = append(o.errors, p.errors...)
}

func (o outcome) delay(q float64) float64 { return quantileOf(o.delays, q) }

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
	old, worker, runners outcome
}

// simulate plays some traces of a scenario to all detectors.
func simulate(s scenario, first uint64, n int) row {
	out := row{scenario: s}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for seed := first; seed < first+uint64(n); seed++ {
		followed := newTrend(runnerTrend())
		newWorld(s, seed).runners(start, func(minute float64, r Reading) bool {
			if !followed.observe(r) {
				return false
			}
			out.runners.add(s, minute, followed.last.inMinutes())
			return true
		})
		trends, old := []*trend{newTrend(processTrend()), newTrend(steepTrend())}, new(oldRule)
		oldSaid, said := false, false
		newWorld(s, seed).process(start, func(minute float64, r Reading, heap float64) bool {
			if !oldSaid && old.observe(heap) {
				oldSaid = true
				out.old.add(s, minute, interval{})
			}
			for _, t := range trends {
				if !said && t.observe(r) {
					said = true
					out.worker.add(s, minute, t.last.inMinutes())
				}
			}
			return oldSaid && said
		})
	}
	return out
}

// simulateAll plays all scenarios on all processors.
func simulateAll(first uint64, n int) []row {
	const chunk = 50
	all := slices.DeleteFunc(scenarios(), func(s scenario) bool { return !strings.Contains(s.name, *only) })
	rows := make([]row, len(all))
	perRow := (n + chunk - 1) / chunk
	parts := make([]row, len(all)*perRow)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(parts); i = int(next.Add(1)) - 1 {
				at := i % perRow * chunk
				parts[i] = simulate(all[i/perRow], first+uint64(at), min(chunk, n-at))
			}
		})
	}
	wg.Wait()
	for i, p := range parts {
		r := &rows[i/perRow]
		r.scenario = p.scenario
		r.old.merge(p.old)
		r.worker.merge(p.worker)
		r.runners.merge(p.runners)
	}
	return rows
}

// TestDetector_simulation is the promise of docs/leak-detection.md.
func TestDetector_simulation(t *testing.T) {
	n := *traces
	if testing.Short() || underRace {
		n = min(n, 20)
	}
	// The simulation makes garbage, and the little that stays alive would have it
	// collected all the time.
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	rows := simulateAll(*seed, n)
	for _, r := range rows {
		t.Logf("%-34s old %4d | worker %4d %4.0f %4.0f | runners %4d %4.0f %4.0f slope %+.2f in bounds %d", r.name, r.old.alarmed,
			r.worker.alarmed, r.worker.delay(0.5), r.worker.delay(0.95),
			r.runners.alarmed, r.runners.delay(0.5), r.runners.delay(0.95), quantileOf(r.runners.errors, 0.5), r.runners.covered)
		switch {
		case r.exempt:
		case r.healthy():
			if r.runners.alarmed > n/100 || r.worker.alarmed > n/100 {
				t.Errorf("%s: got %d and %d false alarms in %d traces, want at most 1 %%", r.name, r.runners.alarmed, r.worker.alarmed, n)
			}
			if r.old.alarmed < n/2 {
				t.Errorf("%s: the old rule is quiet in %d of %d traces: is the simulation too kind?", r.name, n-r.old.alarmed, n)
			}
		case r.leak >= 1:
			if r.runners.alarmed < n || r.worker.alarmed < n {
				t.Errorf("%s: found in %d and %d of %d traces, want all", r.name, r.runners.alarmed, r.worker.alarmed, n)
			}
			if early := max(r.runners.early, r.worker.early); early > n/100 {
				t.Errorf("%s: got %d alarms before the leak in %d traces, want at most 1 %%", r.name, early, n)
			}
			// The median of a few traces says little; the sweep has a thousand.
			if got := r.runners.delay(0.5); n >= 100 && got > 60 {
				t.Errorf("%s: got a median delay of %.0f min, want at most 60", r.name, got)
			}
		}
	}
	if *update {
		writeTable(t, rows, n)
	}
}

// writeTable replaces the table in the documentation.
func writeTable(t *testing.T, rows []row, n int) {
	t.Helper()
	const file, begin, end = "../../docs/leak-detection.md", "<!-- table -->\n", "<!-- end of table -->"
	var b strings.Builder
	b.WriteString("| six hours of | old rule | worker itself | runners of a kind | error of the slope |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		slope := ""
		if !r.healthy() {
			slope = fmt.Sprintf("%+.0f %%, in bounds %.0f %%", 100*quantileOf(r.runners.errors, 0.5), share(r.runners.covered, r.runners.alarmed))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.name, r.told(r.old, n), r.told(r.worker, n), r.told(r.runners, n), slope)
	}
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := bytes.Cut(doc, []byte(begin))
	_, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	doc = slices.Concat(head, []byte(begin), []byte(b.String()), []byte(end), tail)
	if err := os.WriteFile(file, doc, 0o644); err != nil {
		t.Fatal(err)
	}
}

func share(part, all int) float64 { return 100 * float64(part) / float64(max(all, 1)) }

// told is an outcome in words.
func (r row) told(o outcome, n int) string {
	s := fmt.Sprintf("%.4g %%", share(o.alarmed, n))
	if r.healthy() || o.alarmed == 0 {
		return s
	}
	if o.early > n/2 {
		return s + ", before it began"
	}
	return s + fmt.Sprintf(", %.0f / %.0f min", o.delay(0.5), o.delay(0.95))
}
