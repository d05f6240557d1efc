package monitor

import (
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/monitor/scale"
	"github.com/jobyard/jobyard/internal/results"
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
	// Plan is how many workers the work needs.
	Plan scale.Plan `json:"plan"`
	// Incidents are suspicions of leaks, the open ones first.
	Incidents []Incident `json:"leak_incidents"`
	// Cache says of when the counts of the kinds' results for equal tasks are.
	Cache CacheSeen `json:"cache"`
	// ReadOnly tells that the pages change nothing.
	ReadOnly bool `json:"read_only"`
	// HiddenNodes counts the nodes over the bound of what is shown.
	HiddenNodes int `json:"hidden_nodes,omitempty"`
}

// Marks are the parts of a limit from which something is reported.
type Marks struct {
	Queue  float64 `json:"queue"`
	Memory float64 `json:"memory"`
}

// Total sums the yard up.
type Total struct {
	Waiting       int64   `json:"waiting"`
	Active        int64   `json:"active"`
	Archived      int64   `json:"archived"`
	OldestSeconds float64 `json:"oldest_seconds"`
	Slots         int     `json:"slots"`
	Busy          int     `json:"busy"`
	NodesUp       int     `json:"nodes_up"`
	// NodesTaking counts those that take new tasks: they are up and not asked to
	// drain.
	NodesTaking     int     `json:"nodes_taking"`
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
	// Taking is how many of the slots take new tasks: those of nodes that are not
	// asked to drain.
	Taking int `json:"taking"`
	// ArrivePerSecond is how many tasks come in a second, SecondsPerTask how long
	// one was measured to take lately; 0 if none was.
	ArrivePerSecond float64 `json:"arrive_per_second"`
	SecondsPerTask  float64 `json:"seconds_per_task"`
	// PeakMemory is what a task's runner uses at most, in bytes; 0 if not known.
	PeakMemory int64 `json:"peak_memory_bytes"`
	// Cached counts lookups for results of equal tasks.
	Cached Cached `json:"cached"`
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
	// WaitP50 and WaitP95 are how long tasks waited lately, in seconds.
	WaitP50 float64 `json:"wait_p50_seconds"`
	WaitP95 float64 `json:"wait_p95_seconds"`
	// DrainSeconds is how long the slots take for what waits, if nothing more
	// comes; nil if that is not known, as without slots.
	DrainSeconds *float64 `json:"drain_seconds"`
	// GrowsPerSecond is how quickly it fills, or drains if negative.
	GrowsPerSecond float64 `json:"grows_per_second"`
}

// Node is one worker by its last heartbeat.
type Node struct {
	broker.Node
	Up         bool    `json:"up"`
	AgeSeconds float64 `json:"age_seconds"`
	Slots      int     `json:"slots"`
	Busy       int     `json:"busy"`
	PerSecond  float64 `json:"per_second"`
	// FullInSeconds is when its memory will reach the limit, if it goes on
	// growing as it does; nil if it does not grow steadily.
	FullInSeconds *float64 `json:"full_in_seconds,omitempty"`
}

// silent tells a node that vanished from one that said goodbye.
func (n Node) silent() bool { return !n.Up && n.State != "stopped" }

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
