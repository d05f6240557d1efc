package memwatch

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// epoch is when simulated work begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// bench plays runners that are read every 20 tasks, at ten tasks a second.
type bench struct {
	d       *Detector
	rng     *rand.Rand
	at      time.Time
	done    map[int]int
	replace bool // whether the last reading asked for it
}

func newBench(d *Detector) *bench {
	return &bench{d: d, rng: rand.New(rand.NewPCG(1, 2)), at: epoch, done: map[int]int{}} //nolint:gosec // repeatable
}

// work has a runner do 20 tasks that leave each of them leak bytes behind, beside
// a cache of 20 MB that fills within 300 tasks.
func (b *bench) work(kind string, pid int, leak float64) {
	b.at = b.at.Add(2 * time.Second)
	b.done[pid] += 20
	n := float64(b.done[pid])
	live := 12*mb + 20*mb*(1-math.Exp(-n/60)) + leak*n + 0.1*mb*b.rng.NormFloat64()
	b.replace = b.d.ObserveRunner(Reading{Kind: kind, Process: pid, Done: b.done[pid], Live: int64(live), At: b.at})
}

func (b *bench) suspected() (kinds []string) {
	for _, l := range b.d.Leaks(b.at) {
		if l.Suspected {
			kinds = append(kinds, l.Kind)
		}
	}
	return kinds
}

func TestDetector_namesTheKind(t *testing.T) {
	t.Parallel()
	for _, runners := range []int{1, 2} {
		b := newBench(NewDetector(map[string]int64{"leaky": 256 * mb}, nil))
		for i := range 50 * runners { // 1,000 tasks of each runner
			b.work("leaky", 100+i%runners, 20<<10)
			b.work("healthy", 200+i%runners, 0)
		}
		if got := b.suspected(); len(got) != 1 || got[0] != "leaky" {
			t.Fatalf("%d runners, 20 KB a task: got %v suspected after 1,000 tasks of each", runners, got)
		}
		l := b.d.Leaks(b.at)[1]
		if s := l.PerTask; s.Low > 20<<10 || s.High < 20<<10 || math.Abs(s.Bytes/(20<<10)-1) > 0.15 {
			t.Errorf("%d runners: got %.0f [%.0f, %.0f] bytes a task, want about 20 KB", runners, s.Bytes, s.Low, s.High)
		}
		if want := float64(256*mb-l.Live) / l.PerMinute.Bytes; math.Abs(l.ToCeiling.Minutes()-want) > 0.1 || l.ToCeiling <= 0 {
			t.Errorf("got %v to the ceiling, want %.1f min", l.ToCeiling, want)
		}
	}
}

func TestDetector_quietInHealthyWork(t *testing.T) {
	t.Parallel()
	b := newBench(NewDetector(nil, func(l Leak) { t.Errorf("got a suspicion: %+v", l) }))
	for i := range 500 { // 10,000 tasks in runners of 1,000
		b.work("k", i/50, 0)
	}
	b = newBench(b.d)
	for range 500 { // and in one that is never replaced
		b.work("other", 1, 0)
	}
}

func TestDetector_oneIncident(t *testing.T) {
	t.Parallel()
	var news []Leak
	b := newBench(NewDetector(nil, func(l Leak) { news = append(news, l) }))
	asked := false
	for i := range 300 {
		b.work("k", i/50, 50<<10)
		asked = asked || b.replace
	}
	if len(news) != 1 || !news[0].Suspected {
		t.Fatalf("6,000 tasks with a leak: got %d changes, want one", len(news))
	}
	if !asked {
		t.Error("a leaking runner that has grown by 50 MB was not to be replaced")
	}
	for i := range 1000 {
		b.work("k", 100+i/50, 0)
	}
	if len(news) != 2 || news[1].Suspected || len(b.suspected()) != 0 {
		t.Errorf("the leak is mended: got changes %+v, want the end of the incident", news)
	}
	if b.replace {
		t.Error("a healthy runner was to be replaced")
	}
	for i := range 100 {
		b.work("k", 200+i/50, 50<<10)
	}
	if len(news) != 3 || !news[2].Suspected {
		t.Errorf("the leak is back: got %d changes, want 3", len(news))
	}
}

func TestDetector_forgetsAKindThatIsGone(t *testing.T) {
	t.Parallel()
	changes := 0
	b := newBench(NewDetector(nil, func(Leak) { changes++ }))
	for range 50 {
		b.work("k", 1, 50<<10)
	}
	b.at = b.at.Add(7 * time.Hour)
	if got := b.suspected(); len(got) != 0 || changes != 2 {
		t.Errorf("seven hours later: got %v suspected and %d changes, want none and 2", got, changes)
	}
}

