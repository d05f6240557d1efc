package scale

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

// Node is a worker as the driver sees it.
type Node struct {
	ID, Host string
	Busy     int
	Slots    int
	// Takes tells that it takes new tasks, Drained that it was asked not to and
	// that nothing runs there any more.
	Takes, Drained bool
	StartedAt      time.Time
}

// View is a yard at one moment.
type View struct {
	Load  Load
	Nodes []Node // those that are up
}

// Yard is what the driver looks at and asks of.
type Yard struct {
	Look   func(ctx context.Context) (View, error)
	Drain  func(ctx context.Context, node string) error
	Resume func(ctx context.Context, node string) error
}

// Fleet starts and ends workers.
type Fleet struct {
	// Start brings the number of workers to count.
	Start func(ctx context.Context, count int) error
	// Stop ends the one worker that runs on a host.
	Stop func(ctx context.Context, host string) error
}

// Driver keeps the number of workers at the plan. It is used by one goroutine.
type Driver struct {
	planner *Planner
	yard    Yard
	fleet   Fleet
	log     zerolog.Logger
	now     func() time.Time

	asked map[string]bool // nodes that we asked to drain
	told  int             // the plan that was logged last
}

// NewDriver returns a driver that has done nothing yet.
func NewDriver(cfg Config, y Yard, f Fleet, log zerolog.Logger) *Driver {
	return &Driver{planner: NewPlanner(cfg), yard: y, fleet: f, log: log, now: time.Now, asked: map[string]bool{}, told: -1}
}

// Run steps every period until ctx ends. Nodes that it asked to drain by then
// are let go on.
func (d *Driver) Run(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		d.Step(ctx)
		select {
		case <-ctx.Done():
			d.release()
			return nil
		case <-tick.C:
		}
	}
}

// release lets the nodes go on that nobody would stop any more.
func (d *Driver) release() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // the driver's own has ended
	defer cancel()
	for id := range d.asked {
		if err := d.yard.Resume(ctx, id); err != nil {
			d.log.Warn().Err(err).Str("node", id).Msg("node not let go on")
		}
	}
}

// Step looks once and does what is next: at most one thing that takes workers
// away. What cannot be seen is not acted upon.
func (d *Driver) Step(ctx context.Context) {
	v, err := d.yard.Look(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.log.Warn().Err(err).Msg("the yard cannot be seen: nothing is changed")
		}
		return
	}
	d.forget(v)
	plan := d.planner.Plan(v.Load, d.now())
	taking := slices.DeleteFunc(slices.Clone(v.Nodes), func(n Node) bool { return !n.Takes || d.asked[n.ID] })
	if plan.Workers != d.told {
		d.told = plan.Workers
		d.log.Info().Int("wanted", plan.Workers).Int("workers", len(taking)).Str("for", plan.For).Msg("workers wanted")
	}
	if missing := plan.Workers - len(taking); missing > 0 {
		d.grow(ctx, v, missing)
		return
	}
	if d.stopDrained(ctx, v) || len(d.asked) > 0 {
		return
	}
	if len(taking) > plan.Workers {
		d.shrink(ctx, taking)
	}
}

// forget drops what we asked of nodes that are gone.
func (d *Driver) forget(v View) {
	for id := range d.asked {
		if !slices.ContainsFunc(v.Nodes, func(n Node) bool { return n.ID == id }) {
			delete(d.asked, id)
		}
	}
}

// grow lets draining nodes go on, which is quickest, and starts the rest.
func (d *Driver) grow(ctx context.Context, v View, missing int) {
	for _, n := range v.Nodes {
		if missing > 0 && d.asked[n.ID] {
			if err := d.yard.Resume(ctx, n.ID); err != nil {
				d.log.Warn().Err(err).Str("node", n.ID).Msg("node not let go on")
				continue
			}
			delete(d.asked, n.ID)
			missing--
			d.log.Info().Str("node", n.ID).Msg("node let go on")
		}
	}
	if missing == 0 {
		return
	}
	// Counted with those that drain: starting workers must not end any.
	count := len(v.Nodes) + missing
	if err := d.fleet.Start(ctx, count); err != nil {
		d.log.Error().Err(err).Int("workers", count).Msg("workers not started")
	}
}

// stopDrained ends a node of ours on which nothing runs any more.
func (d *Driver) stopDrained(ctx context.Context, v View) bool {
	for _, n := range v.Nodes {
		if !d.asked[n.ID] || !n.Drained || n.Busy > 0 {
			continue
		}
		if err := d.fleet.Stop(ctx, n.Host); err != nil {
			d.log.Error().Err(err).Str("node", n.ID).Msg("worker not stopped: it is let go on")
			if err := d.yard.Resume(ctx, n.ID); err == nil {
				delete(d.asked, n.ID)
			}
			return true
		}
		d.log.Info().Str("node", n.ID).Str("host", n.Host).Msg("idle worker stopped")
		delete(d.asked, n.ID)
		return true
	}
	return false
}

// shrink asks the idlest node to take no more tasks; of those the youngest,
// whose caches hold least.
func (d *Driver) shrink(ctx context.Context, taking []Node) {
	idlest := slices.MinFunc(taking, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Busy, b.Busy), b.StartedAt.Compare(a.StartedAt), cmp.Compare(a.ID, b.ID))
	})
	if err := d.yard.Drain(ctx, idlest.ID); err != nil {
		d.log.Warn().Err(err).Str("node", idlest.ID).Msg("node not asked to drain")
		return
	}
	d.asked[idlest.ID] = true
	d.log.Info().Str("node", idlest.ID).Int("busy", idlest.Busy).Msg("idlest node asked to drain")
}
