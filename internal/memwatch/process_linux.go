package memwatch

import "github.com/prometheus/procfs"

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
