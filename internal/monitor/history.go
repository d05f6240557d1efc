package monitor

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// historySlots is how many points a curve has at most: about as many as a
// screen shows. A point is the highest value of its time, so that peaks stay.
//
// The bound: 2 curves of 8 queues + 5 rates + 7 curves of 200 nodes = 1421 curves
// of 360 points of 4 bytes, 2 MB. Ten nodes take 130 kB.
const historySlots = 360

// history keeps the page's curves. Point i of a curve belongs to the slots of
// time i, i+360, …; which of them it is follows from the newest slot.
type history struct {
	step, every time.Duration

	mu      sync.Mutex
	first   int64 // slot of the first sample
	newest  int64 // slot of the last sample
	started bool
	curves  map[curveKey]*curve
}

// curveKey names a curve: what of whom.
type curveKey struct{ what, of string }

type curve struct {
	points [historySlots]float32 // NaN where there is none
	seen   int64                 // slot of the last value
}

// newHistory keeps at least span, in steps of at least every.
func newHistory(span, every time.Duration) *history {
	step := max(every, (span+historySlots-1)/historySlots)
	// Whole seconds, because the page counts in them.
	step = (step + time.Second - 1).Truncate(time.Second)
	return &history{step: step, every: every, curves: map[curveKey]*curve{}}
}

func (h *history) slot(at time.Time) int64 { return at.UnixMilli() / h.step.Milliseconds() }

// add takes one sample in.
func (h *history) add(o *Overview) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.advance(h.slot(o.At))
	h.put("rate", "", o.Total.PerSecond)
	for _, k := range o.Kinds {
		h.put("rate", k.Kind, k.PerSecond)
	}
	for _, q := range o.Queues {
		h.put("waiting", q.Name, float64(q.Waiting))
		h.put("wait", q.Name, q.WaitP95)
	}
	for _, n := range o.Nodes {
		if n.Up {
			h.put("rss", n.ID, mebibytes(n.RSS))
			h.put("heap", n.ID, mebibytes(n.HeapLive))
			for _, l := range n.Leaks {
				h.put("live", liveOf(l.Kind, n.ID), mebibytes(l.Live))
			}
		}
	}
	for key, c := range h.curves {
		if h.newest-c.seen >= historySlots {
			delete(h.curves, key)
		}
	}
	h.forget(o)
}

// forget drops the curves of nodes that Redis has forgotten, so that their
// number is bounded by the nodes shown.
func (h *history) forget(o *Overview) {
	known := make(map[string]bool, len(o.Nodes))
	for _, n := range o.Nodes {
		known[n.ID] = true
	}
	for key := range h.curves {
		node := key.of
		switch key.what {
		case "live":
			_, node, _ = strings.Cut(key.of, "@")
		case "rss", "heap":
		default:
			continue
		}
		if !known[node] {
			delete(h.curves, key)
		}
	}
}

// liveOf names the curve of what stays alive in the processes of a kind on a
// node. No kind's name has an @ in it.
func liveOf(kind, node string) string { return kind + "@" + node }

// advance goes on to a slot and empties those that are used anew. A clock that
// was set back writes on in the newest slot.
func (h *history) advance(slot int64) {
	if !h.started {
		h.first, h.newest, h.started = slot, slot, true
		return
	}
	for i := max(h.newest+1, slot-historySlots+1); i <= slot; i++ {
		for _, c := range h.curves {
			c.points[i%historySlots] = nan
		}
	}
	h.newest = max(h.newest, slot)
}

var nan = float32(math.NaN())

func (h *history) put(what, of string, v float64) {
	key := curveKey{what, of}
	c := h.curves[key]
	if c == nil {
		c = &curve{}
		for i := range c.points {
			c.points[i] = nan
		}
		h.curves[key] = c
	}
	p := &c.points[h.newest%historySlots]
	if f := float32(v); !(*p >= f) { // also where it is NaN
		*p = f
	}
	c.seen = h.newest
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// past is the history as the page gets it: every curve's last value belongs to
// slot End, and slots are StepSeconds long. A sample comes every SampleSeconds.
type past struct {
	SampleSeconds float64     `json:"sample_seconds"`
	StepSeconds   int64       `json:"step_seconds"`
	Slots         int         `json:"slots"`
	End           int64       `json:"end"`
	Curves        []pastCurve `json:"curves"`
}

type pastCurve struct {
	What   string `json:"what"`
	Of     string `json:"of"`
	Points points `json:"points"`
}

// points are written with five digits, which is more than a curve can show,
// and a gap as null.
type points []float32

// MarshalJSON implements json.Marshaler.
func (p points) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, 6*len(p)+2), '[')
	for i, v := range p {
		if i > 0 {
			b = append(b, ',')
		}
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendFloat(b, f, 'g', 5, 32)
		}
	}
	return append(b, ']'), nil
}

// past copies the curves out: those of the names that are given, or all.
func (h *history) past(what ...string) past {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := past{SampleSeconds: h.every.Seconds(), StepSeconds: int64(h.step / time.Second), Slots: historySlots, End: h.newest, Curves: []pastCurve{}}
	length := min(historySlots, h.newest-h.first+1)
	if !h.started {
		return p
	}
	for key, c := range h.curves {
		if len(what) > 0 && !slices.Contains(what, key.what) {
			continue
		}
		line := make(points, 0, length)
		for i := h.newest - length + 1; i <= h.newest; i++ {
			v := c.points[i%historySlots]
			if len(line) == 0 && math.IsNaN(float64(v)) {
				continue // it began later: curves end together, they need not begin so
			}
			line = append(line, v)
		}
		p.Curves = append(p.Curves, pastCurve{What: key.what, Of: key.of, Points: line})
	}
	return p
}
