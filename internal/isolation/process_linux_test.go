package isolation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// sleepInKernel blocks its thread in a system call, where no goroutine is woken.
func sleepInKernel() { _ = syscall.Nanosleep(&syscall.Timespec{Sec: 3600}, nil) }

// alive reports whether there is such a process, other than a zombie.
func alive(pid int) bool {
	state, _ := stat(pid)
	return state != "" && state != "Z"
}

// stat reads a process's state and group.
func stat(pid int) (state string, group int) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	group, _ = strconv.Atoi(f[2])
	return f[0], group
}

// members lists the living processes of a group.
func members(group int) (pids []int) {
	names, _ := os.ReadDir("/proc")
	for _, n := range names {
		if pid, err := strconv.Atoi(n.Name()); err == nil {
			if state, g := stat(pid); g == group && state != "Z" {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// children counts the children of this process, dead ones that are not reaped
// included.
func children() (n int) {
	names, _ := os.ReadDir("/proc")
	for _, name := range names {
		b, err := os.ReadFile("/proc/" + name.Name() + "/stat")
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); err == nil && len(f) > 1 && f[1] == strconv.Itoa(os.Getpid()) {
			n++
		}
	}
	return n
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
}

// described is what a runner sees of itself.
type described struct {
	Env, Files []string
	Group      int
	PID        int
	Zone       string
}

func describe(context.Context, echo) (described, error) {
	d := described{Env: os.Environ(), PID: os.Getpid()}
	if zone, err := time.LoadLocation("Europe/Berlin"); err == nil {
		d.Zone = zone.String()
	}
	d.Group, _ = syscall.Getpgid(0)
	names, _ := os.ReadDir("/proc/self/fd")
	for _, n := range names {
		if to, err := os.Readlink("/proc/self/fd/" + n.Name()); err == nil {
			d.Files = append(d.Files, to)
		}
	}
	return d, nil
}

// platformJobs are jobs that need the system.
func platformJobs() Table {
	return Table{
		"fork bomb": Handle(func(_ context.Context, in echo) (int, error) {
			started := 0
			for range 20 {
				if exec.Command("/bin/sleep", "60").Start() == nil {
					started++
				}
			}
			if in.Text == "stay" {
				select {}
			}
			return started, nil
		}),
		"leak files": Handle(func(context.Context, echo) (int, error) {
			for n := 0; ; n++ {
				fd, err := syscall.Dup(2)
				if err != nil {
					return n, fmt.Errorf("runner %d: %w", os.Getpid(), err)
				}
				_ = fd
			}
		}),
		"probe": Handle(probe),
	}
}

// A runner sees nothing of its parent's environment and files.
func TestRunner_inheritsNothing(t *testing.T) {
	t.Parallel()
	// One that Go does not know of, as a supervisor may leave open.
	fd, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	c := testConfig()
	c.Sandbox = Off // to let it look
	p := newPool(t, c)
	d, err := Remote(p, "describe", describe)(t.Context(), echo{})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Env) != 0 {
		t.Errorf("got environment %q, want none", d.Env)
	}
	if d.Group != d.PID {
		t.Errorf("got process group %d, want its own %d", d.Group, d.PID)
	}
	sockets := 0
	for _, to := range d.Files {
		switch {
		case strings.HasPrefix(to, "socket:"):
			sockets++
		case to == "/dev/null", strings.HasPrefix(to, "pipe:"), strings.HasPrefix(to, "anon_inode:"), strings.HasPrefix(to, "/proc/"),
			strings.HasPrefix(to, "/sys/fs/cgroup/"): // the runtime's own, for GOMAXPROCS
		default:
			t.Errorf("inherited %s", to)
		}
	}
	// Standard input and output are /dev/null; standard error is a pipe.
	if nulls := strings.Count(strings.Join(d.Files, " "), "/dev/null"); sockets != 1 || nulls != 2 {
		t.Errorf("got %d sockets and %d /dev/null in %q, want 1 and 2", sockets, nulls, d.Files)
	}
}

// Time zones still work behind the lock.
func TestRunner_knowsTimeZones(t *testing.T) {
	t.Parallel()
	p := newPool(t, testConfig())
	d, err := Remote(p, "describe", describe)(t.Context(), echo{})
	if err != nil || d.Zone != "Europe/Berlin" {
		t.Errorf("got %q, %v, want the zone", d.Zone, err)
	}
}

// Without a sandbox a fork bomb goes off, and goes away with its group.
func TestPool_forkBomb(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Sandbox, c.Slots = Off, 8
	p := newPool(t, c)
	ended := start(t.Context(), p, Call{Func: "fork bomb", Payload: []byte(`{"Text":"stay"}`), Limits: Limits{Wall: 2 * time.Second}})
	group := atWork(t, p)
	eventually(t, "forked", func() bool { return len(members(group)) == 21 })
	neighbors := startNeighbors(t, p, 7)
	if got := reasonOf(t, <-ended); got != tasks.ReasonTimeout {
		t.Errorf("got %s, want %s", got, tasks.ReasonTimeout)
	}
	neighbors()
	eventually(t, "rid of the group", func() bool { return len(members(group)) == 0 })
}

func TestPool_forkBombInSandbox(t *testing.T) {
	t.Parallel()
	p := newPool(t, sandboxed(t))
	if n, err := Remote[echo, int](p, "fork bomb", nil)(t.Context(), echo{}); err != nil || n != 0 {
		t.Errorf("got %d processes, %v, want none", n, err)
	}
}

// A job that uses up its descriptors fails, and its runner is replaced at once.
func TestPool_leakedFiles(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Sandbox, c.Slots = Off, 8
	p := newPool(t, c)
	neighbors := startNeighbors(t, p, 7)
	_, err := p.Do(t.Context(), Call{Func: "leak files", Payload: []byte("{}"), Limits: Limits{Files: 32}})
	if err == nil || !strings.Contains(err.Error(), "too many open files") {
		t.Fatalf("got %v, want too many open files", err)
	}
	neighbors()
	var leaky int
	if _, err := fmt.Sscanf(fault.Of(err).Message, "runner %d", &leaky); err != nil {
		t.Fatal(err)
	}
	eventually(t, "replaced", func() bool { return !alive(leaky) })
}

// The memory ceiling of a task may be raised up to the pool's most, and is cut
// to it.
func TestPool_largerSlot(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Limits.Memory, c.MaxMemory = 64<<20, 256<<20
	p := newPool(t, c)
	job := Remote(p, "keep", keep)
	if _, err := job(t.Context(), 80<<20); reasonOf(t, err) != tasks.ReasonOOM {
		t.Errorf("got %v in the small slot, want %s", err, tasks.ReasonOOM)
	}
	ctx, attempt := WithAttempt(t.Context(), "t", Limits{Memory: 256 << 20})
	if _, err := job(ctx, 80<<20); err != nil {
		t.Errorf("got %v in the larger slot, want success", err)
	}
	if attempt.PeakMemory() < 80<<20 || attempt.CPU() <= 0 {
		t.Errorf("got peak %d and CPU %s, want at least what it used", attempt.PeakMemory(), attempt.CPU())
	}
	ctx, _ = WithAttempt(t.Context(), "t", Limits{Memory: 8 << 30})
	if _, err := job(ctx, 400<<20); reasonOf(t, err) != tasks.ReasonOOM {
		t.Errorf("got %v beyond the most, want %s", err, tasks.ReasonOOM)
	}
}

func second[T any](_ T, err error) error { return err }

// orphanage starts a pool, names its runners and waits.
func orphanage() int {
	c := testConfig()
	c.Spares = 2
	p, err := New(c, zerolog.Nop(), nil, nil)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	for len(p.Runners()) < 2 {
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // the test that started this process has a deadline
	}
	go p.Do(context.Background(), Call{Func: "loop", Payload: []byte("{}")}) //nolint:errcheck // ends with the process
	for _, r := range p.Runners() {
		fmt.Println(r.PID)
	}
	fmt.Println("end")
	time.Sleep(time.Hour) //nolint:forbidigo // waits to be killed
	return 0
}

// Runners die with their parent, also in a loop, also if it is killed.
func TestPool_diesWithParent(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "parent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "end"; {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(lines.Text())
		}
		pids = append(pids, pid)
	}
	cmd.Process.Kill()
	_ = cmd.Wait() // killed
	if len(pids) < 2 {
		t.Fatalf("got runners %v, want two", pids)
	}
	for _, pid := range pids {
		eventually(t, "dead with its parent", func() bool { return !alive(pid) })
	}
}
