package memwatch

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// trimEvery is the least time between two trims.
	trimEvery = 5 * time.Second
	// overhang is how much a heap may hold beyond twice what was alive.
	overhang = 16 << 20
)

// Trimmer gives memory back that large tasks have left behind: the runtime alone
// keeps it for minutes. A trim collects garbage, which takes some milliseconds
// for each 10 MB alive; it is made only where it is worth that: not for the
// garbage of every day, which stays below twice the live heap, but once the work
// that left more has ended.
type Trimmer struct {
	mu      sync.Mutex
	samples []metrics.Sample
	alive   uint64 // after the last trim
	least   uint64 // that was ever alive after one
	at      time.Time
	// allocated is how much ever was at the last look, and fresh how much of it
	// came after the last trim.
	allocated, fresh uint64
}

// NewTrimmer returns a trimmer, whose first trim is due at any time.
func NewTrimmer() *Trimmer {
	t := new(Trimmer)
	for _, name := range []string{"/memory/classes/heap/objects", "/memory/classes/heap/unused", "/memory/classes/heap/free", "/gc/heap/allocs"} {
		t.samples = append(t.samples, metrics.Sample{Name: name + ":bytes"})
	}
	return t
}

// Trim gives memory back if there is enough of it, and reports whether it did.
// It is called every few seconds.
func (t *Trimmer) Trim() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	objects, all, allocated := t.read()
	if t.alive == 0 {
		t.alive, t.least, t.allocated = objects, objects, allocated
	}
	now := allocated - t.allocated
	t.allocated, t.fresh = allocated, t.fresh+now
	quiet := now < overhang/8 && t.fresh > overhang && all > t.least+overhang
	if !quiet && all <= 2*t.alive+overhang || time.Since(t.at) < trimEvery {
		return false
	}
	runtime.GC() // a sync.Pool lets go at the second collection only
	debug.FreeOSMemory()
	t.alive, _, _ = t.read()
	t.least, t.at, t.fresh = min(t.least, t.alive), time.Now(), 0
	return true
}

// read returns the size of the objects, dead ones included, of all that the heap
// holds, and of all that was ever allocated.
func (t *Trimmer) read() (objects, all, allocated uint64) {
	metrics.Read(t.samples)
	for _, s := range t.samples[:3] {
		all += s.Value.Uint64()
	}
	return t.samples[0].Value.Uint64(), all, t.samples[3].Value.Uint64()
}
