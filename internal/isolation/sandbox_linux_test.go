package isolation

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// sandboxed is the config of a pool whose runners are locked in fully. Where
// the kernel has no such locks the test is skipped.
func sandboxed(t *testing.T) Config {
	t.Helper()
	c := testConfig()
	r := newPool(t, c).Report()
	if r.Landlock == 0 || !r.Seccomp {
		t.Skipf("this machine has no full sandbox: %s", r)
	}
	c.Sandbox = Required
	return c
}

// errand is one forbidden thing to do.
type errand struct {
	Do, Path, Address string
	PID               int
}

// probe does it and answers what came of it: "" is success.
func probe(_ context.Context, e errand) (string, error) {
	if err := e.run(); err != nil {
		return err.Error(), nil //nolint:nilerr // the error is the answer
	}
	return "", nil
}

func (e errand) run() error {
	switch e.Do {
	case "open":
		return second(os.Open(e.Path))
	case "stat":
		return second(os.Stat(e.Path))
	case "list":
		return second(os.ReadDir(filepath.Dir(e.Path)))
	case "write":
		return os.WriteFile(e.Path+".new", []byte("x"), 0o600)
	case "connect", "send UDP", "connect by path":
		return e.dial()
	case "listen":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			l.Close()
		}
		return err
	case "exec":
		return exec.Command("/bin/true").Run()
	case "exec itself":
		return exec.Command("/proc/self/exe", "-h").Start()
	case "fork":
		return fork()
	case "ptrace":
		return attach(e.PID)
	case "signal":
		return syscall.Kill(e.PID, 0)
	case "map code":
		return second(syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_ANON|syscall.MAP_PRIVATE))
	case "memory file":
		return second(unix.MemfdCreate("x", 0))
	}
	return errors.New("no such errand")
}

func (e errand) dial() error {
	network := map[string]string{"connect": "tcp", "send UDP": "udp", "connect by path": "unix"}[e.Do]
	conn, err := net.Dial(network, e.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	return second(conn.Write([]byte("out")))
}

// fork makes a child that ends at once.
func fork() error {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return second(syscall.Wait4(int(pid), nil, 0, nil))
}

func attach(pid int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.PtraceAttach(pid); err != nil {
		return err
	}
	_, _ = syscall.Wait4(pid, nil, 0, nil)
	return syscall.PtraceDetach(pid)
}

// Nothing that a runner may not do succeeds in the sandbox, and all of it does
// without: so the test can fail.
func TestSandbox_denies(t *testing.T) {
	t.Parallel()
	c := sandboxed(t)
	locked := newPool(t, c)
	c.Sandbox = Off
	open := newPool(t, c)

	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	victim := exec.Command("/bin/sleep", "60")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { victim.Process.Kill(); _ = victim.Wait() })
	tcp, udp, path := listeners(t)

	for _, e := range []errand{
		{Do: "open", Path: file},
		{Do: "stat", Path: file},
		{Do: "list", Path: file},
		{Do: "write", Path: file},
		{Do: "connect", Address: tcp},
		{Do: "connect by path", Address: path},
		{Do: "listen"},
		{Do: "send UDP", Address: udp},
		{Do: "exec"},
		{Do: "exec itself"},
		{Do: "fork"},
		{Do: "ptrace", PID: victim.Process.Pid},
		{Do: "signal", PID: os.Getpid()},
		{Do: "map code"},
		{Do: "memory file"},
	} {
		t.Run(e.Do, func(t *testing.T) {
			got, err := Remote(locked, "probe", probe)(t.Context(), e)
			if err != nil || !strings.Contains(got, "not permitted") && !strings.Contains(got, "denied") {
				t.Errorf("in the sandbox: got %q, %v, want a refusal", got, err)
			}
			if got, err := Remote(open, "probe", probe)(t.Context(), e); err != nil || got != "" {
				t.Errorf("without the sandbox: got %q, %v, want success", got, err)
			}
		})
	}
}

// listeners are what a runner could talk to.
func listeners(t *testing.T) (tcp, udp, path string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "s") //nolint:usetesting // short: the path of a socket is bounded
	if err != nil {
		t.Fatal(err)
	}
	s, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); u.Close(); s.Close(); os.RemoveAll(dir) })
	return l.Addr().String(), u.LocalAddr().String(), s.Addr().String()
}

// The level is what trying shows, not what was asked for.
func TestReport_judge(t *testing.T) {
	t.Parallel()
	yes, no := func() bool { return true }, func() bool { return false }
	for _, tc := range []struct {
		attempts []attempt
		want     Level
	}{
		{[]attempt{{"a", no}, {"b", no}}, Full},
		{[]attempt{{"a", no}, {"b", yes}}, Partial},
		{[]attempt{{"a", yes}, {"b", yes}}, None},
	} {
		var r Report
		if r.judge(tc.attempts); r.Level != tc.want {
			t.Errorf("got %s, want %s", r, tc.want)
		}
	}
	// This process is not locked in, and its self-test finds that out.
	var r Report
	if r.judge(attempts()); r.Level == Full || len(r.Open) < 8 {
		t.Errorf("got %s for an open process, want most attempts to succeed", r)
	}
}

// A machine without the locks is refused where they are required.
func TestNew_refusesLessThanRequired(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Args = []string{"runner"}
	open := newPool(t, func() Config { c := c; c.Sandbox = Off; return c }())
	if got := open.Level(); got != None {
		t.Errorf("got level %s without a sandbox, want %s", got, None)
	}
	c.Sandbox, c.Args = Required, []string{"unlocked"}
	p, err := New(c, zerolog.Nop(), nil, nil)
	if err == nil {
		p.Close(context.Background())
		t.Fatal("got a pool, want it refused")
	}
	if !strings.Contains(err.Error(), "required") {
		t.Errorf("got %v, want it to say that the sandbox is required", err)
	}
}

// Everything above, and the deaths, as a user without privileges, whatever user
// runs the tests.
func TestUnprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this user has no privileges anyway")
	}
	if testing.Short() {
		t.Skip("repeats other tests")
	}
	sandboxed(t) // else skipped
	const nobody = 65532
	dir, err := os.MkdirTemp("", "unprivileged") //nolint:usetesting // another user must get in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary := filepath.Join(dir, "isolation.test")
	copyFile(t, os.Args[0], binary)
	if err := errors.Join(os.Chmod(dir, 0o755), os.MkdirAll(filepath.Join(dir, "tmp"), 0o777), os.Chmod(filepath.Join(dir, "tmp"), 0o777)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.short", "-test.v", "-test.run", "^Test(Pool|Sandbox|Runner)_")
	cmd.Env = []string{"TMPDIR=" + filepath.Join(dir, "tmp")}
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("as user %d: %v\n%s", nobody, err, out)
	}
	for _, want := range []string{"TestPool_offenders", "TestPool_forkBomb", "TestSandbox_denies"} {
		if !strings.Contains(string(out), "--- PASS: "+want+" ") {
			t.Errorf("as user %d: %s has not passed:\n%s", nobody, want, out)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
