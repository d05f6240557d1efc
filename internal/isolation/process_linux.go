package isolation

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// attributes give the child a process group of its own, to be killed as one,
// and end it with the thread that forks it: see spawner.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// closeInherited marks all that this process was started with, and does not
// know of, to stay out of its children. Go's own descriptors are marked already.
func closeInherited() {
	_ = unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC) // since Linux 5.11; without it nothing is lost but this
}

// awaitExit returns when the process has ended and can still be killed safely:
// as long as it is not reaped, nobody else gets its number.
func awaitExit(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// meter reads what a child uses and sets what it may use.
type meter struct {
	pid    int
	statm  *os.File // kept open: reading it takes 5 µs, opening it 20
	clock  int32
	page   int64
	memory int64 // the ceiling in force
	files  int
}

// dataSlack is added to the ceiling for the hard limit: a binary of 31 MB was
// measured to map 58 MB of data beyond what it uses, and the watch over the
// resident memory should come first where it can.
const dataSlack = 96 << 20

// newMeter bounds the fresh child, which cannot raise its hard limits again.
func newMeter(pid int, c Config) (*meter, error) {
	statm, err := os.Open("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return nil, fmt.Errorf("open the child's memory figures: %w", err)
	}
	// CPUCLOCK_SCHED of a whole process: clock_getcpuclockid in the C library.
	m := &meter{pid: pid, statm: statm, clock: int32(^pid<<3 | 2), page: int64(os.Getpagesize())}
	m.memory, m.files = c.Limits.Memory, c.Limits.Files
	most := max(c.MaxMemory, c.Limits.Memory)
	err = errors.Join(
		m.setrlimit(unix.RLIMIT_CORE, 0, 0),
		m.setrlimit(unix.RLIMIT_NOFILE, c.Limits.Files, c.Limits.Files),
		m.setrlimit(unix.RLIMIT_DATA, int(c.Limits.Memory+dataSlack), int(most+dataSlack)),
		os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte("1000"), 0),
	)
	if err != nil {
		_ = statm.Close()
		return nil, fmt.Errorf("bound the child: %w", err)
	}
	return m, nil
}

// bound sets the limits of one task, within the hard ones.
func (m *meter) bound(l Limits, most int64) error {
	if l.Memory != m.memory {
		if err := m.setrlimit(unix.RLIMIT_DATA, int(l.Memory+dataSlack), int(max(most, l.Memory)+dataSlack)); err != nil {
			return err
		}
		m.memory = l.Memory
	}
	if l.Files != m.files {
		if err := m.softFiles(l.Files); err != nil {
			return err
		}
		m.files = l.Files
	}
	return nil
}

func (m *meter) softFiles(n int) error {
	var now unix.Rlimit
	if err := unix.Prlimit(m.pid, unix.RLIMIT_NOFILE, nil, &now); err != nil {
		return fmt.Errorf("read the child's limit: %w", err)
	}
	return m.setrlimit(unix.RLIMIT_NOFILE, n, int(now.Max))
}

func (m *meter) setrlimit(resource, soft, hard int) error {
	if resource == unix.RLIMIT_DATA && raceDetector {
		return nil // its shadow memory is terabytes of data
	}
	if err := unix.Prlimit(m.pid, resource, &unix.Rlimit{Cur: uint64(soft), Max: uint64(hard)}, nil); err != nil {
		return fmt.Errorf("set limit %d to %d: %w", resource, soft, err)
	}
	return nil
}

// rss is the resident memory in bytes; 0 if the child is gone.
func (m *meter) rss() int64 {
	var buf [96]byte
	n, _ := m.statm.ReadAt(buf[:], 0)
	fields := bytes.Fields(buf[:n])
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * m.page
}

// cpu is the processor time the child has used; 0 if it is gone.
func (m *meter) cpu() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(m.clock, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// open is how many descriptors the child has open.
func (m *meter) open() int {
	names, err := os.ReadDir("/proc/" + strconv.Itoa(m.pid) + "/fd")
	if err != nil {
		return 0
	}
	return len(names)
}

func (m *meter) close() { _ = m.statm.Close() }

// peakOf is the highest resident memory of an ended process.
func peakOf(u *syscall.Rusage) int64 { return u.Maxrss << 10 }

// kernelKills counts the processes that the kernel has killed for want of
// memory, on this machine.
func kernelKills() int64 {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	_, after, ok := bytes.Cut(b, []byte("\noom_kill "))
	if !ok {
		return 0
	}
	line, _, _ := bytes.Cut(after, []byte("\n"))
	n, _ := strconv.ParseInt(string(line), 10, 64)
	return n
}
