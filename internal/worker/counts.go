package worker

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/internal/results"
)

// counts are a lane's figures for the heartbeat.
type counts struct {
	completed, failed atomic.Int64

	mu                  sync.Mutex
	wait, bulkWait, run [broker.SpreadPlaces]int64
	ran                 time.Duration
	peak                float64
	// from counts lookups for the results of equal tasks by the tier that had it,
	// and under "" those that no tier had.
	from map[string]int64
}

// peakMemory is how fast an old peak is forgotten: one of a fiftieth's weight
// for each attempt since.
const peakMemory = 1.0 / 50

// note counts an attempt that ended.
func (c *counts) note(r *run, o results.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := &c.wait
	if strings.HasSuffix(r.queue, ":bulk") {
		wait = &c.bulkWait
	}
	wait[broker.SpreadPlace(r.waited)]++
	if o.Mode == results.Requeue || o.Mode == results.CancelIt {
		return // it says nothing of how long the work takes
	}
	c.run[broker.SpreadPlace(r.took)]++
	c.ran += r.took
	if used := float64(o.PeakMemory); used > 0 {
		c.peak = max(used, c.peak-(c.peak-used)*peakMemory)
	}
}

// looked counts a lookup for the result of an equal task.
func (c *counts) looked(found string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from == nil {
		c.from = map[string]int64{}
	}
	c.from[found]++
}

// kind is what the heartbeat tells of the lane.
func (c *counts) kind(slots, busy int) broker.NodeKind {
	c.mu.Lock()
	defer c.mu.Unlock()
	return broker.NodeKind{
		Slots: slots, Busy: busy, Completed: c.completed.Load(), Failed: c.failed.Load(),
		Wait: trimmed(c.wait[:]), BulkWait: trimmed(c.bulkWait[:]), Run: trimmed(c.run[:]),
		RunSeconds: c.ran.Seconds(), PeakMemory: int64(c.peak),
		Cached: broker.NodeCached{Memory: c.from[cache.InMemory], Redis: c.from[cache.InRedis], Disk: c.from[cache.OnDisk], Missed: c.from[""]},
	}
}

// trimmed copies a spread without the places after its last count.
func trimmed(places []int64) broker.Spread {
	n := len(places)
	for n > 0 && places[n-1] == 0 {
		n--
	}
	return broker.Spread(slices.Clone(places[:n]))
}
