package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Scripts as Spare, because a full Redis must not make nodes look dead.
const (
	beatSource = `redis.call("UNLINK", KEYS[1]); return redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])`
	seenSource = `redis.call("ZREM", KEYS[1], ""); return redis.call("ZADD", KEYS[1], ARGV[1], ARGV[2])`
)

const (
	nodesKey      = "jobyard:nodes" // sorted set: node id by last heartbeat in ms
	nodeKeyPrefix = "jobyard:node:"
	// HeartbeatEvery is the period of a node's heartbeat.
	HeartbeatEvery = 2 * time.Second
	// NodeSilent is how old a heartbeat may be before its node counts as down.
	NodeSilent = 3 * HeartbeatEvery
	// nodeForget is how long a node that went away is still shown.
	nodeForget = 10 * time.Minute
	// maxNodes bounds how many nodes are read.
	maxNodes = 1000
)

// Node is a worker's heartbeat: what the monitor shows of it. Memory is in
// bytes, CPU in percent of one core.
type Node struct {
	ID          string    `json:"id"`
	Host        string    `json:"host"`
	PID         int       `json:"pid"`
	Version     string    `json:"version"`
	State       string    `json:"state"` // running, draining, drained, stopped
	StartedAt   time.Time `json:"started_at"`
	SeenAt      time.Time `json:"seen_at"`
	RSS         int64     `json:"rss_bytes"`
	HeapLive    int64     `json:"heap_live_bytes"`
	MemoryLimit int64     `json:"memory_limit_bytes"`
	Goroutines  int       `json:"goroutines"`
	CPUPercent  float64   `json:"cpu_percent"`
	OpenFiles   int       `json:"open_files"`
	Threads     int       `json:"threads"`
	Load        float64   `json:"load"` // of the machine, over a minute
	// GCShare is the collector's part of the worker's own CPU time, from 0 to 1,
	// and PauseP99 what all but one in a hundred of its pauses were at most.
	GCShare   float64             `json:"gc_cpu_share"`
	PauseP99  float64             `json:"gc_pause_p99_ms"`
	Isolation string              `json:"isolation"` // full, partial, none
	Budget    NodeBudget          `json:"budget,omitzero"`
	Leaks     []NodeLeak          `json:"leaks,omitempty"`
	Kinds     map[string]NodeKind `json:"kinds"`
	Runners   []NodeRunner        `json:"runners,omitempty"`
	Cache     []NodeTier          `json:"cache,omitempty"`
}

// NodeBudget is how a node admits tasks.
type NodeBudget struct {
	Memory   string `json:"memory"`         // ok, full (nothing is admitted), critical
	Used     int64  `json:"used_bytes"`     // of the limit, by all that shares it
	Reserved int64  `json:"reserved_bytes"` // for what runs, beyond what it has
	Room     int64  `json:"room_bytes"`
	Waiting  int    `json:"waiting"` // tasks that were taken and wait for memory
	// CPU is the share of the node's processors in use over ten seconds; Rest is
	// for how much of its time a slot rests because that is too much, 0 if it is
	// not.
	CPU  float64 `json:"cpu"`
	Rest float64 `json:"slot_rest"`
	// Expected is the peak memory that a task of each kind is expected to have.
	Expected map[string]int64 `json:"expected_bytes,omitempty"`
}

// NodeLeak is what is known of the growth of a kind's runners, or of the worker
// itself under the name "worker". The figures but Live and Ceiling are zero
// without a suspicion.
type NodeLeak struct {
	Kind      string    `json:"kind"`
	Suspected bool      `json:"suspected"`
	Since     time.Time `json:"since,omitzero"`
	// PerMinute is the growth of one process; what it may be is from Low to High.
	PerMinute float64 `json:"bytes_per_minute,omitempty"`
	Low       float64 `json:"bytes_per_minute_low,omitempty"`
	High      float64 `json:"bytes_per_minute_high,omitempty"`
	PerTask   float64 `json:"bytes_per_task,omitempty"`
	Live      int64   `json:"live_bytes"`
	// Ceiling is what one process may use at most; 0 if not known.
	Ceiling int64 `json:"ceiling_bytes,omitempty"`
	// CeilingSeconds is how long it takes from there to the memory ceiling.
	CeilingSeconds int64 `json:"ceiling_seconds,omitempty"`
}

