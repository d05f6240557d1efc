package memwatch

import "github.com/prometheus/procfs"

type process struct {
	proc procfs.Proc
	ok   bool
}

func self() process {
	p, err := procfs.Self()
	return process{proc: p, ok: err == nil}
}

// read fills in what /proc tells and returns the CPU time used, in seconds.
func (p process) read(u *Usage) (cpu float64) {
	if !p.ok {
		return 0
	}
	if stat, err := p.proc.Stat(); err == nil {
		u.RSS, cpu = int64(stat.ResidentMemory()), stat.CPUTime()
	}
	if n, err := p.proc.FileDescriptorsLen(); err == nil {
		u.OpenFiles = n
	}
	return cpu
}
