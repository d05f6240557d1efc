package memwatch

import (
	"math"
	"time"
)

// finding is what the evidence says about a trend.
type finding struct {
	leaking   bool
	byTask    bool     // the slope counts by task, else by minute
	slope     interval // bytes by task or minute
	perMinute float64  // tasks in a minute
}

// judge tests the blocks of all series since cut.
func judge(all []*series, cut time.Time, cfg TrendConfig) finding {
	lines, byTask, rate := gather(all, cut, cfg)
	if lines == nil {
		return finding{}
	}
	sums := make([]moments, len(lines))
	var span, level float64
	for i := range lines {
		l := &lines[i]
		l.level()
		sums[i] = momentsOf(l.x, l.y)
		span += (l.x[len(l.x)-1] - l.x[0]) / float64(len(lines))
		level += sums[i].y / sums[i].n / float64(len(lines))
	}
	least := max(float64(cfg.Floor), cfg.FloorShare*level)
	growth := plain(sums).slope * span
	if growth < least || stepped(lines) {
		return finding{}
	}
	unit := cfg.UnitMinutes
	if byTask {
		unit = cfg.UnitTasks
	}
	for i := range lines {
		lines[i].fill(unit)
	}
	slope, best := leakage(lines, sums, float64(cfg.Noise), cfg.Misfit*growth, float64(cfg.Ceiling), cfg.Z)
	if slope.low*span < least {
		return finding{}
	}
	xs, ys := make([][]float64, len(lines)), make([][]float64, len(lines))
	for i, l := range lines {
		xs[i], ys[i] = l.x, remainder(l, sums[i], l.raw, slope.mid, best)
	}
	found := kendall(xs, ys, cfg.Z)
	if found.z < cfg.Z || found.slope.low <= 0 {
		return finding{}
	}
	return finding{leaking: true, byTask: byTask, perMinute: rate, slope: interval{
		mid: found.slope.mid, low: min(found.slope.low, slope.low), high: max(found.slope.high, slope.high),
	}}
}

// minLine is the fewest blocks of a process that say anything.
const minLine = 5

// gather makes lines of the finished blocks since cut, and chooses what their
// work is measured in: tasks, unless minutes explain the growth far better. It
// returns no lines where there is too little, or nothing that grows.
func gather(all []*series, cut time.Time, cfg TrendConfig) (lines []line, byTask bool, rate float64) {
	var parts [][]block
	total, grows := 0, false
	for _, s := range all {
		blocks := s.finished()
		for len(blocks) > 0 && blocks[0].at.Before(cut) {
			blocks = blocks[1:]
		}
		if n := len(blocks); n >= minLine {
			parts = append(parts, blocks)
			total += n
			first := max(blocks[0].live, blocks[1].live)
			grows = grows || min(blocks[n-1].live, blocks[n-2].live)-first >= float64(cfg.Floor)
		}
	}
	if total < cfg.MinBlocks || !grows {
		return nil, false, 0
	}
	tasks, minutes, done, took := make([]line, len(parts)), make([]line, len(parts)), 0.0, 0.0
	for i, blocks := range parts {
		tasks[i], minutes[i] = newLines(blocks)
		last := blocks[len(blocks)-1]
		done, took = done+last.tasks-blocks[0].tasks, took+last.minutes-blocks[0].minutes
	}
	if took > 0 {
		rate = done / took
	}
	if cfg.BlockTasks == 0 {
		return minutes, false, rate
	}
	return tasks, true, rate
}

// newLines are a process's blocks over tasks and over minutes.
func newLines(blocks []block) (tasks, minutes line) {
	n := len(blocks)
	buf := make([]float64, (4+curves)*n)
	part := func() []float64 { p := buf[:n:n]; buf = buf[n:]; return p }
	tasks = line{x: part(), y: part(), raw: part()}
	minutes = line{x: part(), y: tasks.y, raw: tasks.raw}
	for k := range tasks.curve {
		tasks.curve[k] = part()
	}
	minutes.curve = tasks.curve
	for i, b := range blocks {
		tasks.x[i], minutes.x[i], tasks.raw[i] = b.tasks, b.minutes, b.live
	}
	copy(tasks.y, tasks.raw)
	for i := 1; i < n-1; i++ { // a single outlier says nothing
		tasks.y[i] = median(tasks.raw[i-1], tasks.raw[i], tasks.raw[i+1])
	}
	return tasks, minutes
}

func median(a, b, c float64) float64 { return max(min(a, b), min(max(a, b), c)) }

// unexplained is the share of the lines' variance that a common slope leaves.
func unexplained(lines []line) float64 {
	var xx, xy, yy float64
	for _, l := range lines {
		m := momentsOf(l.x, l.y)
		xx, xy, yy = xx+m.xx, xy+m.xy, yy+m.yy
	}
	if xx == 0 || yy == 0 {
		return 1
	}
	return 1 - xy*xy/(xx*yy)
}

// level takes a line's largest step out: something large that is loaded once
// is not a leak, and must not hide one either. The beginning of a cache is no
// step: there the next increments are large, too.
func (l *line) level() {
	i, up, next := l.step()
	if up <= 3*next {
		return
	}
	for ; i < len(l.y); i++ {
		l.y[i] -= up
		l.raw[i] -= up
	}
}

// step finds the largest increments beyond the line's even growth.
func (l *line) step() (at int, up, next float64) {
	n := len(l.y)
	pace := (l.y[n-1] - l.y[0]) / max(l.x[n-1]-l.x[0], math.SmallestNonzeroFloat64)
	for i := 1; i < n; i++ {
		d := l.y[i] - l.y[i-1] - pace*(l.x[i]-l.x[i-1])
		if d > up {
			at, up, next = i, d, up
		} else {
			next = max(next, d)
		}
	}
	return at, up, next
}

// stepped reports whether the lines still owe most of their growth to steps.
func stepped(lines []line) bool {
	var steps, growth float64
	for i := range lines {
		l := &lines[i]
		_, up, _ := l.step()
		steps += up
		growth += l.y[len(l.y)-1] - l.y[0]
	}
	return steps > growth/2
}

// inMinutes is the slope by minute.
func (f finding) inMinutes() interval {
	if !f.byTask {
		return f.slope
	}
	return interval{mid: f.slope.mid * f.perMinute, low: f.slope.low * f.perMinute, high: f.slope.high * f.perMinute}
}
