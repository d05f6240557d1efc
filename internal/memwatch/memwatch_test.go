package memwatch

import (
	"runtime"
	"runtime/debug"
	"testing"
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
	if after.CPUPercent <= 0 || after.Goroutines < 2 || after.OpenFiles < 3 {
		t.Errorf("got %+v, want CPU, goroutines and files above nothing", after)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	if got := Limit(); got < 64<<20 {
		t.Errorf("got %d, want the memory of a machine", got)
	}
}
