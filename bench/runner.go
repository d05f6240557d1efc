package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/isolation"
)

// runnerCommand makes this program a runner of its own pools.
const runnerCommand = "bench-runner"

// Functions of the runner.
const (
	echoFunc  = "echo"
	nothingFn = "nothing"
	hangFunc  = "hang"
)

func serveRunner() int {
	return isolation.Serve(isolation.Table{
		echoFunc:  isolation.HandleBytes(func(_ context.Context, b []byte) ([]byte, error) { return b, nil }),
		nothingFn: isolation.Handle(noop),
		hangFunc:  isolation.HandleBytes(func(context.Context, []byte) ([]byte, error) { select {} }),
	})
}

func noop(_ context.Context, in string) (string, error) { return in, nil }

// newPool starts runners with all limits watched and the sandbox on, as far as
// this machine has one.
func newPool() (*isolation.Pool, error) {
	c := isolation.DefaultConfig("bench")
	c.Args, c.Recycle.Tasks = []string{runnerCommand}, 1<<30
	return isolation.New(c, zerolog.Nop(), nil, nil)
}

// withPool measures with a pool of its own.
func withPool(measure func(context.Context, *isolation.Pool) ([]float64, error)) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) (figures []float64, err error) {
		p, err := newPool()
		if err != nil {
			return nil, err
		}
		defer closing(func() error { return p.Close(context.WithoutCancel(ctx)) }, &err)
		return measure(ctx, p)
	}
}

// runnerTrial measures what it costs to run a task in another process.
func runnerTrial(n counts) trial {
	sizes := []struct {
		name  string
		bytes int
		times int
	}{{"runner_1kb", 1 << 10, n.trips * 5}, {"runner_100kb", 100 << 10, n.trips * 2}, {"runner_5mb", 5 << 20, n.trips / 10}}
	t := trial{}
	both := func(r row, ours, base func(context.Context) ([]float64, error)) {
		at := len(t.subjects)
		t.subjects = append(t.subjects, subject{"ours " + r.name, nil, ours}, subject{"base " + r.name, nil, base})
		r.less, r.ours, r.base = true, figure{at, 0}, figure{at + 1, 0}
		t.rows = append(t.rows, r)
	}
	const echoes = "runner_1kb, 100kb, 5mb: median time of so many bytes to a sandboxed runner and back, all limits watched; " +
		"base: the same bytes to cat and back, which is what the kernel takes."
	for _, s := range sizes {
		payload := make([]byte, s.bytes)
		both(row{name: s.name, unit: "µs", note: echoes}, withPool(func(ctx context.Context, p *isolation.Pool) ([]float64, error) {
			return medianTime(s.times, func() error {
				reply, err := p.Do(ctx, isolation.Call{Func: echoFunc, Payload: payload})
				if err == nil && len(reply.Payload) != len(payload) {
					err = fmt.Errorf("got %d bytes back of %d", len(reply.Payload), len(payload))
				}
				return err
			})
		}), func(ctx context.Context) ([]float64, error) { return throughCat(ctx, s.times, payload) })
	}
	call := func(p *isolation.Pool, times int) func(context.Context) ([]float64, error) {
		do := isolation.Remote(p, nothingFn, noop)
		return func(ctx context.Context) ([]float64, error) {
			return medianTime(times, func() error { _, err := do(ctx, "x"); return err })
		}
	}
	both(row{name: "runner_overhead", unit: "µs", note: "runner_overhead: median time of a function that does nothing, called through a runner as jobs call theirs; base: inline. Their difference is the price of isolation."},
		withPool(func(ctx context.Context, p *isolation.Pool) ([]float64, error) { return call(p, n.trips*5)(ctx) }), call(isolation.Inline(), n.trips*5))
	both(row{name: "runner_spawn", unit: "ms", note: "runner_spawn: median time from nothing to a runner that is locked in and ready; base: /bin/true, started and waited for."},
		spawns(n.trips/10), trues(n.trips/10))
	both(row{name: "runner_kill_ready", unit: "ms", note: "runner_kill_ready: median time from the kill of the only runner at work until the pool has done the next task, with its spare; base: a runner started then, as without a spare."},
		withPool(kills(n.trips/10)), spawns(n.trips/10))
	return t
}

