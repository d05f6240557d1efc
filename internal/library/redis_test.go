package library

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a redis-server of the test's own, on a unix socket, with an
// append-only file, so that it can be stopped and started again.
type server struct {
	tb     testing.TB
	dir    string
	cmd    *exec.Cmd
	client redis.UniversalClient
}

func startRedis(tb testing.TB) *server {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Skip("redis-server is not installed")
	}
	s := &server{tb: tb, dir: tb.TempDir()}
	s.client = redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket(), MaxRetries: -1, DialTimeout: time.Second})
	s.start()
	tb.Cleanup(func() {
		_ = s.client.Close()
		s.stop()
	})
	return s
}

func (s *server) socket() string { return filepath.Join(s.dir, "r.sock") }

func (s *server) start() {
	s.tb.Helper()
	s.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", s.socket(), "--dir", s.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always")
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	eventually(s.tb, "redis-server answers", func() bool { return s.client.Ping(s.tb.Context()).Err() == nil })
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// eventually polls until ok, for what gives no signal.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) { //nolint:forbidigo // polls with a deadline
		if time.Now().After(deadline) {
			tb.Fatalf("waited in vain until %s", what)
		}
	}
}
