package memwatch

import "time"

// finding is what the evidence says about a trend.
type finding struct {
	leaking   bool
	byTask    bool     // the slope is by task, else by minute
	slope     interval // in bytes
	perMinute float64  // tasks in a minute
}

// inMinutes is the slope by minute.
func (f finding) inMinutes() interval {
	if f.byTask {
		return f.slope.times(f.perMinute)
	}
	return f.slope
}

// inTasks is the slope by task, which is 0 where no tasks are counted.
func (f finding) inTasks() interval {
	switch {
	case f.byTask:
		return f.slope
	case f.perMinute > 0:
		return f.slope.times(1 / f.perMinute)
	}
	return interval{}
}

// The axes of a line.
const (
	tasks = iota
	minutes
)

// judge tests the blocks of all series since cut for a leak. The cheap tests
// come first: for a healthy kind they are nearly always enough.
func judge(all []*series, cut time.Time, cfg trendConfig) finding {
	lines := gather(all, cut, cfg)
	if len(lines) == 0 {
		return finding{}
	}
	axes := []int{minutes}
	if cfg.blockTasks > 0 {
		axes = []int{tasks, minutes}
	}
	level := 0.0
	for i := range lines {
		lines[i].flatten(axes[0], float64(cfg.floor))
		lines[i].sum()
		level += lines[i].mean / float64(len(lines))
	}
	floor := max(float64(cfg.floor), cfg.floorShare*level)
	growth := fitted(lines, axes[0], none).slope * span(lines, axes[0])
	if growth < floor || stepped(lines, axes[0]) {
		return finding{}
	}
	d := doubt{noise: float64(cfg.noise), misfit: cfg.misfit * growth, most: float64(cfg.maxCache), z: cfg.z}
	// A leak may go with the work or with the clock: what fits better counts.
	a := axes[0]
	slope, best, rss := leakage(lines, a, d)
	for _, other := range axes[1:] {
		if s, b, r := leakage(lines, other, d); r < rss {
			a, slope, best, rss = other, s, b, r
		}
	}
	if slope.low*span(lines, a) < floor {
		return finding{}
	}
	return confirm(lines, a, slope, best, cfg)
}

// confirm tests what the caches leave by ranks, which no outlier impresses.
func confirm(lines []line, a int, slope interval, best int, cfg trendConfig) finding {
	x, y := make([][]float64, len(lines)), make([][]float64, len(lines))
	var done, took float64
	for i := range lines {
		l := &lines[i]
		x[i], y[i] = l.axes[a].x, l.without(l.raw, a, slope.mid, best)
		last := len(y[i]) - 1
		done += l.axes[tasks].x[last] - l.axes[tasks].x[0]
		took += l.axes[minutes].x[last] - l.axes[minutes].x[0]
	}
	found := kendall(x, y, float64(cfg.noise), cfg.ranks)
	if found.z < cfg.ranks || found.slope.low <= 0 || took <= 0 {
		return finding{}
	}
	return finding{leaking: true, byTask: a == tasks, perMinute: done / took, slope: interval{
		mid: found.slope.mid, low: min(found.slope.low, slope.low), high: max(found.slope.high, slope.high),
	}}
}

// minLine is the fewest blocks of a process that say anything: the ends are cut
// off, and four points are left.
const minLine = 6

// gather makes lines of the finished blocks since cut. There are none where
// there is too little, or nothing that grows.
func gather(all []*series, cut time.Time, cfg trendConfig) []line {
	total, parts, grows := 0, 0, false
	for _, s := range all {
		if b := s.since(cut); len(b) >= minLine {
			total, parts = total+len(b), parts+1
			n := len(b)
			growth := median(b[n-3].live, b[n-2].live, b[n-1].live) - median(b[0].live, b[1].live, b[2].live)
			grows = grows || growth >= float64(cfg.floor)
		}
	}
	if total < cfg.minBlocks || !grows {
		return nil
	}
	lines := make([]line, 0, parts)
	for _, s := range all {
		if b := s.since(cut); len(b) >= minLine {
			lines = append(lines, line{})
			lines[len(lines)-1].plot(b)
		}
	}
	return lines
}

// plot sets the points of a process's blocks. Every value is replaced by the
// median of it and its neighbors, so that a single outlier says nothing.
func (l *line) plot(blocks []block) {
	n := len(blocks) - 2
	buf := make([]float64, 4*n)
	l.blocks, l.y, l.raw = blocks[1:n+1], buf[:n], buf[n:2*n]
	byTask, byMinute := buf[2*n:3*n], buf[3*n:]
	l.axes[tasks].x, l.axes[minutes].x = byTask, byMinute
	for i := range l.blocks {
		b := &l.blocks[i]
		byTask[i], byMinute[i], l.raw[i] = b.tasks, b.minutes, b.live
		l.y[i] = median(blocks[i].live, b.live, blocks[i+2].live)
	}
}

func median(a, b, c float64) float64 { return max(min(a, b), min(max(a, b), c)) }

// span is how much work a line sees on average.
func span(lines []line, a int) (sum float64) {
	for i := range lines {
		x := lines[i].axes[a].x
		sum += (x[len(x)-1] - x[0]) / float64(len(lines))
	}
	return sum
}

// maxSteps is how many steps a line may have before they are a trend.
const maxSteps = 2

// flatten takes a line's largest steps out: something large that is loaded once
// is not a leak, and must not hide one either.
func (l *line) flatten(a int, floor float64) {
	for range maxSteps {
		i, up := l.step(a)
		if up < floor || !l.abrupt(i) {
			return
		}
		for ; i < len(l.y); i++ {
			l.y[i] -= up
			l.raw[i] -= up
		}
	}
}

// step finds the largest increment beyond the growth of the rest.
func (l *line) step(a int) (at int, up float64) {
	x, n := l.axes[a].x, len(l.y)
	growth, span := l.y[n-1]-l.y[0], x[n-1]-x[0]
	for i := 1; i < n; i++ {
		d, dx := l.y[i]-l.y[i-1], x[i]-x[i-1]
		if dx < span {
			d -= (growth - d) / (span - dx) * dx
		}
		if d > up {
			at, up = i, d
		}
	}
	return at, up
}

// abrupt reports whether increment i stands out from those beside it, as a step
// does; where a cache begins to fill, the next ones are large, too.
func (l *line) abrupt(i int) bool {
	d, beside := l.y[i]-l.y[i-1], 0.0
	if i > 1 {
		beside = l.y[i-1] - l.y[i-2]
	}
	if i+1 < len(l.y) {
		beside = max(beside, l.y[i+1]-l.y[i])
	}
	return d > 3*beside
}

// stepped reports whether the lines still owe most of their growth to steps.
func stepped(lines []line, a int) bool {
	var steps, growth float64
	for i := range lines {
		l := &lines[i]
		_, up := l.step(a)
		steps += up
		growth += l.y[len(l.y)-1] - l.y[0]
	}
	return steps > growth/2
}
