package memwatch

import (
	"math"
	"slices"
)

// A healthy process grows too, while its caches fill. So growth counts as a leak
// only as far as no cache can explain it: each curve here is how a cache may
// fill, and what is left when it has explained as much as it can is the leak.
// A plain comparison of the two halves of a series (the usual test) is fooled by
// a cache that fills slowly, and misses a leak beside one that fills fast.
const (
	// exponentials are caches that fill from a fixed set of keys: their time
	// constants grow by half an octave from one to the next.
	exponentials = 13
	// Keys that follow Zipf's law fill a cache faster at first and slower later
	// than any exponential: logarithms and a square root come close to that.
	logarithms = 4
	curves     = exponentials + logarithms + 1
)

// line is one process's part of the evidence.
type line struct {
	x     []float64 // work or minutes since the process began
	y     []float64 // bytes
	raw   []float64 // y before single outliers were taken out
	curve [curves][]float64
}

// fill computes the curves for a line; unit is the shortest time constant.
func (l *line) fill(unit float64) {
	slowest := unit * math.Exp2((exponentials-1)/2)
	for i, x := range l.x {
		// Where the line begins doesn't matter to an exponential, but to the rest.
		e := math.Exp(-(x - l.x[0]) / slowest)
		between := math.Exp(-(x - l.x[0]) / slowest * math.Sqrt2)
		for k := exponentials - 1; k >= 0; k-- {
			l.curve[k][i] = 1 - e
			e, between = between, e*e
		}
		scale := unit / 8
		for k := range logarithms {
			l.curve[exponentials+k][i] = math.Log1p(x / scale)
			scale *= 4
		}
		l.curve[exponentials+logarithms][i] = math.Sqrt(x)
	}
}

// moments are the sums that straight lines are fitted from.
type moments struct{ n, x, y, xx, xy, yy float64 }

func momentsOf(x, y []float64) moments {
	m := moments{n: float64(len(x))}
	for i := range x {
		m.x += x[i]
		m.y += y[i]
	}
	mx, my := m.x/m.n, m.y/m.n
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		m.xx += dx * dx
		m.xy += dx * dy
		m.yy += dy * dy
	}
	return m
}

// fit is a common slope for all lines, beside a cache of each line's own.
type fit struct {
	slope  float64
	weight float64 // what the slope rests on: the sum of squares of x, less what a curve takes
	rss    float64 // what is left unexplained
	cache  float64 // how large the caches would be if the slope were 0
	trade  float64 // by how much they are smaller for each unit of slope
}

// plain fits the slope without a cache.
func plain(sums []moments) fit {
	var xx, xy, yy float64
	for _, m := range sums {
		xx, xy, yy = xx+m.xx, xy+m.xy, yy+m.yy
	}
	return fit{slope: xy / xx, weight: xx, rss: max(0, yy-xy*xy/xx)}
}

// beside fits the slope beside a cache that fills like curve k, and reports
// whether it does: a cache does not fall.
func beside(lines []line, sums []moments, k int) (f fit, fills bool) {
	var xx, xy, yy float64
	caches := make([]cache, len(lines))
	for i, m := range sums {
		c := cacheSums(lines[i], m, k)
		caches[i] = c
		if c.cc <= 0 { // full by now
			xx, xy, yy = xx+m.xx, xy+m.xy, yy+m.yy
			continue
		}
		xx += m.xx - c.xc*c.xc/c.cc
		xy += m.xy - c.xc*c.cy/c.cc
		yy += m.yy - c.cy*c.cy/c.cc
	}
	f = fit{slope: xy / xx, weight: xx, rss: max(0, yy-xy*xy/xx)}
	for _, c := range caches {
		if c.cc > 0 {
			f.cache += c.cy / c.cc / float64(len(caches))
			f.trade += c.xc / c.cc / float64(len(caches))
		}
	}
	return f, f.amount(f.slope) > 0
}

// amount is how large the caches are when the lines have the given slope.
func (f fit) amount(slope float64) float64 { return f.cache - slope*f.trade }

// cache is the sums of a curve with a line's x and y.
type cache struct{ cc, xc, cy float64 }

func cacheSums(l line, m moments, k int) cache {
	var c cache
	curve := l.curve[k]
	mx, my := m.x/m.n, m.y/m.n
	var sum float64
	for _, v := range curve {
		sum += v
	}
	mc := sum / m.n
	for i, v := range curve {
		d := v - mc
		c.cc += d * d
		c.xc += d * (l.x[i] - mx)
		c.cy += d * (l.y[i] - my)
	}
	if c.cc < 1e-12 { // the curve is flat by now
		c.cc = 0
	}
	return c
}

// amount is how large the cache is when the rest has the given slope.
func (c cache) amount(slope float64) float64 {
	if c.cc <= 0 {
		return 0
	}
	return (c.cy - slope*c.xc) / c.cc
}

// interval is a slope with its bounds.
type interval struct{ mid, low, high float64 }

// leakage is the slope that no cache explains. Its bounds are those of all
// slopes which, beside some cache, come about as near to the lines as the best
// fit does (a profile likelihood); best is that fit's curve, or -1 where none is
// needed. The noise is the least standard error that a point is believed to
// have, and the misfit that of the curves themselves, which are never exact. A
// cache of more than most would not fit, and so counts as a leak.
func leakage(lines []line, sums []moments, noise, misfit, most, z float64) (slope interval, best int) {
	var fits [curves]fit
	least, n := plain(sums), 0.0
	for _, m := range sums {
		n += m.n
	}
	best = -1
	for k := range curves {
		var fills bool
		if fits[k], fills = beside(lines, sums, k); fills && fits[k].rss < least.rss {
			least, best = fits[k], k
		}
	}
	variance := least.rss/max(1, n-2*float64(len(lines))-1) + noise*noise
	slack := z*z*variance*stretched(lines, sums, least.slope, best) + misfit*misfit*n
	slope = interval{mid: least.slope, low: least.slope, high: least.slope}
	for k, f := range append(fits[:], plain(sums)) {
		room := least.rss + slack - f.rss
		if room < 0 || f.weight <= 0 {
			continue
		}
		reach := math.Sqrt(room / f.weight)
		low := f.slope - reach
		if f.trade > 0 && f.amount(low) > most {
			if low = (f.cache - most) / f.trade; low > f.slope+reach {
				continue
			}
		}
		slope.low = min(slope.low, low)
		if k == best || k == curves {
			slope.high = max(slope.high, f.slope+reach)
		}
	}
	return slope, best
}

// stretched is by how much neighboring points that err alike widen the variance.
func stretched(lines []line, sums []moments, slope float64, k int) float64 {
	var next, all float64
	for i, l := range lines {
		left := remainder(l, sums[i], l.y, slope, k)
		var mean float64
		for j, y := range left {
			left[j] = y - slope*l.x[j]
			mean += left[j]
		}
		mean /= float64(len(left))
		for j := range left {
			left[j] -= mean
			all += left[j] * left[j]
			if j > 0 {
				next += left[j] * left[j-1]
			}
		}
	}
	if all == 0 {
		return 1
	}
	r := min(max(next/all, 0), 0.9)
	return (1 + r) / (1 - r)
}

// remainder is a line's values without the cache that fills like curve k.
func remainder(l line, m moments, values []float64, slope float64, k int) []float64 {
	out := slices.Clone(values)
	if k < 0 || k >= curves {
		return out
	}
	amount := max(0, cacheSums(l, m, k).amount(slope))
	for i := range out {
		out[i] -= amount * l.curve[k][i]
	}
	return out
}
