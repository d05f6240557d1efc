package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// stopwatch measures a stretch of work on a server: by the clock, and by the
// CPU time that it costs, which what else the machine does changes less.
type stopwatch struct {
	server *server
	start  time.Time
	cpu    cpuTimes
	err    error
}

// cpuTimes are what this process and Redis have used so far.
type cpuTimes struct{ self, redis time.Duration }

// watch starts a stopwatch.
func (s *server) watch(ctx context.Context) stopwatch {
	cpu, err := s.cpuTimes(ctx)
	return stopwatch{server: s, start: time.Now(), cpu: cpu, err: err}
}

// figures of n tasks done since the start: tasks a second, and the CPU time in
// µs that each cost this process and Redis.
func (w stopwatch) figures(ctx context.Context, n int) ([]float64, error) {
	took := time.Since(w.start)
	cpu, err := w.server.cpuTimes(ctx)
	if err := errors.Join(w.err, err); err != nil {
		return nil, err
	}
	each := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(n) }
	return []float64{float64(n) / took.Seconds(), each(cpu.self - w.cpu.self), each(cpu.redis - w.cpu.redis)}, nil
}

func (s *server) cpuTimes(ctx context.Context) (cpuTimes, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return cpuTimes{}, fmt.Errorf("read this process's CPU time: %w", err)
	}
	t := cpuTimes{self: time.Duration(u.Utime.Nano() + u.Stime.Nano())}
	for _, field := range []string{"used_cpu_user", "used_cpu_sys"} {
		seconds, err := s.info(ctx, "cpu", field)
		if err != nil {
			return t, err
		}
		t.redis += time.Duration(seconds * float64(time.Second))
	}
	return t, nil
}
