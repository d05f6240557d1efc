package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

// line finds doctor's line about a check.
func (a answer) line(t *testing.T, check string) string {
	t.Helper()
	for l := range strings.Lines(a.out) {
		if words := strings.Fields(l); len(words) > 1 && words[1] == check {
			return l
		}
	}
	t.Fatalf("nothing about %s:\n%s%s", check, a.out, a.err)
	return ""
}

// Servers that are set up like this, not words about them.
func TestDoctor_FindsHowRedisIsSetUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		settings []string
		code     int
		check    string
		says     []string // in its line
		promise  string
	}{
		{"nothing on disk", []string{"appendonly no"}, 1, "persistence", []string{"fail", "none", "appendonly yes"}, "any restart of Redis loses every task"},
		{"snapshots only", []string{"appendonly no", "save 3600 1"}, 0, "persistence", []string{"warn", "save 3600 1", "appendonly yes"}, "since the last snapshot"},
		{"always", []string{"appendfsync always"}, 0, "persistence", []string{"ok", "appendfsync always"}, "survives a crash of Redis and a power failure"},
		{"every second", []string{"appendfsync everysec"}, 0, "persistence", []string{"ok", "appendfsync everysec"}, "about the last second"},
		{"when the kernel likes", []string{"appendfsync no"}, 0, "persistence", []string{"warn", "appendfsync no", "everysec"}, "often 30 s"},
		{"it evicts", []string{"maxmemory-policy volatile-ttl"}, 1, "eviction", []string{"fail", "volatile-ttl", "noeviction"}, "no acknowledged task is lost"},
		{"its memory is full", []string{"maxmemory 800kb"}, 1, "memory", []string{"fail", "of 800", "raise maxmemory"}, "no acknowledged task is lost"},
		{"no limit of memory", nil, 0, "memory", []string{"warn", "no limit", "maxmemory"}, "as safe as this one disk"},
		{"settings are not told", []string{`rename-command CONFIG ""`}, 0, "persistence", []string{"ok", "appendfsync (not told)"}, "about the last second"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := command(t, brokertest.Faulty(t, tt.settings...).URL, "", "doctor")
			a.want(t, tt.code, tt.promise, "")
			got := a.line(t, tt.check)
			for _, want := range tt.says {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q in it", got, want)
				}
			}
		})
	}
}

// freePort is one that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestDoctor_KnowsReplicas(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	master := brokertest.Faulty(t, fmt.Sprint("port ", port), "bind 127.0.0.1", "repl-diskless-sync-delay 0")
	replica := brokertest.Faulty(t, fmt.Sprint("replicaof 127.0.0.1 ", port))
	b := brokertest.Open(t, master.URL)
	brokertest.Until(t, "the replica has joined", func() bool {
		return strings.Contains(b.Client().Info(t.Context(), "replication").Val(), "state=online")
	})
	a := command(t, master.URL, "", "doctor")
	a.want(t, 0, "A fail-over may lose writes that the replica had not received yet", "")
	if got := a.line(t, "replication"); !strings.Contains(got, "ok") || !strings.Contains(got, "1 replica") {
		t.Errorf("got %q, want one replica", got)
	}
	a = command(t, replica.URL, "", "doctor")
	if got := a.line(t, "replication"); a.code != 1 || !strings.Contains(got, "fail") || !strings.Contains(got, "address of the master") {
		t.Errorf("a replica: got code %d and %q", a.code, got)
	}
	// It takes no tasks, and says so.
	command(t, replica.URL, "", "enqueue", "search", "--payload", `{"query":"x"}`).want(t, 3, "", "address of the master")

	if err := b.Client().ConfigSet(t.Context(), "min-replicas-to-write", "1").Err(); err != nil {
		t.Fatal(err)
	}
	a = command(t, master.URL, "", "doctor")
	a.want(t, 0, "min-replicas-to-write bounds it", "")
	if got := a.line(t, "replication"); !strings.Contains(got, "writes need 1") {
		t.Errorf("got %q, want what writes need", got)
	}
	replica.Kill()
	brokertest.Until(t, "the replica is missed", func() bool {
		return strings.Contains(b.Client().Info(t.Context(), "replication").Val(), "connected_slaves:0")
	})
	a = command(t, master.URL, "", "doctor")
	if got := a.line(t, "replication"); a.code != 1 || !strings.Contains(got, "fail") || !strings.Contains(got, "writes need 1") {
		t.Errorf("too few replicas: got code %d and %q", a.code, got)
	}
	command(t, master.URL, "", "enqueue", "search", "--payload", `{"query":"x"}`).want(t, 3, "", "too few replicas")
}

func TestDoctor_FindsASnapshotThatFailed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := brokertest.Faulty(t, "appendonly no", "save 3600 1", "dir "+dir)
	b := brokertest.Open(t, server.URL)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := b.Client().BgSave(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "the snapshot has failed", func() bool {
		return strings.Contains(b.Client().Info(t.Context(), "persistence").Val(), "rdb_last_bgsave_status:err")
	})
	// It then refuses every write, and even a ping.
	command(t, server.URL, "", "doctor").want(t, 3, "", "cannot save its data and refuses writes")
	command(t, server.URL, "", "enqueue", "search", "--payload", `{"query":"x"}`).want(t, 3, "", "cannot save its data")
	if err := b.Client().ConfigSet(t.Context(), "stop-writes-on-bgsave-error", "no").Err(); err != nil {
		t.Fatal(err)
	}
	a := command(t, server.URL, "", "doctor")
	if got := a.line(t, "persistence"); a.code != 1 || !strings.Contains(got, "fail") || !strings.Contains(got, "disk full") {
		t.Errorf("got code %d and %q", a.code, got)
	}
}

func TestDoctor_MeasuresTheWayToRedis(t *testing.T) {
	t.Parallel()
	proxy := brokertest.Between(t, brokertest.Server(t, "").URL)
	proxy.Slow(20 * time.Millisecond)
	a := command(t, proxy.URL, "", "doctor")
	if got := a.line(t, "latency"); !strings.Contains(got, "warn") && !strings.Contains(got, "fail") || !strings.Contains(got, "p50") {
		t.Errorf("got %q", got)
	}
}

func TestExamine_ComparesTheClocks(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, tt := range []struct {
		ahead time.Duration
		grade grade
	}{{0, ok}, {3 * time.Second, warn}, {-time.Minute, fail}, {time.Hour, fail}} {
		now := func() time.Time { return time.Now().Add(tt.ahead) }
		f, err := examine(context.WithoutCancel(t.Context()), b, c, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := judgeClock(f); got.Grade != tt.grade {
			t.Errorf("%s ahead: got %+v, want %s", tt.ahead, got, tt.grade)
		}
	}
}
