// Package memwatch reads what a process and its node use (memory, CPU,
// goroutines, files), admits tasks only as far as memory and processors last
// (Budget), and finds the kind of task that leaks (Detector).
//
// It promises bounded memory and bounded time: reading costs tens of
// microseconds, a kind under watch about 100 KB, and nothing runs in the
// background.
package memwatch

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Usage is one reading. Memory is in bytes.
type Usage struct {
	RSS        int64
	HeapLive   int64 // live after the last collection
	Goroutines int
	Threads    int
	CPUPercent float64 // of one core, since the reading before
	OpenFiles  int
	// GCShare is the collector's part, from 0 to 1, of the CPU time that the
	// process has used in the last minute or two; PauseP99 is how long all but
	// one in a hundred of its pauses were at most in that time.
	GCShare  float64
	PauseP99 time.Duration
	// Load is the machine's load average over a minute.
	Load float64
}

// The runtime's figures, in the order in which they are read.
const (
	heapLive = iota
	totalMemory
	threads
	gcCPU
	idleCPU
	allCPU
	gcPauses
	figures
)

// Meter reads the usage of this process.
type Meter struct {
	mu      sync.Mutex
	proc    process
	samples []metrics.Sample
	lastCPU float64
	lastAt  time.Time
	// What the collector had used at two times in the past: shares are counted
	// from the older one, so that they cover a minute or two.
	older, newer collected
}

// collected is what the collector had used at some time since the start.
type collected struct {
	at       time.Time
	gc, used float64 // CPU seconds
	pauses   []uint64
}

// NewMeter returns a meter.
func NewMeter() *Meter {
	m := &Meter{proc: self(), samples: make([]metrics.Sample, figures)}
	for i, name := range [figures]string{
		heapLive: "/gc/heap/live:bytes", totalMemory: "/memory/classes/total:bytes", threads: "/sched/threads/total:threads",
		gcCPU: "/cpu/classes/gc/total:cpu-seconds", idleCPU: "/cpu/classes/idle:cpu-seconds",
		allCPU: "/cpu/classes/total:cpu-seconds", gcPauses: "/sched/pauses/total/gc:seconds",
	} {
		m.samples[i].Name = name
	}
	return m
}

// Read takes a reading.
func (m *Meter) Read() Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	metrics.Read(m.samples)
	u := Usage{
		HeapLive: int64(m.samples[heapLive].Value.Uint64()), Threads: int(m.samples[threads].Value.Uint64()),
		Goroutines: runtime.NumGoroutine(),
	}
	cpu := m.proc.read(&u)
	if u.RSS == 0 {
		u.RSS = int64(m.samples[totalMemory].Value.Uint64()) // the best that is known off Linux
	}
	now := time.Now()
	if passed := now.Sub(m.lastAt).Seconds(); !m.lastAt.IsZero() && passed > 0 {
		u.CPUPercent = max(0, (cpu-m.lastCPU)/passed*100)
	}
	m.lastCPU, m.lastAt = cpu, now
	u.GCShare, u.PauseP99 = m.collector(now)
	return u
}

// collector is the part of the collector since the older of the two times.
func (m *Meter) collector(now time.Time) (share float64, p99 time.Duration) {
	pauses := m.samples[gcPauses].Value.Float64Histogram()
	used := m.samples[allCPU].Value.Float64() - m.samples[idleCPU].Value.Float64()
	gc := m.samples[gcCPU].Value.Float64()
	if used > m.older.used {
		share = min(max((gc-m.older.gc)/(used-m.older.used), 0), 1)
	}
	p99 = longest(pauses, m.older.pauses, 0.99)
	if now.Sub(m.newer.at) >= time.Minute {
		m.older, m.newer = m.newer, collected{at: now, gc: gc, used: used, pauses: append([]uint64(nil), pauses.Counts...)}
	}
	return share, p99
}

// longest is the upper bound of all but the longest of the values that were
// counted since before.
func longest(h *metrics.Float64Histogram, before []uint64, q float64) time.Duration {
	count := func(i int) uint64 {
		if i < len(before) {
			return h.Counts[i] - before[i]
		}
		return h.Counts[i]
	}
	var all, sum uint64
	for i := range h.Counts {
		all += count(i)
	}
	for i := range h.Counts {
		sum += count(i)
		if all > 0 && float64(sum) >= q*float64(all) {
			edge := h.Buckets[i+1]
			if edge > 1e6 { // the last bucket has no end
				edge = h.Buckets[i]
			}
			return time.Duration(edge * float64(time.Second))
		}
	}
	return 0
}

// Limit returns how much memory this process may use: its control group's
// limit, or else the machine's memory. Zero means unknown.
func Limit() int64 {
	for _, from := range []memlimit.Provider{memlimit.FromCgroup, memlimit.FromSystem} {
		if n, err := from(); err == nil && n > 0 && n < 1<<60 {
			return int64(n)
		}
	}
	return 0
}
