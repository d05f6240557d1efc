package monitor

import (
	"time"

	"github.com/jobyard/jobyard/internal/broker"
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
