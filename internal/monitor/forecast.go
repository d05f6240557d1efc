package monitor

import (
	"math"
	"time"
)

const (
	// forecastStep and forecastPoints are what a forecast is made of: ten
	// minutes of a node's memory.
	forecastStep   = 10 * time.Second
	forecastPoints = 60
	// forecastLeast is how many points a forecast takes: two minutes.
	forecastLeast = 12
	// forecastFit is how much of what was seen a straight line must explain.
	forecastFit = 0.6
)

// forecasts tell when a node's memory will reach its limit, if it goes on as it
// did lately. They are used by one goroutine.
type forecasts struct{ nodes map[string]*trend }

// trend is one node's memory of late.
type trend struct {
	at    []time.Time
	bytes []float64
}

func newForecasts() *forecasts { return &forecasts{nodes: map[string]*trend{}} }

// fullIn takes a node's memory in and returns in how many seconds it will have
// reached its limit; nil if it does not grow steadily.
func (f *forecasts) fullIn(n Node, at time.Time) *float64 {
	if !n.Up || n.MemoryLimit <= 0 {
		delete(f.nodes, n.ID)
		return nil
	}
	t := f.nodes[n.ID]
	if t == nil {
		t = &trend{}
		f.nodes[n.ID] = t
	}
	t.add(at, float64(n.RSS))
	slope, fit, ok := t.line()
	if !ok || fit < forecastFit || slope <= 0 {
		return nil
	}
	left := max(0, float64(n.MemoryLimit-n.RSS)) / slope
	if left > 24*3600 {
		return nil
	}
	return &left
}

// retain forgets the nodes that are not shown any more.
func (f *forecasts) retain(nodes []Node) {
	known := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		known[n.ID] = true
	}
	for id := range f.nodes {
		if !known[id] {
			delete(f.nodes, id)
		}
	}
}

func (t *trend) add(at time.Time, bytes float64) {
	if n := len(t.at); n > 0 {
		switch gap := at.Sub(t.at[n-1]); {
		case gap < 0 || gap > 6*forecastStep:
			t.at, t.bytes = t.at[:0], t.bytes[:0] // what was before says nothing of now
		case gap < forecastStep:
			return
		}
	}
	if len(t.at) == forecastPoints {
		copy(t.at, t.at[1:])
		copy(t.bytes, t.bytes[1:])
		t.at, t.bytes = t.at[:forecastPoints-1], t.bytes[:forecastPoints-1]
	}
	t.at, t.bytes = append(t.at, at), append(t.bytes, bytes)
}

// line lays a straight line through the points: its slope in bytes a second,
// and how much of their spread it explains.
func (t *trend) line() (slope, fit float64, ok bool) {
	n := float64(len(t.at))
	if len(t.at) < forecastLeast {
		return 0, 0, false
	}
	var sx, sy, sxx, sxy, syy float64
	for i, at := range t.at {
		x, y := at.Sub(t.at[0]).Seconds(), t.bytes[i]
		sx, sy, sxx, sxy, syy = sx+x, sy+y, sxx+x*x, sxy+x*y, syy+y*y
	}
	dx, dy, d := n*sxx-sx*sx, n*syy-sy*sy, n*sxy-sx*sy
	if dx <= 0 || dy <= 0 {
		return 0, 0, false
	}
	fit = d * d / (dx * dy)
	return d / dx, fit, !math.IsNaN(fit)
}
