// Package scale says how many workers a yard needs, and drives what starts and
// ends them.
//
// The plan is arithmetic over what is measured: what arrives, what waits, how
// long a task of each kind takes and how much memory. The Driver follows it. It
// never ends a node that works: it asks the idlest to take no more tasks, waits
// until nothing runs there, and only then has it stopped.
//
// It owns no key and no connection; a Driver's Run ends with its context.
package scale

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Config says how quickly work is to be done, and by how many.
type Config struct {
	// Min and Max bound the number of workers.
	Min, Max int
	// Drain is how soon waiting tasks that somebody waits for are to be gone,
	// BulkDrain how soon those of batches.
	Drain, BulkDrain time.Duration
	// Busy is the part of the slots that steady work may fill: the rest is for
	// what comes in waves.
	Busy float64
	// Memory is the part of a node's memory that tasks may fill.
	Memory float64
	// Hold is how long fewer workers must suffice before one is ended.
	Hold time.Duration
}

// DefaultConfig returns the defaults of the design.
func DefaultConfig() Config {
	return Config{Min: 1, Max: 20, Drain: 15 * time.Second, BulkDrain: 10 * time.Minute, Busy: 0.75, Memory: 0.85, Hold: 3 * time.Minute}
}

// Validate reports every setting that is out of bounds.
func (c Config) Validate() error {
	check := func(ok bool, format string, args ...any) error {
		if ok {
			return nil
		}
		return fmt.Errorf("scale: "+format, args...)
	}
	return errors.Join(
		check(c.Min >= 0 && c.Min <= 1000, "min workers must be from 0 to 1000, got %d", c.Min),
		check(c.Max >= max(1, c.Min) && c.Max <= 1000, "max workers must be from min workers (%d), at least 1, to 1000, got %d", c.Min, c.Max),
		check(c.Drain >= time.Second && c.Drain <= time.Hour, "drain target must be from 1s to 1h, got %s", c.Drain),
		check(c.BulkDrain >= c.Drain && c.BulkDrain <= 24*time.Hour, "bulk drain target must be from the drain target (%s) to 24h, got %s", c.Drain, c.BulkDrain),
		check(c.Busy >= 0.1 && c.Busy <= 1, "busy part must be from 0.1 to 1, got %g", c.Busy),
		check(c.Memory >= 0.1 && c.Memory <= 1, "memory part must be from 0.1 to 1, got %g", c.Memory),
		check(c.Hold >= 0 && c.Hold <= 24*time.Hour, "hold must be from 0s to 24h, got %s", c.Hold))
}

// Load is what a yard has to do, and with what.
type Load struct {
	Kinds []Kind
	// Nodes is how many take tasks now.
	Nodes int
	// NodeMemory is a node's memory limit and NodeBase what it uses without
	// tasks, in bytes; 0 where they are not known.
	NodeMemory, NodeBase int64
}

// Kind is the load of one kind of work.
type Kind struct {
	Name string
	// Waiting and Bulk are tasks that wait now in the two queues.
	Waiting, Bulk int64
	// Arrivals are tasks a second, Seconds what one of them takes.
	Arrivals, Seconds float64
	// Memory is what one of them uses, in bytes; 0 if that is not known.
	Memory int64
	// SlotsPerNode is how many of them a node runs at once.
	SlotsPerNode float64
}

// Plan is how many workers are needed, and what for.
type Plan struct {
	Workers int `json:"desired_workers"`
	// For is the kind that needs most of them, or memory, or min; empty where
	// Max cuts the plan.
	For string `json:"for"`
	// Needed is the number before Min and Max.
	Needed float64 `json:"needed"`
	Kinds  []Need  `json:"kinds"`
}

// Need is what one kind needs.
type Need struct {
	Kind  string  `json:"kind"`
	Slots float64 `json:"slots"`
	Nodes float64 `json:"workers"`
}

// Plan returns how many workers the load needs: for each kind the slots that
// its steady work fills, and those that bring the backlog down in time. A node
// runs all kinds beside one another, so that the kind that needs most nodes
// decides, unless it is the memory of all of them.
func (c Config) Plan(l Load) Plan {
	p := Plan{For: "min", Kinds: make([]Need, 0, len(l.Kinds))}
	memory := 0.0
	for _, k := range l.Kinds {
		steady := k.Arrivals * k.Seconds / c.Busy
		backlog := k.Seconds * max(float64(k.Waiting)/c.Drain.Seconds(), float64(k.Waiting+k.Bulk)/c.BulkDrain.Seconds())
		n := Need{Kind: k.Name, Slots: finite(steady + backlog)}
		n.Nodes = n.Slots / max(1, k.SlotsPerNode)
		memory += n.Slots * float64(k.Memory)
		if n.Nodes > p.Needed {
			p.Needed, p.For = n.Nodes, k.Name
		}
		// Work that nothing is known of, and a single task, need one that looks.
		if k.Waiting+k.Bulk > 0 && p.Needed == 0 {
			p.Needed, p.For = 1, k.Name
		}
		p.Kinds = append(p.Kinds, n)
	}
	if room := c.Memory*float64(l.NodeMemory) - float64(l.NodeBase); l.NodeMemory > 0 && room > 0 && memory/room > p.Needed {
		p.Needed, p.For = memory/room, "memory"
	}
	p.Needed = finite(p.Needed)
	// A hair over a whole number is no reason for one more.
	p.Workers = int(math.Ceil(min(p.Needed, 1e6) - 0.05))
	switch {
	case p.Workers <= c.Min:
		p.Workers = c.Min
	case p.Workers > c.Max:
		p.Workers = c.Max
	}
	return p
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return max(0, v)
}

// Planner steadies plans: more workers are wanted at once, fewer only after
// they have sufficed for Hold.
type Planner struct {
	cfg  Config
	seen []seen // those of the last Hold, each lower than the one before it
}

type seen struct {
	at      time.Time
	workers int
}

// NewPlanner returns a planner without a past.
func NewPlanner(cfg Config) *Planner { return &Planner{cfg: cfg} }

// Plan plans for a load, and keeps the highest number of the last Hold.
func (p *Planner) Plan(l Load, now time.Time) Plan {
	plan := p.cfg.Plan(l)
	for len(p.seen) > 0 && p.seen[len(p.seen)-1].workers <= plan.Workers {
		p.seen = p.seen[:len(p.seen)-1]
	}
	p.seen = append(p.seen, seen{now, plan.Workers})
	for now.Sub(p.seen[0].at) > p.cfg.Hold && len(p.seen) > 1 {
		p.seen = p.seen[1:]
	}
	plan.Workers = p.seen[0].workers
	return plan
}
