// Package brokertest gives each test a Redis of its own: a real redis-server on
// a unix socket, started by the same code that demos use.
package brokertest

import (
	"os/exec"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
)

// Start returns a broker on a fresh redis-server. It skips the test where none
// is on PATH.
func Start(tb testing.TB) *broker.Broker {
	tb.Helper()
	return Open(tb, Server(tb, "").URL)
}

// Server starts a redis-server that ends with the test. Fsync is Redis's
// appendfsync; empty means everysec.
func Server(tb testing.TB, fsync string) *broker.Embedded {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Skip("redis-server is not on PATH: apt-get install redis-server")
	}
	e, err := broker.StartEmbedded(tb.Context(), broker.EmbeddedConfig{Dir: tb.TempDir(), Fsync: fsync})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

// Until waits until done reports true, and fails the test if that takes over
// twenty seconds: far more than anything here takes.
func Until(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			tb.Fatalf("not within 20s: %s", what)
		}
	}
}

// Open connects to a server for the time of the test.
func Open(tb testing.TB, url string) *broker.Broker {
	tb.Helper()
	cfg := broker.DefaultConfig()
	cfg.URL = url
	b, err := broker.Open(tb.Context(), cfg, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.Close() })
	return b
}