func TestDetector_worker(t *testing.T) {
	t.Parallel()
	d := NewDetector(map[string]int64{"worker": 2048 * mb}, nil)
	rng := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // repeatable
	for i := range 20 * 60 / 2 {       // 20 minutes, a reading every 2 seconds
		at := epoch.Add(time.Duration(i) * 2 * time.Second)
		live := 80*mb + 20*mb*rng.ExpFloat64() + 30*mb*at.Sub(epoch).Minutes()
		d.ObserveWorker(Reading{Kind: "worker", Live: int64(live), At: at})
	}
	l := d.Leaks(epoch.Add(20 * time.Minute))[0]
	if !l.Suspected || math.Abs(l.PerMinute.Bytes/mb-30) > 3 || l.PerTask != (Slope{}) {
		t.Errorf("30 MB a minute: got %+v", l)
	}
}

func TestDetector_bounded(t *testing.T) {
	t.Parallel()
	d := NewDetector(nil, nil)
	b := newBench(d)
	for i := range 20000 {
		b.work(string(rune('a'+i%100)), i%997, 0)
	}
	if n := len(d.Leaks(b.at)); n > maxKinds {
		t.Errorf("got %d kinds, want at most %d", n, maxKinds)
	}
	for kind, w := range d.kinds {
		for _, tr := range w.trends {
			if len(tr.series) > tr.cfg.processes {
				t.Errorf("%s: got %d series, want at most %d", kind, len(tr.series), tr.cfg.processes)
			}
			for _, s := range tr.series {
				if len(s.blocks) > tr.cfg.blocks || cap(s.blocks) > 2*tr.cfg.blocks {
					t.Errorf("%s: got %d blocks of capacity %d, want at most %d", kind, len(s.blocks), cap(s.blocks), tr.cfg.blocks)
				}
			}
		}
	}
}

func TestTrend_moreProcessesThanPlaces(t *testing.T) {
	t.Parallel()
	b := newBench(NewDetector(nil, nil))
	for i := range 50 * 32 { // 32 runners side by side
		b.work("k", i%32, 50<<10)
	}
	if len(b.suspected()) != 1 {
		t.Error("got no suspicion with 32 leaking runners")
	}
}

func TestTrend_processNumberUsedAgain(t *testing.T) {
	t.Parallel()
	tr := newTrend(runnerTrend())
	for _, r := range []Reading{{Done: 100, At: epoch}, {Done: 200, At: epoch.Add(time.Hour)}, {Done: 60, At: epoch.Add(2 * time.Hour)}} {
		r.Process = 7
		tr.observe(r)
	}
	if len(tr.series) != 2 || tr.series[0].process != gone || tr.series[1].done != 60 {
		t.Errorf("got %d series, want the second runner 7 to have its own", len(tr.series))
	}
}

// The clock of a machine may stand still or jump.
func TestTrend_oddClocks(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]func(i int) time.Time{
		"stands still": func(int) time.Time { return epoch },
		"runs back":    func(i int) time.Time { return epoch.Add(-time.Duration(i) * time.Minute) },
		"leaps":        func(i int) time.Time { return epoch.Add(time.Duration(i) * 1000 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := NewDetector(nil, nil)
				for i := range 200 {
					d.ObserveRunner(Reading{Kind: "k", Process: 1, Done: 20 * i, Live: int64(i) * mb, At: at(i)})
					d.ObserveWorker(Reading{Kind: "w", Live: int64(i) * mb, At: at(i)})
				}
				for _, l := range d.Leaks(at(200)) {
					if math.IsNaN(l.PerMinute.Bytes) || math.IsInf(l.PerMinute.Bytes, 0) || l.ToCeiling < 0 {
						t.Errorf("got %+v", l)
					}
				}
			})
		})
	}
}

func FuzzDetector(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6})
	f.Fuzz(func(t *testing.T, data []byte) {
		d := NewDetector(map[string]int64{"k": mb}, nil)
		at, done := epoch, 0
		for len(data) >= 4 {
			at = at.Add(time.Duration(int8(data[0])) * time.Second)
			done += int(data[1])
			r := Reading{Kind: "k", Process: int(data[2] % 16), Done: done, Live: int64(data[3]) << (data[2] % 40), At: at}
			d.ObserveRunner(r)
			d.ObserveWorker(r)
			data = data[4:]
		}
		for _, l := range d.Leaks(at) {
			if math.IsNaN(l.PerMinute.Bytes+l.PerMinute.Low+l.PerMinute.High) || l.ToCeiling < 0 {
				t.Errorf("got %+v", l)
			}
		}
	})
}

// BenchmarkDetector is one reading of a kind whose runners fill their caches, the
// judgments included.
func BenchmarkDetector(b *testing.B) {
	play := newBench(NewDetector(nil, nil))
	i := 0
	for b.Loop() {
		play.work("k", i/50, 0)
		i++
	}
}

func TestDetector_memory(t *testing.T) {
	before := heapNow()
	d := NewDetector(nil, nil)
	b := newBench(d)
	for i := range 8 * 64 * 4 {
		b.work("k", i/256, 0)
	}
	if used := heapNow() - before; used > 512<<10 {
		t.Errorf("got %d KB for a kind, want at most 512", used>>10)
	}
	runtime.KeepAlive(d)
}

func heapNow() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
