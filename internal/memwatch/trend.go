package memwatch

import (
	"slices"
	"time"
)

// trendConfig says what counts as a leak. Sizes are in bytes.
type trendConfig struct {
	// A block ends after so much time or so many tasks, whichever comes first;
	// without tasks time alone counts. A process's first tasks are skipped.
	blockTime             time.Duration
	blockTasks, skipTasks int
	// So many blocks are kept of so many processes, and of one that is gone for
	// so long.
	blocks, processes int
	window            time.Duration
	// It takes so many blocks to judge, so many more to judge anew, and so many
	// judgments in a row to suspect a leak, or to take that back.
	minBlocks, every   int
	consecutive, ended int
	// A process must grow by this much, and by this share of its level.
	floor      int64
	floorShare float64
	// z is how many standard errors a slope is away from what caches explain, and
	// ranks how many make a trend.
	z, ranks float64
	// noise is the least error of a reading; misfit is that of the curves, as a
	// share of the growth.
	noise  int64
	misfit float64
	// The shortest time constant of a cache; the longest is 64 times as long.
	// A cache of more than maxCache is as good as a leak.
	unitTasks, unitMinutes float64
	maxCache               int64
	// replace is the growth at which a process of a leaking kind is replaced.
	replace int64
	// first judges the first blocks of a kind instead; nil if all are alike.
	first *trendConfig
	// until is how many blocks first is for.
	until int
}

// runnerTrend is for processes that come and go and are read when they rest.
func runnerTrend() trendConfig {
	c := trendConfig{
		blockTime: time.Minute, blockTasks: 16, skipTasks: 40, blocks: 96, processes: 8, window: 6 * time.Hour,
		minBlocks: 12, every: 8, consecutive: 3, ended: 3,
		floor: 4 << 20, floorShare: 0.05, z: 3.3, ranks: 3.3, noise: 150 << 10, misfit: 0.008,
		unitTasks: 25, maxCache: 128 << 20, replace: 32 << 20,
	}
	// A new version's leak is to be found in its first thousand tasks. A look this
	// close is affordable once: over hours some cache would come to look like a
	// leak to it.
	closer := c
	closer.blockTasks, closer.minBlocks, closer.every, closer.consecutive = 8, 24, 2, 4
	closer.floor, closer.noise, closer.misfit, closer.z = 2<<20, 15<<10, 0.0015, 4.5
	c.first, c.until = &closer, 96
	return c
}

// processTrend is for one process that lives long and never rests.
func processTrend() trendConfig {
	return trendConfig{
		blockTime: 5 * time.Minute, blocks: 64, processes: 1, window: 6 * time.Hour,
		minBlocks: 16, every: 1, consecutive: 2, ended: 6,
		floor: 8 << 20, floorShare: 0.05, z: 2.6, ranks: 2.6, noise: 500 << 10, misfit: 0.003,
		unitMinutes: 2.5, maxCache: 256 << 20,
	}
}

// steepTrend finds a leak in one process that would be full before processTrend
// has seen enough.
func steepTrend() trendConfig {
	c := processTrend()
	c.blockTime, c.blocks, c.minBlocks = time.Minute, 32, 16
	c.floor, c.floorShare, c.unitMinutes = 64<<20, 0.25, 1
	return c
}

// trend follows the live heaps of one kind of process. A suspicion opens once and
// stays open until the evidence is gone, so that a leak alarms once. Its memory is bounded by
// its config. It is not safe for use by several goroutines.
type trend struct {
	cfg    trendConfig
	series []*series
	fresh  int // blocks since the last judgment
	blocks int // ever
	first  time.Time
	seen   time.Time
	count  int // readings
	streak int // judgments in a row that speak against the state
	open   bool
	since  time.Time
	last   finding // of the last judgment that found a leak
}

// newTrend returns a trend without readings.
func newTrend(cfg trendConfig) *trend { return &trend{cfg: cfg} }

// observe takes a reading and reports whether the suspicion has begun or ended
// with it.
func (t *trend) observe(r Reading) (changed bool) {
	if t.count == 0 {
		t.first = r.At
	}
	t.count++
	t.seen = r.At
	cfg := t.cfg
	if t.blocks < cfg.until {
		cfg = *cfg.first
	}
	s := t.of(r)
	if s == nil || !s.add(r, cfg) {
		return false
	}
	t.blocks++
	if t.fresh++; t.fresh < cfg.every {
		return false
	}
	t.fresh = 0
	return t.decide(t.examine(r.At, cfg), r.At, cfg)
}

// suspected reports whether a leak is suspected.
func (t *trend) suspected() bool { return t.open }

// spent reports whether a process of a suspected kind has grown so much that it
// should be replaced.
func (t *trend) spent(process int) bool {
	for _, s := range t.series {
		if s.process == process {
			return t.open && t.cfg.replace > 0 && s.grown() >= t.cfg.replace
		}
	}
	return false
}

// of returns the series that a reading belongs to, or nil where there are
// enough others.
func (t *trend) of(r Reading) *series {
	i := slices.IndexFunc(t.series, func(s *series) bool { return s.process == r.Process })
	if i >= 0 && t.series[i].done <= r.Done && !r.At.Before(t.series[i].seen) {
		return t.series[i]
	}
	t.series = slices.DeleteFunc(t.series, func(s *series) bool { return r.At.Sub(s.seen) > t.cfg.window })
	if len(t.series) >= t.cfg.processes {
		oldest := slices.MinFunc(t.series, func(a, b *series) int { return a.seen.Compare(b.seen) })
		if !oldest.silent(r.At, t.seen.Sub(t.first)/time.Duration(t.count)*time.Duration(t.cfg.processes)) {
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
func (t *trend) examine(now time.Time, cfg trendConfig) finding {
	oldest := now
	for _, s := range t.series {
		if b := s.finished(); len(b) > 0 && b[0].at.Before(oldest) {
			oldest = b[0].at
		}
	}
	for span := now.Sub(oldest); span > 0 && t.blocksSince(now.Add(-span)) >= cfg.minBlocks; span /= 2 {
		if f := judge(t.series, now.Add(-span), cfg); f.leaking {
			return f
		}
	}
	return finding{}
}

func (t *trend) blocksSince(cut time.Time) (n int) {
	for _, s := range t.series {
		n += len(s.since(cut))
	}
	return n
}

// expire ends a suspicion of which nothing has been heard for long, and reports
// whether it did.
func (t *trend) expire(now time.Time) bool {
	if !t.open || now.Sub(t.seen) <= t.cfg.window {
		return false
	}
	t.open, t.streak, t.since, t.series = false, 0, now, nil
	return true
}

// decide opens or closes the suspicion after enough judgments that agree.
func (t *trend) decide(f finding, now time.Time, cfg trendConfig) (changed bool) {
	if f.leaking {
		t.last = f
	}
	if f.leaking == t.open {
		t.streak = 0
		return false
	}
	t.streak++
	need := cfg.consecutive
	if t.open {
		need = cfg.ended
	}
	if t.streak < need {
		return false
	}
	t.open, t.streak, t.since = f.leaking, 0, now
	return true
}