// medianTime is the median of times in µs.
func medianTime(times int, do func() error) ([]float64, error) {
	took := make([]float64, 0, times)
	for range times {
		start := time.Now()
		if err := do(); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(start))/float64(time.Microsecond))
	}
	return []float64{percentile(took, 50)}, nil
}

// inMS turns µs into ms.
func inMS(figures []float64, err error) ([]float64, error) {
	for i := range figures {
		figures[i] /= 1000
	}
	return figures, err
}

// throughCat sends the bytes to cat and back.
func throughCat(ctx context.Context, times int, payload []byte) (figures []float64, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket pair: %w", err)
	}
	mine, theirs := os.NewFile(uintptr(fds[0]), "mine"), os.NewFile(uintptr(fds[1]), "theirs")
	conn, err := net.FileConn(mine)
	if err := errors.Join(err, mine.Close()); err != nil {
		return nil, errors.Join(err, theirs.Close())
	}
	cmd := exec.CommandContext(ctx, "cat")
	cmd.Stdin, cmd.Stdout = theirs, theirs
	if err := errors.Join(cmd.Start(), theirs.Close()); err != nil {
		return nil, fmt.Errorf("start cat: %w", err)
	}
	defer closing(func() error { return errors.Join(conn.Close(), cmd.Wait()) }, &err)
	back := make([]byte, len(payload))
	return medianTime(times, func() error {
		sent := make(chan error, 1)
		go func() { _, err := conn.Write(payload); sent <- err }()
		_, err := io.ReadFull(conn, back)
		return errors.Join(err, <-sent)
	})
}

func spawns(times int) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) ([]float64, error) {
		took := make([]float64, 0, times)
		for range times {
			start := time.Now()
			p, err := newPool()
			if err != nil {
				return nil, err
			}
			took = append(took, milliseconds(time.Since(start)))
			if err := p.Close(ctx); err != nil {
				return nil, err
			}
		}
		return []float64{percentile(took, 50)}, nil
	}
}

func trues(times int) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) ([]float64, error) {
		return inMS(medianTime(times, func() error { return exec.CommandContext(ctx, "/bin/true").Run() }))
	}
}

// kills kills runners at work, each time with one spare ready.
func kills(times int) func(context.Context, *isolation.Pool) ([]float64, error) {
	return func(ctx context.Context, p *isolation.Pool) ([]float64, error) {
		took := make([]float64, 0, times)
		for range times {
			pid, killed, err := atWork(ctx, p)
			if err != nil {
				return nil, err
			}
			start := time.Now()
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				return nil, fmt.Errorf("kill a runner: %w", err)
			}
			if err := <-killed; err == nil {
				return nil, errors.New("a killed runner gave a result")
			}
			if _, err := p.Do(ctx, isolation.Call{Func: echoFunc}); err != nil {
				return nil, err
			}
			took = append(took, milliseconds(time.Since(start)))
		}
		return []float64{percentile(took, 50)}, nil
	}
}

// atWork has a runner hang and waits until another one is ready beside it.
func atWork(ctx context.Context, p *isolation.Pool) (pid int, ended <-chan error, err error) {
	end := make(chan error, 1)
	go func() {
		_, err := p.Do(ctx, isolation.Call{Func: hangFunc})
		end <- err
	}()
	for {
		busy, idle := 0, 0
		for _, r := range p.Runners() {
			switch r.State {
			case "busy":
				busy = r.PID
			case "idle":
				idle++
			}
		}
		if busy != 0 && idle > 0 {
			return busy, end, nil
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return 0, nil, err
		}
	}
}
