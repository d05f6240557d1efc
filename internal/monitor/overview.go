package monitor

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// Overview is the whole yard at one moment: what /api/overview answers and the
// page shows. It is not changed once it is published.
type Overview struct {
	// At is when was looked, SampledAt when the figures were read: they differ
	// while Redis is away.
	At        time.Time `json:"at"`
	SampledAt time.Time `json:"sampled_at,omitzero"`
	Verdict   Verdict   `json:"verdict"`
	Alerts    []Alert   `json:"alerts"`
	Redis     Redis     `json:"redis"`
	Marks     Marks     `json:"marks"`
	Total     Total     `json:"total"`
	Kinds     []Kind    `json:"kinds"`
	Queues    []Queue   `json:"queues"`
	Nodes     []Node    `json:"nodes"`
	// HiddenNodes counts the nodes over the bound of what is shown.
	HiddenNodes int `json:"hidden_nodes,omitempty"`
}

// Redis tells whether the yard's Redis answers.
type Redis struct {
	Up    bool   `json:"up"`
	Error string `json:"error,omitempty"`
}

// Marks are the parts of a limit from which something is reported.
type Marks struct {
	Queue  float64 `json:"queue"`
	Memory float64 `json:"memory"`
}

// Total sums the yard up.
type Total struct {
	Waiting         int64   `json:"waiting"`
	Active          int64   `json:"active"`
	Archived        int64   `json:"archived"`
	OldestSeconds   float64 `json:"oldest_seconds"`
	Slots           int     `json:"slots"`
	Busy            int     `json:"busy"`
	NodesUp         int     `json:"nodes_up"`
	PerSecond       float64 `json:"per_second"`
	FailedPerSecond float64 `json:"failed_per_second"`
}

// Kind sums up one kind of work over both its queues and all living nodes.
// Completed and Failed count attempts.
type Kind struct {
	Kind            string  `json:"kind"`
	Slots           int     `json:"slots"`
	Busy            int     `json:"busy"`
	Completed       int64   `json:"completed"`
	Failed          int64   `json:"failed"`
	PerSecond       float64 `json:"per_second"`
	FailedPerSecond float64 `json:"failed_per_second"`
}

// Queue is one queue. Waiting is what its limit counts: pending, scheduled and
// retry.
type Queue struct {
	results.Queue
	Kind          string  `json:"kind"`
	Bulk          bool    `json:"bulk"`
	Waiting       int64   `json:"waiting"`
	Limit         int     `json:"limit"`
	OldestSeconds float64 `json:"oldest_seconds"`
}

// Node is one worker by its last heartbeat.
type Node struct {
	broker.Node
	Up         bool    `json:"up"`
	AgeSeconds float64 `json:"age_seconds"`
	Slots      int     `json:"slots"`
	Busy       int     `json:"busy"`
	PerSecond  float64 `json:"per_second"`
}

// silent tells a node that vanished from one that said goodbye.
func (n Node) silent() bool { return !n.Up && n.State != "stopped" }

// overview makes the figures of one look.
func (m *Monitor) overview(y yard) *Overview {
	m.rates.next()
	o := &Overview{At: y.at, SampledAt: y.at, Redis: Redis{Up: true}, Marks: m.marks(), Nodes: []Node{}, HiddenNodes: y.hidden}
	for _, n := range y.nodes {
		o.Nodes = append(o.Nodes, m.node(n, y.at))
	}
	for _, q := range y.queues {
		o.Queues = append(o.Queues, m.queue(q))
	}
	for _, name := range tasks.KindNames() {
		o.Kinds = append(o.Kinds, m.kind(name, o))
	}
	o.Total = total(o)
	return o
}

// stale is what is said while Redis is away: the last figures, and why they
// are not newer.
func (m *Monitor) stale(before *Overview, err error) *Overview {
	o := &Overview{Marks: m.marks(), Kinds: []Kind{}, Queues: []Queue{}, Nodes: []Node{}}
	if before != nil {
		*o = *before
	}
	o.At = m.now()
	o.Redis = Redis{Error: err.Error()}
	return o
}

func (m *Monitor) marks() Marks { return Marks{Queue: queueWarn, Memory: m.cfg.MemoryWarn} }

func (m *Monitor) queue(q results.Queue) Queue {
	kind, bulk := strings.CutSuffix(q.Name, ":bulk")
	return Queue{
		Queue: q, Kind: kind, Bulk: bulk, Waiting: q.Waiting(), Limit: m.cfg.limit(q.Name), OldestSeconds: q.Oldest.Seconds(),
	}
}

func (m *Monitor) node(n broker.Node, at time.Time) Node {
	v := Node{Node: n, Up: n.Up(at), AgeSeconds: max(0, at.Sub(n.SeenAt).Seconds())}
	v.Busy, v.Slots = n.Busy()
	var done int64
	for k := range maps.Values(n.Kinds) {
		done += k.Completed + k.Failed
	}
	v.PerSecond = m.rates.per("node "+n.ID, at, done)
	return v
}

func (m *Monitor) kind(name string, o *Overview) Kind {
	k := Kind{Kind: name}
	for _, q := range o.Queues {
		if q.Kind == name {
			k.Completed += q.Processed - q.Failed
			k.Failed += q.Failed
		}
	}
	for _, n := range o.Nodes {
		if n.Up {
			k.Slots += n.Kinds[name].Slots
			k.Busy += n.Kinds[name].Busy
		}
	}
	k.PerSecond = m.rates.per("kind "+name, o.At, k.Completed+k.Failed)
	k.FailedPerSecond = m.rates.per("failed "+name, o.At, k.Failed)
	return k
}

func total(o *Overview) Total {
	var t Total
	for _, q := range o.Queues {
		t.Waiting += q.Waiting
		t.Active += q.Counts[tasks.Active]
		t.Archived += q.Counts[tasks.Archived]
		t.OldestSeconds = max(t.OldestSeconds, q.OldestSeconds)
	}
	for _, k := range o.Kinds {
		t.Slots += k.Slots
		t.Busy += k.Busy
		t.PerSecond += k.PerSecond
		t.FailedPerSecond += k.FailedPerSecond
	}
	t.NodesUp = len(slices.Collect(o.living()))
	return t
}

// living yields the nodes that are up.
func (o *Overview) living() func(yield func(Node) bool) {
	return func(yield func(Node) bool) {
		for _, n := range o.Nodes {
			if n.Up && !yield(n) {
				return
			}
		}
	}
}
