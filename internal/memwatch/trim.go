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
// for each 10 MB alive; it is made only where it is worth that, and not for the
// garbage of every day, which stays below twice the live heap.
type Trimmer struct {
	mu      sync.Mutex
	samples []metrics.Sample
	alive   uint64 // after the last trim
	at      time.Time
}

// NewTrimmer returns a trimmer, whose first trim is due at any time.
func NewTrimmer() *Trimmer {
	t := new(Trimmer)
	for _, name := range []string{"objects", "unused", "free"} {
		t.samples = append(t.samples, metrics.Sample{Name: "/memory/classes/heap/" + name + ":bytes"})
	}
	return t
}

// Trim gives memory back if there is enough of it, and reports whether it did.
// It is called every few seconds.
func (t *Trimmer) Trim() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	objects, all := t.read()
	if t.alive == 0 {
		t.alive = objects
	}
	if all <= 2*t.alive+overhang || time.Since(t.at) < trimEvery {
		return false
	}
	runtime.GC() // a sync.Pool lets go at the second collection only
	debug.FreeOSMemory()
	t.alive, _ = t.read()
	t.at = time.Now()
	return true
}

// read returns the size of the objects, dead ones included, and of all that the
// heap holds.
func (t *Trimmer) read() (objects, all uint64) {
	metrics.Read(t.samples)
	for _, s := range t.samples {
		all += s.Value.Uint64()
	}
	return t.samples[0].Value.Uint64(), all
}
