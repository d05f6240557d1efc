package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/isolation"
	"github.com/jobyard/jobyard/internal/jobs/configgen"
	"github.com/jobyard/jobyard/internal/jobs/documentparse"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch"
	"github.com/jobyard/jobyard/internal/memwatch"
	"github.com/jobyard/jobyard/tasks"
)

// Names of the functions that run in runners.
const (
	parseFunc    = "parse"
	generateFunc = "generate"
	extractFunc  = "extract"
)

// runnerCommand is the hidden command by which the own binary becomes a runner.
const runnerCommand = "runner"

// ServeRunner serves as a runner if the arguments ask for one, and returns its
// exit code. Every main that runs a worker calls it first.
func ServeRunner(args []string) (code int, is bool) {
	if len(args) != 2 || args[0] != runnerCommand {
		return 0, false
	}
	table := isolation.Table{}
	switch args[1] {
	case tasks.DocumentParse.Name():
		table[parseFunc] = isolation.Handle(documentparse.Parse)
	case tasks.SDKFetch.Name():
		table[extractFunc] = isolation.Handle(sdkfetch.Extract)
	case tasks.ConfigGen.Name():
		generator, err := configgen.New()
		if err != nil {
			return 2, true
		}
		table[generateFunc] = isolation.Handle(generator.Handle)
	}
	return isolation.Serve(table), true
}

// Runners are the pools of the kinds whose work is done in child processes. A
// kind without one runs inline.
type Runners struct {
	pools  map[string]*isolation.Pool
	memory int64 // the ceiling of each
	leaks  *memwatch.Detector
}

// isolated are the kinds that have runners. Search has none, because the index
// is the node's own.
var isolated = []string{tasks.DocumentParse.Name(), tasks.SDKFetch.Name(), tasks.ConfigGen.Name()}

// openRunners starts the pools of the isolated kinds that have slots.
func openRunners(cfg RegistryConfig, log zerolog.Logger, reg prometheus.Registerer) (*Runners, error) {
	r := &Runners{pools: map[string]*isolation.Pool{}, memory: cfg.JobMemory}
	ceilings := map[string]int64{itself: memwatch.Limit()}
	for _, kind := range isolated {
		ceilings[kind] = cfg.JobMemory
	}
	r.leaks = memwatch.NewDetector(ceilings, tellLeaks(log))
	if cfg.Inline {
		log.Warn().Msg("isolation is off: jobs run in the worker's own process")
		return r, nil
	}
	metrics := isolation.NewMetrics(reg)
	for _, kind := range isolated {
		slots := cfg.Slots[kind]
		if slots == 0 {
			continue
		}
		c := isolation.DefaultConfig(kind)
		c.Args, c.Slots, c.Sandbox = []string{runnerCommand, kind}, slots, cfg.Sandbox
		c.Limits.Memory, c.MaxMemory = cfg.JobMemory, largerSlot*cfg.JobMemory
		p, err := isolation.New(c, log, metrics, r.observe)
		if errors.Is(err, isolation.ErrUnlocked) {
			err = fmt.Errorf("%w; give %s no slots on this machine (--slots), or take what there is (--isolation auto)", err, kind)
		}
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.pools[kind] = p
		if report := p.Report(); report.Level != isolation.Full {
			log.Warn().Str("kind", kind).Stringer("sandbox", report).Msg("runners are not fully locked in")
		}
	}
	return r, nil
}

// observe passes a runner's reading on to the leak detector, and reports whether
// the runner is to be replaced.
func (r *Runners) observe(s isolation.Sample) (replace bool) {
	return r.leaks.ObserveRunner(memwatch.Reading{Kind: s.Kind, Process: s.PID, Done: s.Done, Live: s.Live, At: s.At})
}

// The methods below may be called on a nil receiver: a worker without runners.

// ceilings is how much memory a task may take in a runner, by kind.
func (r *Runners) ceilings() map[string]int64 {
	all := map[string]int64{}
	if r != nil {
		for kind := range r.pools {
			all[kind] = r.memory
		}
	}
	return all
}

// larger is by how much a task's ceiling can be raised; 0 for a kind that has no
// runners.
func (r *Runners) larger(kind string) int64 {
	if r == nil || r.pools[kind] == nil {
		return 0
	}
	return (largerSlot - 1) * r.memory
}

// largerSlot is how many times the usual memory a larger slot has.
const largerSlot = 2

// Evict ends a runner because the node is short of memory.
func (r *Runners) Evict(pid int) bool {
	if r == nil {
		return false
	}
	for _, p := range r.pools {
		if p.Evict(pid) {
			return true
		}
	}
	return false
}

// detector finds the leaks of the runners and of the worker itself.
func (r *Runners) detector(log zerolog.Logger) *memwatch.Detector {
	if r == nil {
		return memwatch.NewDetector(map[string]int64{itself: memwatch.Limit()}, tellLeaks(log))
	}
	return r.leaks
}

// Level is how well the least isolated runner is locked in.
func (r *Runners) Level() isolation.Level {
	if r == nil || len(r.pools) == 0 {
		return isolation.None
	}
	worst := isolation.Full
	for _, p := range r.pools {
		switch level := p.Level(); level {
		case isolation.None:
			return level
		case isolation.Partial:
			worst = level
		}
	}
	return worst
}

// Reports is what the runners of each kind found out about their locks.
func (r *Runners) Reports() map[string]isolation.Report {
	all := map[string]isolation.Report{}
	if r != nil {
		for kind, p := range r.pools {
			all[kind] = p.Report()
		}
	}
	return all
}

// sandbox is how well a kind's tasks are locked in.
func (r *Runners) sandbox(kind string) string {
	if r == nil || r.pools[kind] == nil {
		return "inline"
	}
	return string(r.pools[kind].Level())
}

// List lists the runners of every kind.
func (r *Runners) List() []isolation.Runner {
	if r == nil {
		return nil
	}
	var all []isolation.Runner
	for _, kind := range slices.Sorted(maps.Keys(r.pools)) {
		all = append(all, r.pools[kind].Runners()...)
	}
	return all
}

// closeWithin is how long the runners may take to be gone.
const closeWithin = 5 * time.Second

// Close ends every runner and waits until they are reaped.
func (r *Runners) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	var errs []error
	for _, p := range r.pools {
		errs = append(errs, p.Close(ctx))
	}
	return errors.Join(errs...)
}
