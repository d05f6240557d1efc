package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
)

// profile begins a CPU profile of this process; the returned function ends it
// and writes Redis's own account of the same time beside it.
func (s subject) profile(ctx context.Context, dir string) (func() error, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the profiles: %w", err)
	}
	path := filepath.Join(dir, strings.ReplaceAll(s.name, " ", "_"))
	f, err := os.Create(path + ".pprof")
	if err != nil {
		return nil, fmt.Errorf("write a profile: %w", err)
	}
	if err := errors.Join(s.server.control.ConfigResetStat(ctx).Err(), pprof.StartCPUProfile(f)); err != nil {
		return nil, errors.Join(fmt.Errorf("begin the profile of %s: %w", s.name, err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		stats, err := s.server.control.Info(ctx, "commandstats").Result()
		return errors.Join(err, f.Close(), os.WriteFile(path+".redis.txt", []byte(stats), 0o644))
	}, nil
}
