package brokertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jobyard/jobyard/internal/broker"
)

// Redis is a redis-server that can fall silent, die, and come back at the same
// address with what its disk held.
type Redis struct {
	// URL is its address, the same through all its lives.
	URL string

	config broker.EmbeddedConfig
	server *broker.Embedded // nil while it is down
}

// OpenRedis starts a redis-server in dir, which must be short enough for a
// socket in it. The settings are lines of redis.conf that win over those of
// the demos' server: append-only file, appendfsync everysec.
func OpenRedis(ctx context.Context, dir string, settings ...string) (*Redis, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("find redis-server: %w", err)
	}
	r := &Redis{config: broker.EmbeddedConfig{Dir: dir, Binary: binary, Socket: filepath.Join(dir, "redis.sock"), Settings: settings}}
	if err := r.Start(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Faulty starts a Redis for the time of the test.
func Faulty(tb testing.TB, settings ...string) *Redis {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Skip("redis-server is not on PATH: apt-get install redis-server")
	}
	dir, err := os.MkdirTemp("", "redis-") //nolint:usetesting // tb.TempDir is too long for a socket
	if err != nil {
		tb.Fatal(err)
	}
	r, err := OpenRedis(tb.Context(), dir, settings...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		r.Kill()
		os.RemoveAll(dir)
	})
	return r
}

// Start starts it again.
func (r *Redis) Start(ctx context.Context) (err error) {
	if r.server != nil {
		return errors.New("redis runs already")
	}
	if r.server, err = broker.StartEmbedded(ctx, r.config); err == nil {
		r.URL = r.server.URL
	}
	return err
}

// Kill ends it as a crash of the process would: what it had not written to the
// kernel is gone.
func (r *Redis) Kill() { r.end(syscall.SIGKILL) }

// Stop ends it the gentle way.
func (r *Redis) Stop() { r.end(syscall.SIGTERM) }

func (r *Redis) end(how syscall.Signal) {
	if r.server == nil {
		return
	}
	syscall.Kill(r.server.PID, how)
	r.server.Close()
	r.server = nil
}

// Freeze makes it silent: connections stay and are even accepted, but nothing
// is answered until Thaw.
func (r *Redis) Freeze() error { return r.signal(syscall.SIGSTOP) }

// Thaw lets it go on; what was sent meanwhile is done now.
func (r *Redis) Thaw() error { return r.signal(syscall.SIGCONT) }

func (r *Redis) signal(s syscall.Signal) error {
	if r.server == nil {
		return errors.New("redis is down")
	}
	return syscall.Kill(r.server.PID, s)
}
