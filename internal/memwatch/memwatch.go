// Package memwatch reads what a process uses of its machine (memory, CPU,
// goroutines, files) and how much memory it may use.
//
// Reading costs tens of microseconds and nothing runs in the background.
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
	CPUPercent float64 // of one core, since the reading before
	OpenFiles  int
}

// Meter reads the usage of this process.
type Meter struct {
	mu      sync.Mutex
	proc    process
	samples []metrics.Sample
	lastCPU float64
	lastAt  time.Time
}

// NewMeter returns a meter.
func NewMeter() *Meter {
	return &Meter{proc: self(), samples: []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/total:bytes"}}}
}

// Read takes a reading.
func (m *Meter) Read() Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	metrics.Read(m.samples)
	u := Usage{HeapLive: int64(m.samples[0].Value.Uint64()), Goroutines: runtime.NumGoroutine()}
	cpu := m.proc.read(&u)
	if u.RSS == 0 {
		u.RSS = int64(m.samples[1].Value.Uint64()) // the best that is known off Linux
	}
	now := time.Now()
	if passed := now.Sub(m.lastAt).Seconds(); !m.lastAt.IsZero() && passed > 0 {
		u.CPUPercent = max(0, (cpu-m.lastCPU)/passed*100)
	}
	m.lastCPU, m.lastAt = cpu, now
	return u
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
