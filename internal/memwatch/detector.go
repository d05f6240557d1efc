package memwatch

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

// Slope is a growth in bytes with the bounds of what else it may be: 99 % for
// the errors of the readings, and room for what caches may have to do with it.
type Slope struct {
	Bytes float64 `json:"bytes"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Leak is what is known of the growth of a kind.
type Leak struct {
	// Kind is a kind of task, or the name that the worker's own readings have.
	Kind string `json:"kind"`
	// Suspected is the verdict, and Since when it has stood. The rest is zero
	// without a suspicion.
	Suspected bool      `json:"suspected"`
	Since     time.Time `json:"since,omitzero"`
	// PerMinute is the growth of each process of the kind, and PerTask the same
	// by task; the latter is zero for the worker itself.
	PerMinute Slope `json:"per_minute,omitzero"`
	PerTask   Slope `json:"per_task,omitzero"`
	// Live is the last reading.
	Live int64 `json:"live_bytes"`
	// Ceiling is what a process of the kind may use at most; 0 if not known.
	Ceiling int64 `json:"ceiling_bytes,omitempty"`
	// ToCeiling is how long it takes from there to the ceiling at this rate; zero
	// where no ceiling is known.
	ToCeiling time.Duration `json:"to_ceiling_ns,omitempty"`
}

// maxKinds bounds a detector's memory, to about 160 KB for each kind.
const maxKinds = 32

// Detector finds leaks from the readings of runners and of the worker itself.
// It is safe for use by several goroutines.
type Detector struct {
	ceilings map[string]int64
	changed  func(Leak)

	mu    sync.Mutex
	kinds map[string]*watched
}

// watched is a kind with its trends: a slow one, and where a process lives for
// long one for steep leaks.
type watched struct {
	trends []*trend
	live   int64
}

// NewDetector returns a detector. The ceilings, by kind and in bytes, serve to
// tell how much time is left. The function changed, which may be nil, is called
// when a suspicion begins and when it ends.
func NewDetector(ceilings map[string]int64, changed func(Leak)) *Detector {
	if changed == nil {
		changed = func(Leak) {}
	}
	return &Detector{ceilings: ceilings, changed: changed, kinds: map[string]*watched{}}
}

// ObserveRunner takes the reading of a runner that has nothing to do, after a
// collection. It reports whether the runner should be replaced: its kind leaks,
// and it has grown by tens of megabytes.
func (d *Detector) ObserveRunner(r Reading) (replace bool) {
	d.observe(r, runnerTrend())
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.kinds[r.Kind]
	return w != nil && w.trends[0].spent(r.Process)
}

// ObserveWorker takes a reading of the worker itself, as often as every few
// seconds: what was alive after its last collection. Kind is the name to report.
func (d *Detector) ObserveWorker(r Reading) {
	r.Process, r.Done = 0, 0
	d.observe(r, processTrend(), steepTrend())
}

func (d *Detector) observe(r Reading, trends ...trendConfig) {
	d.mu.Lock()
	w := d.kinds[r.Kind]
	if w == nil {
		if len(d.kinds) >= maxKinds {
			d.mu.Unlock()
			return
		}
		w = new(watched)
		for _, cfg := range trends {
			w.trends = append(w.trends, newTrend(cfg))
		}
		d.kinds[r.Kind] = w
	}
	w.live = r.Live
	before := w.open() != nil
	for _, t := range w.trends {
		t.observe(r)
	}
	var news []Leak
	if (w.open() != nil) != before {
		news = append(news, d.leak(r.Kind, w))
	}
	d.mu.Unlock()
	d.tell(news)
}

// tell calls changed without the lock, so that it may ask back.
func (d *Detector) tell(news []Leak) {
	for _, l := range news {
		d.changed(l)
	}
}

// open is the trend that speaks for a suspicion, or nil.
func (w *watched) open() *trend {
	for _, t := range w.trends {
		if t.suspected() {
			return t
		}
	}
	return nil
}

// Leaks is the state of every kind that has been observed, by name. A suspicion
// of which nothing has been heard for hours ends here.
func (d *Detector) Leaks(now time.Time) []Leak {
	d.mu.Lock()
	var all, news []Leak
	for kind, w := range d.kinds {
		ended := false
		for _, t := range w.trends {
			ended = t.expire(now) || ended
		}
		l := d.leak(kind, w)
		all = append(all, l)
		if ended && !l.Suspected {
			news = append(news, l)
		}
	}
	d.mu.Unlock()
	d.tell(news)
	slices.SortFunc(all, func(a, b Leak) int { return cmp.Compare(a.Kind, b.Kind) })
	return all
}

func (d *Detector) leak(kind string, w *watched) Leak {
	l := Leak{Kind: kind, Live: w.live, Ceiling: d.ceilings[kind]}
	t := w.open()
	if t == nil {
		return l
	}
	l.Suspected, l.Since = true, t.since
	l.PerMinute, l.PerTask = slopeOf(t.last.inMinutes()), slopeOf(t.last.inTasks())
	if l.Ceiling > 0 && l.PerMinute.Bytes > 0 {
		minutes := max(0, float64(l.Ceiling-w.live)) / l.PerMinute.Bytes
		l.ToCeiling = time.Duration(min(minutes*float64(time.Minute), math.MaxInt64/2))
	}
	return l
}

func slopeOf(i interval) Slope { return Slope{Bytes: i.mid, Low: i.low, High: i.high} }
