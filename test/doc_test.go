// Package test runs the yard as its users do: the real binaries as separate
// processes, on a real Redis, from end to end.
package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/datatest"
)

// binaries is where the programs were built, once for all tests.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "jobyard-bin-")
	if err != nil {
		return "", err
	}
	root, err := filepath.Abs("..")
	if err != nil {
		return dir, err
	}
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", dir, "./cmd/...") // as make build, whose cache serves
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := binaries(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// yard is a Redis with programs around it.
type yard struct {
	t     *testing.T
	redis *broker.Embedded
	bin   string
	env   []string
}

func newYard(t *testing.T, env ...string) *yard {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	datatest.Root(t)
	return &yard{t: t, redis: brokertest.Server(t, ""), bin: bin, env: env}
}

// program is a running process of the yard.
type program struct {
	*exec.Cmd
	log    *os.File
	exited chan error
}

// start runs a program until the test ends.
func (y *yard) start(name string, args ...string) *program {
	y.t.Helper()
	log, err := os.Create(filepath.Join(y.t.TempDir(), name+".log"))
	if err != nil {
		y.t.Fatal(err)
	}
	p := &program{Cmd: y.command(context.Background(), name, args...), log: log, exited: make(chan error, 1)}
	p.Stdout, p.Stderr = log, log
	if err := p.Start(); err != nil {
		y.t.Fatal(err)
	}
	go func() { p.exited <- p.Wait() }()
	y.t.Cleanup(func() {
		_ = p.stop(y.t) // the test that cares has stopped it
		if raw, err := os.ReadFile(log.Name()); err == nil && y.t.Failed() {
			y.t.Logf("%s said:\n%s", name, raw)
		}
	})
	return p
}

// command is a program with nothing in its environment but the yard's Redis.
func (y *yard) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(y.bin, name), args...)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + y.t.TempDir(), "TMPDIR=" + os.TempDir(), "REDIS_URL=" + y.redis.URL,
	}, y.env...)
	return cmd
}

// stop ends a program the gentle way and returns how it ended.
func (p *program) stop(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.exited:
		p.exited <- err
		return err
	default:
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Log(err)
	}
	select {
	case err := <-p.exited:
		p.exited <- err
		return err
	case <-time.After(60 * time.Second):
		t.Errorf("%s did not stop within a minute", p.Path)
		return p.Process.Kill()
	}
}

// kill ends a program as the kernel would.
func (p *program) kill(t *testing.T) {
	t.Helper()
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	err := <-p.exited
	p.exited <- err
}
