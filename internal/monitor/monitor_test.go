package monitor

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no queue limit", func(c *Config) { c.QueueLimit = 0 }, "queue limit must be from 1 to 10000000, got 0"},
		{"no bulk limit", func(c *Config) { c.BulkLimit = -1 }, "bulk queue limit"},
		{"a memory warning in percent", func(c *Config) { c.MemoryWarn = 80 }, "memory warning must be from 0.2 to 0.99 of the limit, got 80"},
		{"samples without a pause", func(c *Config) { c.SampleEvery = 0 }, "sample period"},
		{"a history of one sample", func(c *Config) { c.History = 2 * time.Second }, "history must be from ten sample periods (20s)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := DefaultConfig()
			tt.change(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestMonitor_SeesTheYard(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enqueue("search", 7)
	y.enqueue("search", 1, tasks.WithDelay(time.Hour))
	y.enqueue("document_parse", 5, tasks.WithQueue("bulk"))
	y.node("b", func(n *broker.Node) { n.Kinds["search"] = broker.NodeKind{Slots: 4, Busy: 3, Completed: 10} })
	y.node("a")
	y.node("gone", func(n *broker.Node) { n.State = "stopped" })
	o := y.sample(time.Second)
	if got := o.Queues[0]; got.Name != "search" || got.Waiting != 8 || got.Limit != 500 || got.Counts[tasks.Scheduled] != 1 || got.OldestSeconds < 0 {
		t.Errorf("got queue %+v, want 8 waiting of 500, 1 scheduled", got)
	}
	if got := o.Total; got.Waiting != 13 || got.NodesUp != 2 || got.Slots != 18 || got.Busy != 3 {
		t.Errorf("got total %+v, want 13 waiting, 2 nodes, 3 of 18 slots", got)
	}
	var names []string
	for _, n := range o.Nodes {
		names = append(names, n.ID)
	}
	if got := strings.Join(names, " "); got != "a b gone" {
		t.Errorf("got nodes %q, want them by name, and those that stopped last", got)
	}
	if o.Verdict.Level != OK || len(o.Alerts) != 0 {
		t.Errorf("got %v %v, want no alerts", o.Verdict, o.Alerts)
	}
}

func TestMonitor_RatesComeFromRedis(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.node("a")
	y.sample(0)
	ctx := t.Context()
	y.broker.Client().IncrBy(ctx, broker.QueueKey("search", "processed"), 30)
	y.broker.Client().IncrBy(ctx, broker.QueueKey("search:bulk", "processed"), 10)
	y.broker.Client().IncrBy(ctx, broker.QueueKey("search", "failed"), 4)
	y.node("a", func(n *broker.Node) { n.Kinds["search"] = broker.NodeKind{Slots: 1, Completed: 18, Failed: 2} })
	o := y.sample(2 * time.Second)
	if got := o.Kinds[0]; got.PerSecond != 20 || got.FailedPerSecond != 2 || got.Completed != 36 || got.Failed != 4 {
		t.Errorf("got %+v, want 20/s, 2/s failed, 36 done, 4 failed", got)
	}
	if got := o.Nodes[0].PerSecond; got != 10 {
		t.Errorf("got %g/s of the node, want 10/s", got)
	}
}

func TestMonitor_RedisGoesAndComes(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	y := openYard(t, r.open(t))
	y.enqueue("search", 3)
	y.node("a")
	before := y.sample(0)
	r.stop()
	o := y.sample(2 * time.Second)
	if o.Redis.Up || o.Redis.Error == "" || !o.SampledAt.Equal(before.At) || o.Queues[0].Waiting != 3 {
		t.Errorf("got %+v, want it marked stale with the last figures", o)
	}
	if o.Verdict.Level != Bad || !strings.HasPrefix(o.Verdict.Text, "Redis is away: ") {
		t.Errorf("got verdict %+v, want that Redis is away", o.Verdict)
	}
	y.sample(patience)
	r.start()
	// The pool tries again within a second of its last refusal.
	for deadline := time.Now().Add(10 * time.Second); !o.Redis.Up && time.Now().Before(deadline); {
		o = y.sample(0)
	}
	o = y.sample(steady)
	if !o.Redis.Up || len(o.Alerts) != 0 {
		t.Errorf("got %+v %v, want all well again", o.Redis, o.Alerts)
	}
	if got, err := y.broker.Client().SCard(t.Context(), broker.QueuesKey).Result(); err != nil || got != 8 {
		t.Errorf("got %d queues known to asynq (%v), want 8", got, err)
	}
	if got := strings.Count(y.log.String(), "alert started"); got != 1 {
		t.Errorf("got %d warnings, want 1:\n%s", got, y.log)
	}
}

func TestMonitor_StartsWithoutRedis(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	y := openYard(t, r.open(t))
	r.stop()
	o := y.sample(0)
	if _, err := json.Marshal(o); err != nil || o.Nodes == nil || o.Queues == nil || o.Verdict.Level != Bad {
		t.Errorf("got %+v (%v), want an overview that says so", o, err)
	}
}

func TestMonitor_SeveralAtOnce(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enqueue("search", 2)
	y.node("a")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	for range 3 {
		other := openYard(t, y.broker)
		go func() {
			defer other.monitor.Close()
			ended <- other.monitor.Run(ctx)
		}()
	}
	for range 20 {
		if o := y.sample(time.Second); o.Queues[0].Waiting != 2 {
			t.Errorf("got %d waiting, want 2", o.Queues[0].Waiting)
		}
		y.node("a")
	}
	cancel()
	for range 3 {
		if err := <-ended; err != nil {
			t.Errorf("got %v, want a quiet end", err)
		}
	}
	if y.sample(time.Second); !y.monitor.latest.Load().Redis.Up {
		t.Error("the others' Close closed the shared broker")
	}
}

func TestNatural(t *testing.T) {
	t.Parallel()
	names := []string{"b", "yard-10-1", "yard-2-7", "yard-2", "yard-x", "2", "10", "", "yard-2-11"}
	slices.SortFunc(names, natural)
	if got, want := strings.Join(names, " "), " 2 10 b yard-2 yard-2-7 yard-2-11 yard-10-1 yard-x"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzCleanNodes(f *testing.F) {
	f.Add([]byte(`{"id":"a","cpu_percent":1e300,"rss_bytes":-5,"kinds":{"search":{"slots":-1},"x":{}}}`))
	f.Add([]byte(`{"id":"\u001b[31m","state":"\u202e"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var n broker.Node
		if json.Unmarshal(raw, &n) != nil {
			return
		}
		for _, n := range cleanNodes([]broker.Node{n, n}, time.Now()) {
			if n.ID == "" || len([]rune(n.ID)) > maxName+1 || n.RSS < 0 || n.CPUPercent > 100_000 || len(n.Kinds) > 4 {
				t.Errorf("got %+v", n)
			}
			if strings.ContainsFunc(n.ID+n.Host+n.State+n.Version+n.Isolation, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("a control character stayed in %+v", n)
			}
		}
	})
}

func BenchmarkMonitor_Sample(b *testing.B) {
	y := newYard(b)
	for i := range 10 {
		y.node(string(rune('a' + i)))
	}
	for b.Loop() {
		y.monitor.sample(b.Context())
	}
}
