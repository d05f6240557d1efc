package memwatch

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// It has the process to itself, and gives back first what other tests have left
// behind: memory that is free but resident would hide the growth.
func TestMeter_Read(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc is Linux's")
	}
	m := NewMeter()
	debug.FreeOSMemory()
	before := m.Read()
	ballast := make([]byte, 64<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	runtime.GC()
	after := m.Read()
	runtime.KeepAlive(ballast)
	if grown := after.RSS - before.RSS; grown < 48<<20 {
		t.Errorf("64 MiB more in use: got RSS growth of %d bytes", grown)
	}
	if grown := after.HeapLive - before.HeapLive; grown < 60<<20 {
		t.Errorf("64 MiB more live: got growth of %d bytes", grown)
	}
	if after.Threads < 2 || after.Load < 0 {
		t.Errorf("got %d threads and load %.2f", after.Threads, after.Load)
	}
	if after.GCShare <= 0 || after.GCShare > 1 || after.PauseP99 <= 0 || after.PauseP99 > time.Minute {
		t.Errorf("collections were forced: got share %.3f and p99 %v of the collector", after.GCShare, after.PauseP99)
	}
	if after.CPUPercent <= 0 || after.Goroutines < 2 || after.OpenFiles < 3 {
		t.Errorf("got %+v, want CPU, goroutines and files above nothing", after)
	}
}

func TestRSS(t *testing.T) {
	t.Parallel()
	if got := RSS(); got < 1<<20 || got > Limit() {
		t.Errorf("got %d bytes", got)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	if got := Limit(); got < 64<<20 {
		t.Errorf("got %d, want the memory of a machine", got)
	}
}

func TestLongest(t *testing.T) {
	t.Parallel()
	inf := math.Inf(1)
	h := &metrics.Float64Histogram{Buckets: []float64{0, 0.001, 0.01, inf}, Counts: []uint64{97, 2, 1}}
	for _, c := range []struct {
		name   string
		before []uint64
		q      float64
		want   time.Duration
	}{
		{"median", nil, 0.5, time.Millisecond},
		{"p99", nil, 0.99, 10 * time.Millisecond},
		{"a bucket without an end", nil, 1, 10 * time.Millisecond},
		{"only what is new", []uint64{97, 2, 0}, 0.5, 10 * time.Millisecond},
		{"nothing new", []uint64{97, 2, 1}, 0.99, 0},
	} {
		if got := longest(h, c.before, c.q); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// BenchmarkMeter is a reading of everything.
func BenchmarkMeter(b *testing.B) {
	m := NewMeter()
	for b.Loop() {
		m.Read()
	}
}
