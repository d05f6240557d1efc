package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// facts are what doctor judges.
type facts struct {
	// Others are a cluster's other masters, of which only what is said of a
	// server is known; Place is then which one this is.
	Others []facts
	Place  string

	Version, Policy    string
	ConfigKnown        bool // CONFIG GET is allowed here
	AOF                bool
	Fsync, Save        string
	AOFError, RDBError bool
	Role               string
	Replicas           int
	MinReplicas        int
	Used, MaxMemory    int64
	PingP50, PingMax   time.Duration
	Skew               time.Duration
	QueuesKnown        int
	QueuesAll          int
	Waiting, Dead      int64
	Paused, Full       []string
	NodesUp, NodesDown int
	Busy, Slots        int
	Unserved           []string // kinds
}

// pings is how many round trips are measured.
const pings = 20

// examine gathers the facts.
func examine(ctx context.Context, b *broker.Broker, c *client.Client, now func() time.Time) (facts, error) {
	f, err := examineServers(ctx, b)
	if err != nil {
		return f, err
	}
	if err := examineLatency(ctx, b, &f); err != nil {
		return f, err
	}
	if err := examineClock(ctx, b, &f, now); err != nil {
		return f, err
	}
	if err := examineQueues(ctx, b, c, &f); err != nil {
		return f, err
	}
	err = examineNodes(ctx, b, &f, now())
	return f, err
}

// examineServers looks at Redis, or at every master of a cluster: one that may
// forget is one too many.
func examineServers(ctx context.Context, b *broker.Broker) (facts, error) {
	cluster, is := b.Client().(*redis.ClusterClient)
	if !is {
		return examineServer(ctx, b, b.Client())
	}
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	var mu sync.Mutex
	var all []facts
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		f, err := examineServer(ctx, b, c)
		f.Place = c.Options().Addr
		mu.Lock()
		defer mu.Unlock()
		all = append(all, f)
		return err
	})
	if err != nil || len(all) == 0 {
		return facts{}, fmt.Errorf("look at the masters: %w", b.Explain(err))
	}
	slices.SortFunc(all, func(a, b facts) int { return strings.Compare(a.Place, b.Place) })
	f := all[0]
	f.Others = all[1:]
	return f, nil
}

func examineServer(ctx context.Context, b *broker.Broker, c redis.Cmdable) (facts, error) {
	var f facts
	if err := examineInfo(ctx, b, c, &f); err != nil {
		return f, err
	}
	err := examineSettings(ctx, b, c, &f)
	return f, err
}

func examineInfo(ctx context.Context, b *broker.Broker, c redis.Cmdable, f *facts) error {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	text, err := c.Info(ctx).Result()
	if err != nil {
		return fmt.Errorf("read INFO: %w", b.Explain(err))
	}
	info := readInfo(text)
	number := func(name string) int64 { n, _ := strconv.ParseInt(info[name], 10, 64); return n }
	f.Version, f.Policy, f.Role = info["redis_version"], info["maxmemory_policy"], info["role"]
	f.AOF = info["aof_enabled"] == "1"
	f.AOFError = info["aof_last_write_status"] == "err" || info["aof_last_bgrewrite_status"] == "err"
	f.RDBError = info["rdb_last_bgsave_status"] == "err"
	f.Replicas = int(number("connected_slaves"))
	f.Used, f.MaxMemory = number("used_memory"), number("maxmemory")
	return nil
}

func readInfo(text string) map[string]string {
	info := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			info[name] = strings.TrimSpace(value)
		}
	}
	return info
}

// examineSettings reads what INFO does not tell. Managed servers often forbid
// it; that is no failure.
func examineSettings(ctx context.Context, b *broker.Broker, c redis.Cmdable, f *facts) error {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	get := func(name string) (string, error) {
		values, err := c.ConfigGet(ctx, name).Result()
		return values[name], err
	}
	fsync, err := get("appendfsync")
	if err != nil {
		var away *broker.UnavailableError
		if err = b.Explain(err); errors.As(err, &away) && !redis.HasErrorPrefix(away.Err, "NOPERM") {
			return fmt.Errorf("read settings: %w", err)
		}
		return nil
	}
	f.ConfigKnown, f.Fsync = true, fsync
	// The first one was allowed, so these are; older servers lack the last.
	f.Save, _ = get("save")
	least, _ := get("min-replicas-to-write")
	f.MinReplicas, _ = strconv.Atoi(least)
	return nil
}

func examineLatency(ctx context.Context, b *broker.Broker, f *facts) error {
	spans := make([]time.Duration, pings)
	for i := range spans {
		start := time.Now()
		if err := b.Ping(ctx); err != nil {
			return err
		}
		spans[i] = time.Since(start)
	}
	slices.Sort(spans)
	f.PingP50, f.PingMax = spans[pings/2], spans[pings-1]
	return nil
}

// examineClock compares Redis's clock with ours in the middle of the question.
func examineClock(ctx context.Context, b *broker.Broker, f *facts, now func() time.Time) error {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	before := now()
	theirs, err := b.Client().Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("read the clock: %w", b.Explain(err))
	}
	after := now()
	f.Skew = theirs.Sub(before.Add(after.Sub(before) / 2))
	return nil
}

func examineQueues(ctx context.Context, b *broker.Broker, c *client.Client, f *facts) error {
	queues, err := c.Queues(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	known, err := b.Client().SMembers(ctx, broker.QueuesKey).Result()
	if err != nil {
		return fmt.Errorf("read queues: %w", b.Explain(err))
	}
	f.QueuesAll = len(queues)
	for _, q := range queues {
		if slices.Contains(known, q.Name) {
			f.QueuesKnown++
		}
		if q.Paused {
			f.Paused = append(f.Paused, q.Name)
		}
		if q.Waiting()*10 >= int64(c.Limit(q.Name))*9 {
			f.Full = append(f.Full, q.Name)
		}
		f.Waiting += q.Waiting()
		f.Dead += q.Counts[tasks.Archived]
	}
	return nil
}

func examineNodes(ctx context.Context, b *broker.Broker, f *facts, now time.Time) error {
	nodes, err := b.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("read nodes: %w", err)
	}
	served := map[string]bool{}
	for _, n := range nodes {
		if !n.Up(now) {
			f.NodesDown++
			continue
		}
		f.NodesUp++
		busy, slots := n.Busy()
		f.Busy, f.Slots = f.Busy+busy, f.Slots+slots
		for kind, k := range n.Kinds {
			served[kind] = served[kind] || k.Slots > 0
		}
	}
	for _, kind := range tasks.KindNames() {
		if !served[kind] {
			f.Unserved = append(f.Unserved, kind)
		}
	}
	return nil
}
