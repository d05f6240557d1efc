package memwatch

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
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

// What was alive at the last trim may have been the work itself.
func TestTrimmer_TrimsOnceTheWorkHasEnded(t *testing.T) {
	debug.FreeOSMemory()
	trimmer := NewTrimmer()
	trimmer.Trim()
	work := make([]byte, 40<<20)
	trimmer.Trim() // there is much of it, and it is alive
	runtime.KeepAlive(work)
	trimmer.alive, trimmer.at = 60<<20, time.Time{} // as if there had been more
	if trimmer.fresh = 100 << 20; !trimmer.Trim() {
		t.Error("what ended work has left behind is kept")
	}
	if trimmer.at = (time.Time{}); trimmer.Trim() {
		t.Error("trimmed again though nothing was done")
	}
}

func BenchmarkTrimmer(b *testing.B) {
	t := NewTrimmer()
	for b.Loop() {
		t.Trim()
	}
}
