package memwatch

import (
	"slices"
	"time"
)

// TrendConfig says what counts as a leak.
type TrendConfig struct {
	// BlockTime and BlockTasks end a block, whichever comes first; 0 tasks means
	// that time alone counts.
	BlockTime  time.Duration
	BlockTasks int
	// SkipTasks is how many tasks a process does before it counts.
	SkipTasks int
	// Blocks is how many are kept of a process, Processes of how many.
	Blocks, Processes int
	// Window is how long a process that is gone counts.
	Window time.Duration
	// MinBlocks is the fewest to judge by, Every after how many to judge anew.
	MinBlocks, Every int
	// Consecutive judgments must agree before a leak is suspected, and Ended
	// before it is over.
	Consecutive, Ended int
	// Floor is the growth of a process that matters, in bytes; FloorShare is
	// the same as a share of its level.
	Floor      int64
	FloorShare float64
	// Z is how many standard errors make a trend: 2.58 is 99 %.
	Z float64
	// Noise is the least error of a reading, in bytes, and Misfit as a share of
	// the growth: no curve of ours is exact.
	Noise  int64
	Misfit float64
	// UnitTasks and UnitMinutes are the shortest time constant of a cache; the
	// longest is 128 times as long.
	UnitTasks, UnitMinutes float64
	// Ceiling is how much a process may use.
	Ceiling int64
	// Replace is the growth at which a process of a leaking kind is replaced.
	Replace int64
}

// RunnerTrend is for processes that come and go and are read when they rest.
func RunnerTrend() TrendConfig {
	return TrendConfig{
		BlockTime: time.Minute, BlockTasks: 16, SkipTasks: 40, Blocks: 64, Processes: 6, Window: 6 * time.Hour,
		MinBlocks: 12, Every: 8, Consecutive: 3, Ended: 3,
		Floor: 4 << 20, FloorShare: 0.05, Z: 3.5, Noise: 150 << 10, Misfit: 0.004,
		UnitTasks: 25, UnitMinutes: 1.5, Ceiling: 384 << 20, Replace: 32 << 20,
	}
}

// ProcessTrend is for one process that lives long and never rests.
func ProcessTrend() TrendConfig {
	return TrendConfig{
		BlockTime: 5 * time.Minute, Blocks: 64, Processes: 1, Window: 6 * time.Hour,
		MinBlocks: 16, Every: 1, Consecutive: 2, Ended: 6,
		Floor: 8 << 20, FloorShare: 0.05, Z: 3, Noise: 500 << 10, Misfit: 0.005,
		UnitMinutes: 2.5, Ceiling: 1 << 30,
	}
}

// SteepTrend finds a leak in one process that would be full before ProcessTrend
// has seen enough.
func SteepTrend() TrendConfig {
	c := ProcessTrend()
	c.BlockTime, c.Blocks, c.MinBlocks = time.Minute, 32, 16
	c.Floor, c.FloorShare, c.UnitMinutes = 64<<20, 0.25, 1
	return c
}

// Trend follows the live heaps of one kind of process. Its memory is bounded by
// its config. It is not safe for use by several goroutines.
type Trend struct {
	cfg    TrendConfig
	series []*series
	fresh  int // blocks since the last judgment
	first  time.Time
	seen   time.Time
	count  int // readings
	streak int // judgments in a row that speak against the state
	open   bool
	since  time.Time
	last   finding // of the last judgment that found a leak
}

// NewTrend returns a trend without readings.
func NewTrend(cfg TrendConfig) *Trend { return &Trend{cfg: cfg} }

// Observe takes a reading and reports whether the suspicion has begun or ended
// with it.
func (t *Trend) Observe(r Reading) (changed bool) {
	if t.count == 0 {
		t.first = r.At
	}
	t.count++
	t.seen = r.At
	s := t.of(r)
	if s == nil || !s.add(r, t.cfg) {
		return false
	}
	if t.fresh++; t.fresh < t.cfg.Every {
		return false
	}
	t.fresh = 0
	return t.decide(t.examine(r.At), r.At)
}

// Suspected reports whether a leak is suspected.
func (t *Trend) Suspected() bool { return t.open }

// Spent reports whether a process of a suspected kind has grown so much that it
// should be replaced.
func (t *Trend) Spent(process int) bool {
	for _, s := range t.series {
		if s.process == process {
			return t.open && t.cfg.Replace > 0 && s.grown() >= t.cfg.Replace
		}
	}
	return false
}

// of returns the series that a reading belongs to, or nil where there are
// enough others.
func (t *Trend) of(r Reading) *series {
	i := slices.IndexFunc(t.series, func(s *series) bool { return s.process == r.Process })
	if i >= 0 && t.series[i].done <= r.Done && !r.At.Before(t.series[i].seen) {
		return t.series[i]
	}
	t.series = slices.DeleteFunc(t.series, func(s *series) bool { return r.At.Sub(s.seen) > t.cfg.Window })
	if len(t.series) >= t.cfg.Processes {
		oldest := slices.MinFunc(t.series, func(a, b *series) int { return a.seen.Compare(b.seen) })
		if !oldest.silent(r.At, t.seen.Sub(t.first)/time.Duration(t.count)*time.Duration(t.cfg.Processes)) {
			return nil
		}
		t.series = slices.DeleteFunc(t.series, func(s *series) bool { return s == oldest })
	}
	if i := slices.IndexFunc(t.series, func(s *series) bool { return s.process == r.Process }); i >= 0 {
		t.series[i].process = gone // its number is used again
	}
	s := &series{process: r.Process, origin: r}
	t.series = append(t.series, s)
	return s
}

// gone is the number of a process whose number another one has.
const gone = -1

// examine judges all the evidence, then the later half, the last quarter and so
// on: a leak may have begun lately, and a cache may be full by now.
func (t *Trend) examine(now time.Time) finding {
	oldest := now
	for _, s := range t.series {
		if b := s.finished(); len(b) > 0 && b[0].at.Before(oldest) {
			oldest = b[0].at
		}
	}
	for span := now.Sub(oldest); span > 0 && t.blocksSince(now.Add(-span)) >= t.cfg.MinBlocks; span /= 2 {
		if f := judge(t.series, now.Add(-span), t.cfg); f.leaking {
			return f
		}
	}
	return finding{}
}

func (t *Trend) blocksSince(cut time.Time) (n int) {
	for _, s := range t.series {
		n += len(s.since(cut))
	}
	return n
}

// decide opens or closes the suspicion after enough judgments that agree.
func (t *Trend) decide(f finding, now time.Time) (changed bool) {
	if f.leaking {
		t.last = f
	}
	if f.leaking == t.open {
		t.streak = 0
		return false
	}
	t.streak++
	need := t.cfg.Consecutive
	if t.open {
		need = t.cfg.Ended
	}
	if t.streak < need {
		return false
	}
	t.open, t.streak, t.since = f.leaking, 0, now
	return true
}
