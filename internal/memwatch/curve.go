package memwatch

import "math"

// A healthy process grows too, while its caches fill. So growth counts as a leak
// only as far as no cache explains it. Each curve here is how a cache may fill;
// every one gets the chance to explain as much as it can, and what then still
// grows evenly is the leak. The usual test, which compares the two halves of a
// series, takes a cache that fills slowly for a leak, and misses a leak beside a
// cache that fills fast.
const (
	// Where all keys of a cache are asked for alike it fills exponentially. The
	// more they differ, the faster it fills at first and the slower later: that
	// is what the shapes stand for.
	shapes = 3
	// octaves of time constants are tried of each shape.
	octaves = 7
	curves  = shapes * octaves
)

// filling is the level of every cache after so much work, in units of the
// shortest time constant.
func filling(work float64) (level [curves]float64) {
	for shape, bend := range [shapes]float64{1, 0.8, 0.6} {
		octave := math.Exp2(-bend)
		e := math.Pow(work, bend)
		for k := range octaves {
			level[shape*octaves+k] = 1 - math.Exp(-e)
			e *= octave
		}
	}
	return level
}

// line is one process's part of the evidence.
type line struct {
	blocks []block
	y, raw []float64 // bytes; raw still has single outliers
	axes   [2]axis   // by task and by minute
	mean   float64   // of y
	yy     float64   // sum of squares of y about its mean
	cc, cy [curves]float64
}

// axis is what a line is plotted over, with the sums that lines are fitted from,
// all about the means.
type axis struct {
	x      []float64
	xx, xy float64
	xc     [curves]float64
}

// sum computes the sums of a line.
func (l *line) sum() {
	n := float64(len(l.y))
	l.mean = meanOf(l.y)
	var mean [curves]float64
	for i := range l.blocks {
		for k := range curves {
			mean[k] += l.blocks[i].filled[k]
		}
	}
	for k := range mean {
		mean[k] /= n
	}
	byTask, byMinute := &l.axes[tasks], &l.axes[minutes]
	meanTask, meanMinute := meanOf(byTask.x), meanOf(byMinute.x)
	for i, y := range l.y {
		dy, dt, dm := y-l.mean, byTask.x[i]-meanTask, byMinute.x[i]-meanMinute
		l.yy += dy * dy
		byTask.xx, byTask.xy = byTask.xx+dt*dt, byTask.xy+dt*dy
		byMinute.xx, byMinute.xy = byMinute.xx+dm*dm, byMinute.xy+dm*dy
		filled := &l.blocks[i].filled
		for k := range curves {
			dc := filled[k] - mean[k]
			l.cc[k] += dc * dc
			l.cy[k] += dc * dy
			byTask.xc[k] += dc * dt
			byMinute.xc[k] += dc * dm
		}
	}
}