// NodeRunner is one of a node's child processes.
type NodeRunner struct {
	PID        int    `json:"pid"`
	Kind       string `json:"kind"`
	State      string `json:"state"`
	Task       string `json:"task,omitempty"`
	RSS        int64  `json:"rss_bytes"`
	AgeSeconds int64  `json:"age_seconds"`
	Done       int    `json:"tasks_done"`
}

// NodeKind is what a node does of one kind.
type NodeKind struct {
	Slots     int   `json:"slots"`
	Busy      int   `json:"busy"`
	Completed int64 `json:"completed"`
	Failed    int64 `json:"failed"`
	// Sandbox is how well the kind's runners are locked in: full, partial or none;
	// inline if it has no runners.
	Sandbox string `json:"sandbox,omitempty"`
	// Wait and BulkWait are how long tasks of the two queues were pending before
	// an attempt, Run is how long attempts took; all since the node started.
	Wait     Spread `json:"wait,omitempty"`
	BulkWait Spread `json:"bulk_wait,omitempty"`
	Run      Spread `json:"run,omitempty"`
	// RunSeconds is the sum of what Run counts.
	RunSeconds float64 `json:"run_seconds,omitempty"`
	// PeakMemory is what an attempt's runner lately used at most, in bytes; 0
	// for a kind without runners.
	PeakMemory int64 `json:"peak_memory_bytes,omitempty"`
	// Cached counts its lookups for results of equal tasks since the node started.
	Cached NodeCached `json:"cached,omitzero"`
}

// NodeCached counts lookups for results of equal tasks by where one was, and
// those that had to be run.
type NodeCached struct {
	Memory int64 `json:"memory,omitempty"`
	Redis  int64 `json:"redis,omitempty"`
	Disk   int64 `json:"disk,omitempty"`
	Missed int64 `json:"missed,omitempty"`
}

// NodeTier is one tier of a node's cache.
type NodeTier struct {
	Tier   string `json:"tier"`
	Bytes  int64  `json:"bytes"`
	Bound  int64  `json:"bound_bytes"`
	Broken bool   `json:"broken,omitempty"`
	Fault  string `json:"fault,omitempty"` // why, while it is broken
	// Lookups since the node started.
	Hits   int64 `json:"hits,omitempty"`
	Misses int64 `json:"misses,omitempty"`
	Errors int64 `json:"errors,omitempty"`
}

// Takes reports whether the node takes new tasks.
func (n Node) Takes(now time.Time) bool { return n.State == "running" && n.Up(now) }

// Up reports whether the node's heartbeat is fresh.
func (n Node) Up(now time.Time) bool { return n.State != "stopped" && now.Sub(n.SeenAt) <= NodeSilent }

// Busy counts the slots in use over all kinds.
func (n Node) Busy() (busy, slots int) {
	for _, k := range n.Kinds {
		busy, slots = busy+k.Busy, slots+k.Slots
	}
	return busy, slots
}

// PutNode writes a heartbeat.
func (b *Broker) PutNode(ctx context.Context, n Node) error {
	raw, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode heartbeat: %w", err)
	}
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	_, err = b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Eval(ctx, beatSource, []string{nodeKeyPrefix + n.ID}, raw, nodeForget.Milliseconds())
		p.Eval(ctx, seenSource, []string{nodesKey}, n.SeenAt.UnixMilli(), n.ID)
		p.ZRemRangeByScore(ctx, nodesKey, "-inf", fmt.Sprint(n.SeenAt.Add(-nodeForget).UnixMilli()))
		return nil
	})
	return b.Explain(err)
}

// Nodes lists the nodes seen lately, the freshest first.
func (b *Broker) Nodes(ctx context.Context) ([]Node, error) {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	ids, err := b.client.ZRevRange(ctx, nodesKey, 0, maxNodes-1).Result()
	if err != nil {
		return nil, b.Explain(err)
	}
	cmds, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids {
			p.Get(ctx, nodeKeyPrefix+id)
		}
		return nil
	})
	if err := Trouble(cmds, err); err != nil {
		return nil, b.Explain(err)
	}
	nodes := make([]Node, 0, len(cmds))
	for _, cmd := range cmds {
		raw, err := cmd.(*redis.StringCmd).Bytes()
		var n Node
		if err != nil || json.Unmarshal(raw, &n) != nil {
			continue // expired in between, or written by a stranger
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}
