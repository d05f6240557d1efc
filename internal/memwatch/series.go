package memwatch

import (
	"slices"
	"sort"
	"time"
)

// Reading is how much of a process's heap stayed alive over a collection, taken
// while it had nothing to do (a runner between two tasks) or as it comes (the
// worker itself, whose least values are used).
type Reading struct {
	// Kind is what the process works for.
	Kind string
	// Process tells the processes of a kind apart; it may be used again.
	Process int
	// Done is how many tasks the process has done.
	Done int
	// Live is in bytes.
	Live int64
	At   time.Time
}

// block is the least reading of a stretch of work: what was in use for a moment
// is not what stays.
type block struct {
	tasks, minutes float64 // where it begins, since the process's first reading
	at             time.Time
	live           float64
	filled         [curves]float64 // how full caches would be by then
}

// series is the blocks of one process, oldest first; the last one is unfinished.
type series struct {
	process int
	done    int // at the last reading
	origin  Reading
	seen    time.Time
	count   int // of readings
	blocks  []block
}

// add takes a reading and reports whether it has finished a block.
func (s *series) add(r Reading, cfg trendConfig) bool {
	s.seen, s.done = r.At, r.Done
	s.count++
	if r.Done < cfg.skipTasks {
		return false
	}
	b := block{tasks: float64(r.Done), minutes: r.At.Sub(s.origin.At).Minutes(), at: r.At, live: float64(r.Live)}
	if n := len(s.blocks); n > 0 {
		last := &s.blocks[n-1]
		if r.At.Sub(last.at) < cfg.blockTime && (cfg.blockTasks == 0 || b.tasks-last.tasks < float64(cfg.blockTasks)) {
			last.live = min(last.live, b.live)
			return false
		}
	}
	if len(s.blocks) == cfg.blocks {
		s.blocks = slices.Delete(s.blocks, 0, 1)
	}
	if cfg.blockTasks > 0 {
		b.filled = filling(b.tasks / cfg.unitTasks)
	} else {
		b.filled = filling(b.minutes / cfg.unitMinutes)
	}
	s.blocks = append(s.blocks, b)
	return len(s.blocks) > 1
}

// finished are the blocks that nothing can be added to.
func (s *series) finished() []block { return s.blocks[:max(0, len(s.blocks)-1)] }

// since are the finished blocks that begin at cut or later.
func (s *series) since(cut time.Time) []block {
	blocks := s.finished()
	return blocks[sort.Search(len(blocks), func(i int) bool { return !blocks[i].at.Before(cut) }):]
}

// silent reports whether a process has not been heard of for several times as
// long as it takes it, or else one of its kind, to speak up.
func (s *series) silent(now time.Time, usual time.Duration) bool {
	if s.count > 1 {
		usual = s.seen.Sub(s.origin.At) / time.Duration(s.count-1)
	}
	return now.Sub(s.seen) > 4*max(usual, time.Second)
}

// grown is by how much a process's heap has grown since its first block.
func (s *series) grown() int64 {
	if len(s.blocks) == 0 {
		return 0
	}
	return int64(s.blocks[len(s.blocks)-1].live - s.blocks[0].live)
}
