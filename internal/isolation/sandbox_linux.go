package isolation

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// lock gives up all that a task does not need, for good, and reports what is
// left by trying. seccomp is the wall; Landlock stands behind it, and alone
// where seccomp is missing.
func lock() Report {
	var r Report
	if abi, err := llsys.LandlockGetABIVersion(); err != nil {
		r.Missing = append(r.Missing, fmt.Sprintf("Landlock: %v", err))
	} else if err := landlock.V11.BestEffort().Restrict(); err != nil {
		r.Missing = append(r.Missing, fmt.Sprintf("Landlock: %v", err))
	} else {
		r.Landlock = abi
	}
	if err := filterCalls(); err != nil {
		r.Missing = append(r.Missing, fmt.Sprintf("seccomp: %v", err))
	} else {
		r.Seccomp = true
	}
	r.judge(attempts())
	return r
}

// allowed are the system calls of a computing Go program that has opened all it
// needs: memory, threads, clocks, signals to itself, and its open channel. Some
// are there for the C library, in builds that use it.
var allowed = []string{
	"read", "write", "readv", "writev", "close",
	"epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl",
	"munmap", "mremap", "madvise", "mincore", "brk",
	"futex", "nanosleep", "clock_nanosleep", "clock_gettime", "gettimeofday", "time",
	"sched_yield", "sched_getaffinity", "getpid", "gettid", "getrandom",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
	"set_robust_list", "rseq", "membarrier",
	"exit", "exit_group",
}

// conditional are allowed with these arguments only.
func conditional() []seccomp.NameWithConditions {
	when := func(name string, arg uint32, op seccomp.Operation, value uint64) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: name, Conditions: seccomp.ArgumentConditions{{Argument: arg, Operation: op, Value: value}}}
	}
	return []seccomp.NameWithConditions{
		// BitsSet means any of the bits, so ask for this one alone: vfork sets CLONE_VM.
		when("clone", 0, seccomp.BitsSet, unix.CLONE_THREAD),
		when("mmap", 2, seccomp.BitsNotSet, unix.PROT_EXEC),
		when("mprotect", 2, seccomp.BitsNotSet, unix.PROT_EXEC),
		when("tgkill", 0, seccomp.Equal, uint64(os.Getpid())), // preemption
		when("prctl", 0, seccomp.Equal, unix.PR_SET_VMA),      // names of heap areas
	}
}

// filterCalls has every other system call refused with EPERM, in all threads.
func filterCalls() error {
	info, err := arch.GetInfo("")
	if err != nil {
		return fmt.Errorf("find the architecture: %w", err)
	}
	var names []string
	for _, name := range allowed {
		if _, ok := info.SyscallNames[name]; ok { // arm64 has no epoll_wait, for one
			names = append(names, name)
		}
	}
	// no_new_privs belongs to a thread; so does the first filter, until TSYNC.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls: []seccomp.SyscallGroup{
				// The C library takes clone instead, whose flags can be seen.
				{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}},
				{Action: seccomp.ActionAllow, Names: names, NamesWithCondtions: conditional()},
			},
		},
	})
}

// can tells a refusal from every other answer of the kernel: whatever it looked
// at was within reach.
func can(err error) bool {
	for _, refusal := range []error{unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EAFNOSUPPORT} {
		if errors.Is(err, refusal) {
			return false
		}
	}
	return true
}

func attempts() []attempt {
	return []attempt{
		{"open files", func() bool { return canOpen("/dev/null", unix.O_RDONLY) }},
		{"list folders", func() bool { return canOpen("/", unix.O_RDONLY|unix.O_DIRECTORY) }},
		{"write files", func() bool { return canOpen("/dev/null", unix.O_WRONLY) }},
		{"look at files", func() bool { return can(unix.Stat("/", new(unix.Stat_t))) }},
		{"connect", canConnect},
		{"listen", canListen},
		{"send UDP", canSend},
		{"run programs", func() bool { return can(unix.Exec("", []string{""}, nil)) }},
		{"fork", canFork},
		{"trace processes", func() bool { return can(unix.PtraceAttach(-1)) }},
		{"signal its parent", func() bool { return can(unix.Kill(os.Getppid(), 0)) }},
	}
}

func canOpen(path string, flags int) bool {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return can(err)
}

// withSocket reports whether a socket can be had and use is not refused.
func withSocket(kind, protocol int, use func(fd int) error) bool {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return can(err)
	}
	defer unix.Close(fd)
	return can(use(fd))
}

func loopback(port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}
}

func canConnect() bool {
	return withSocket(unix.SOCK_STREAM, 0, func(fd int) error { return unix.Connect(fd, loopback(1)) })
}

// canListen tries multipath TCP as well, which is what Go listens on and which
// Landlock lets through.
func canListen() bool {
	listen := func(fd int) error {
		if err := unix.Bind(fd, loopback(0)); err != nil {
			return err
		}
		return unix.Listen(fd, 1)
	}
	return withSocket(unix.SOCK_STREAM, 0, listen) || withSocket(unix.SOCK_STREAM, unix.IPPROTO_MPTCP, func(fd int) error {
		if err := listen(fd); err != nil {
			return unix.EPERM // without multipath TCP there is nothing to reach
		}
		return nil
	})
}

func canSend() bool {
	return withSocket(unix.SOCK_DGRAM, 0, func(fd int) error { return unix.Sendto(fd, []byte{0}, 0, loopback(9)) })
}

// canFork asks for flags that contradict each other: EINVAL, and no child,
// unless the call is refused.
func canFork() bool {
	_, _, errno := unix.RawSyscall6(unix.SYS_CLONE, unix.CLONE_NEWNS|unix.CLONE_FS, 0, 0, 0, 0, 0)
	return can(errno)
}
