package monitor

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

// testRedis is a redis-server that can be stopped and started again at the
// same address.
type testRedis struct {
	tb  testing.TB
	dir string
	cmd *exec.Cmd
}

func startRedis(tb testing.TB) *testRedis {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Skip("redis-server is not on PATH: apt-get install redis-server")
	}
	r := &testRedis{tb: tb, dir: tb.TempDir()}
	r.start()
	tb.Cleanup(r.stop)
	return r
}

func (r *testRedis) socket() string { return filepath.Join(r.dir, "s") }

func (r *testRedis) start() {
	r.tb.Helper()
	r.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", r.socket(), "--dir", r.dir, "--save", "", "--appendonly", "yes")
	if err := r.cmd.Start(); err != nil {
		r.tb.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: r.socket()})
	defer c.Close()
	for deadline := time.Now().Add(10 * time.Second); c.Ping(r.tb.Context()).Err() != nil; {
		if time.Now().After(deadline) {
			r.tb.Fatal("redis-server did not answer")
		}
	}
}

// stop kills it; twice is fine.
func (r *testRedis) stop() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(syscall.SIGKILL)
	_ = r.cmd.Wait()
	r.cmd = nil
}

func (r *testRedis) open(tb testing.TB) *broker.Broker {
	tb.Helper()
	return brokertest.Open(tb, "unix://"+r.socket())
}

func z(member string) redis.Z {
	return redis.Z{Score: float64(time.Now().UnixMilli()), Member: member}
}
