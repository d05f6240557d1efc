package memwatch

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// It has the process to itself.
func TestTrimmer(t *testing.T) {
	debug.FreeOSMemory() // what earlier tests left behind
	trimmer := NewTrimmer()
	if trimmer.Trim() {
		t.Fatal("a heap without overhang was trimmed")
	}
	keep := make([][]byte, 0, 128)
	for range 128 {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		keep = append(keep, b)
	}
	before := RSS()
	runtime.KeepAlive(keep)
	clear(keep)
	if !trimmer.Trim() {
		t.Fatal("128 MB of overhang were not given back")
	}
	if left := before - RSS(); runtime.GOOS == "linux" && left < 96<<20 {
		t.Errorf("got %d MB back, want about 128", left>>20)
	}
	if trimmer.Trim() {
		t.Error("trimmed twice at once")
	}
}

func BenchmarkTrimmer(b *testing.B) {
	t := NewTrimmer()
	for b.Loop() {
		t.Trim()
	}
}
