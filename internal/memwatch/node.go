package memwatch

import (
	"runtime"
	"sync"
	"time"
)

// Node reads how much of the node's memory and processors is in use, by
// whatever shares the limits: the control group that has them, or the machine.
type Node struct {
	limit int64
	host  host

	mu     sync.Mutex
	used   cpuTime
	readAt time.Time
}

// cpuTime is processor time since some point in the past, in seconds: what was
// used, and, where the machine tells, what there was to use.
type cpuTime struct{ busy, all float64 }

// NewNode finds out where the limits are.
func NewNode() *Node {
	n := &Node{limit: Limit(), readAt: time.Now()}
	n.host = newHost("/", n.limit)
	n.used = n.host.cpu()
	return n
}

// Limit is the node's memory in bytes; 0 means unknown.
func (n *Node) Limit() int64 { return n.limit }

// Read returns the memory in use in bytes, without what the kernel only caches,
// and the share of the processors that was in use since the reading before.
func (n *Node) Read() (used int64, cpu float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now, t := time.Now(), n.host.cpu()
	all := t.all - n.used.all
	if t.all == 0 {
		all = now.Sub(n.readAt).Seconds() * n.host.cores
	}
	if all > 0 {
		cpu = min(max((t.busy-n.used.busy)/all, 0), 1)
	}
	n.used, n.readAt = t, now
	return n.host.memory(), cpu
}

// cores is how many processors this process may run on.
func cores() float64 { return float64(runtime.NumCPU()) }
