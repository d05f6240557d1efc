package monitor

import (
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// Cached counts what became of lookups for results of equal tasks since this
// monitor looks.
type Cached struct {
	// Door are tasks that were answered as they were handed over.
	Door int64 `json:"door"`
	// Memory, Redis and Disk are those that a worker found in its tiers.
	Memory int64 `json:"memory"`
	Redis  int64 `json:"redis"`
	Disk   int64 `json:"disk"`
	// Missed are those that were run.
	Missed int64 `json:"missed"`
}

// CacheSeen says of when and of what the counts of Cached are.
type CacheSeen struct {
	Since time.Time `json:"since,omitzero"`
	// DoorFault is why those of the door are not known just now.
	DoorFault string `json:"door_fault,omitempty"`
}

// cachedCounts adds up counters of nodes that come and go and start anew, and
// those of the door, so that all are of one span of time and may be compared.
type cachedCounts struct {
	since  time.Time
	door   map[string]int64                        // by kind, as last read
	nodes  map[string]map[string]broker.NodeCached // by node and kind
	totals map[string]*Cached
}

func newCachedCounts() *cachedCounts {
	return &cachedCounts{door: map[string]int64{}, nodes: map[string]map[string]broker.NodeCached{}, totals: map[string]*Cached{}}
}

// observe adds what was counted since the last look.
func (c *cachedCounts) observe(y yard) CacheSeen {
	first := c.since.IsZero()
	if first {
		c.since = y.at
		for _, kind := range tasks.KindNames() {
			c.totals[kind] = &Cached{}
		}
	}
	seen := make(map[string]map[string]broker.NodeCached, len(y.nodes))
	for _, n := range y.nodes {
		seen[n.ID] = c.ofNode(n)
	}
	c.nodes = seen
	if y.doorFault != "" {
		return CacheSeen{Since: c.since, DoorFault: y.doorFault}
	}
	for kind, total := range c.totals {
		var now int64
		for _, queue := range []string{kind, kind + ":bulk"} {
			for _, n := range y.answered[queue] {
				now += n
			}
		}
		if before, known := c.door[kind]; known {
			total.Door += grown(before, now)
		}
		c.door[kind] = now
	}
	return CacheSeen{Since: c.since}
}

// ofNode adds what a node counted. One that is older than this process, and new
// to it, has counted before.
func (c *cachedCounts) ofNode(n broker.Node) map[string]broker.NodeCached {
	before, known := c.nodes[n.ID]
	now := make(map[string]broker.NodeCached, len(n.Kinds))
	for kind, k := range n.Kinds {
		now[kind] = k.Cached
		if total := c.totals[kind]; total != nil && (known || !n.StartedAt.Before(c.since)) {
			was := before[kind]
			total.Memory += grown(was.Memory, k.Cached.Memory)
			total.Redis += grown(was.Redis, k.Cached.Redis)
			total.Disk += grown(was.Disk, k.Cached.Disk)
			total.Missed += grown(was.Missed, k.Cached.Missed)
		}
	}
	return now
}

// grown is by how much a counter grew; one that went back began anew.
func grown(before, now int64) int64 {
	if now < before {
		return now
	}
	return now - before
}

// of returns the counts of a kind.
func (c *cachedCounts) of(kind string) Cached {
	if t := c.totals[kind]; t != nil {
		return *t
	}
	return Cached{}
}

// cleanCached takes impossible figures out of a heartbeat.
func cleanCached(c broker.NodeCached) broker.NodeCached {
	return broker.NodeCached{Memory: max(0, c.Memory), Redis: max(0, c.Redis), Disk: max(0, c.Disk), Missed: max(0, c.Missed)}
}
