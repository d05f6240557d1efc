package memwatch

import (
	"bytes"
	"os"
	"strconv"

	"github.com/prometheus/procfs"
)

// RSS is the resident memory of this process in bytes; 0 means unknown.
func RSS() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if f := bytes.Fields(b); err == nil && len(f) > 1 {
		pages, _ := strconv.ParseInt(string(f[1]), 10, 64)
		return pages * int64(os.Getpagesize())
	}
	return 0
}

type process struct {
	fs   procfs.FS
	proc procfs.Proc
	ok   bool
}

func self() process {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return process{}
	}
	p, err := fs.Self()
	return process{fs: fs, proc: p, ok: err == nil}
}

// read fills in what /proc tells and returns the CPU time used, in seconds.
func (p process) read(u *Usage) (cpu float64) {
	if !p.ok {
		return 0
	}
	if stat, err := p.proc.Stat(); err == nil {
		u.RSS, cpu = int64(stat.ResidentMemory()), stat.CPUTime()
		u.Threads = stat.NumThreads
	}
	if n, err := p.proc.FileDescriptorsLen(); err == nil {
		u.OpenFiles = n
	}
	if load, err := p.fs.LoadAvg(); err == nil {
		u.Load = load.Load1
	}
	return cpu
}