func meanOf(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// full is the square sum under which a curve doesn't rise any more.
const full = 1e-12

// fit is a slope that all lines have in common, beside a cache of each line's own.
type fit struct {
	slope  float64
	weight float64 // the sum of squares that the slope rests on
	rss    float64 // what is left unexplained
	cache  float64 // how large the caches would be if the slope were 0
	trade  float64 // by how much they are smaller for each unit of slope
}

// none stands for no cache among the curves.
const none = -1

// fitted fits the lines over an axis, beside a cache that fills like curve k.
func fitted(lines []line, a, k int) (f fit) {
	var xx, xy, yy float64
	for i := range lines {
		l := &lines[i]
		x := &l.axes[a]
		xx, xy, yy = xx+x.xx, xy+x.xy, yy+l.yy
		if k == none || l.cc[k] < full {
			continue
		}
		xx -= x.xc[k] * x.xc[k] / l.cc[k]
		xy -= x.xc[k] * l.cy[k] / l.cc[k]
		yy -= l.cy[k] * l.cy[k] / l.cc[k]
		f.cache += l.cy[k] / l.cc[k] / float64(len(lines))
		f.trade += x.xc[k] / l.cc[k] / float64(len(lines))
	}
	f.rss, f.weight = max(0, yy), xx
	if xx > 0 {
		f.slope, f.rss = xy/xx, max(0, yy-xy*xy/xx)
	}
	return f
}

// amount is how large the caches are on average when the lines have this slope.
func (f fit) amount(slope float64) float64 { return f.cache - slope*f.trade }

// interval is a slope with its bounds.
type interval struct{ mid, low, high float64 }

func (i interval) times(f float64) interval { return interval{i.mid * f, i.low * f, i.high * f} }

// doubt is what fits are judged by.
type doubt struct {
	noise  float64 // the least standard error that a reading is believed to have
	misfit float64 // the standard error of the curves themselves: none is exact
	most   float64 // a cache of more would not fit, and so is as good as a leak
	z      float64 // how many standard errors the bounds are away
}

// leakage is the slope over an axis that no cache explains, in a fit beside the
// best curve. Its bounds are those of all slopes which, beside some cache, come
// about as near to the lines as the best fit does (a profile likelihood).
func leakage(lines []line, a int, d doubt) (slope interval, best int, rss float64) {
	var fits [curves]fit
	plain := fitted(lines, a, none)
	least, best := plain, none
	var n float64
	for k := range fits {
		fits[k] = fitted(lines, a, k)
		// A cache doesn't fall.
		if f := fits[k]; f.rss < least.rss && f.amount(f.slope) > 0 {
			least, best = f, k
		}
	}
	for i := range lines {
		n += float64(len(lines[i].y))
	}
	variance := least.rss/max(1, n-2*float64(len(lines))-1)*stretched(lines, a, least.slope, best) + d.noise*d.noise
	most := least.rss + d.z*d.z*variance + d.misfit*d.misfit*n
	slope = interval{mid: least.slope, low: math.Inf(1), high: math.Inf(-1)}
	for k, f := range append(fits[:], plain) {
		if f.rss > most || f.weight <= 0 {
			continue
		}
		reach := math.Sqrt((most - f.rss) / f.weight)
		low, high := f.slope-reach, f.slope+reach
		if f.trade > 0 { // a cache holds something, but not more than it may
			low = max(low, (f.cache-d.most)/f.trade)
			if k != best {
				high = min(high, f.cache/f.trade)
			}
		}
		if low <= high {
			slope.low, slope.high = min(slope.low, low), max(slope.high, high)
		}
	}
	if slope.low > slope.high { // nothing explains it but caches that would not fit
		slope.low, slope.high = plain.slope, plain.slope
	}
	slope.mid = min(max(slope.mid, slope.low), slope.high)
	return slope, best, least.rss
}

// stretched is by how much it widens the variance that neighbors err alike.
func stretched(lines []line, a int, slope float64, k int) float64 {
	var next, all float64
	for i := range lines {
		l := &lines[i]
		rest := l.without(l.y, a, slope, k)
		for j := range rest {
			rest[j] -= slope * l.axes[a].x[j]
		}
		mean := meanOf(rest)
		for j := range rest {
			rest[j] -= mean
			all += rest[j] * rest[j]
			if j > 0 {
				next += rest[j] * rest[j-1]
			}
		}
	}
	if all == 0 {
		return 1
	}
	r := min(max(next/all, 0), 0.9)
	return (1 + r) / (1 - r)
}

// without is a line's values less the cache that fills like curve k beside the
// slope.
func (l *line) without(values []float64, a int, slope float64, k int) []float64 {
	out := append([]float64(nil), values...)
	if k == none || l.cc[k] < full {
		return out
	}
	amount := max(0, (l.cy[k]-slope*l.axes[a].xc[k])/l.cc[k])
	for i := range out {
		out[i] -= amount * l.blocks[i].filled[k]
	}
	return out
}
