package monitor

import (
	"math"
	"strings"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// paceStep and paceSteps are how often a spread is remembered, and for how
	// many steps: what "lately" means.
	paceStep  = 10 * time.Second
	paceSteps = 30
	// calm is how slowly the rate of arrivals follows what is seen.
	calm = 30 * time.Second
)

// pace adds up how long tasks waited and ran, over all nodes, and how quickly
// they arrive. It is used by one goroutine.
//
// The bound: 12 spreads of 46 figures, 31 times each, and one reading of each
// node that is shown.
type pace struct {
	began    time.Time
	nodes    map[string]map[string]broker.NodeKind // as they were last
	waits    map[string]*spreads                   // by queue
	runs     map[string]*spreads                   // by kind
	arrivals map[string]*flow                      // by kind
}

func newPace() *pace {
	p := &pace{nodes: map[string]map[string]broker.NodeKind{}, waits: map[string]*spreads{}, runs: map[string]*spreads{}, arrivals: map[string]*flow{}}
	for _, q := range tasks.Queues() {
		p.waits[q] = &spreads{}
	}
	for _, k := range tasks.KindNames() {
		p.runs[k], p.arrivals[k] = &spreads{}, &flow{}
	}
	return p
}

// spreads is one growing spread and what it was lately.
type spreads struct {
	life, grown broker.Spread // with and without what nodes had before they were seen
	sumLife     float64
	sumGrown    float64
	past        []spreadAt
}

type spreadAt struct {
	at     time.Time
	spread broker.Spread
	sum    float64
}

func (s *spreads) add(now, before broker.Spread, sum, sumBefore float64, isNew bool) {
	delta, more := now.Since(before), sum-sumBefore
	if more < 0 {
		more = sum
	}
	s.life, s.sumLife = s.life.Plus(delta), s.sumLife+more
	if !isNew {
		s.grown, s.sumGrown = s.grown.Plus(delta), s.sumGrown+more
	}
}

// remember keeps a reading once a step.
func (s *spreads) remember(at time.Time) {
	if n := len(s.past); n > 0 && at.Sub(s.past[n-1].at) < paceStep && !at.Before(s.past[n-1].at) {
		return
	}
	if len(s.past) == paceSteps {
		copy(s.past, s.past[1:])
		s.past = s.past[:paceSteps-1]
	}
	s.past = append(s.past, spreadAt{at, s.grown, s.sumGrown})
}

// lately is what was counted in the last steps; where that is nothing, what is
// known at all.
func (s *spreads) lately() (broker.Spread, float64) {
	if len(s.past) > 0 {
		if recent := s.grown.Since(s.past[0].spread); recent.Count() > 0 {
			return recent, s.sumGrown - s.past[0].sum
		}
	}
	return s.life, s.sumLife
}

// observe takes the nodes of one look in.
func (p *pace) observe(nodes []broker.Node, at time.Time) {
	if p.began.IsZero() {
		p.began = at
	}
	known := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		known[n.ID] = true
		before := p.nodes[n.ID]
		// What a node did before we looked is not of late.
		isNew := before == nil && n.StartedAt.Before(p.began)
		for kind, k := range n.Kinds {
			was := before[kind]
			p.waits[tasks.Queue(kind)].add(k.Wait, was.Wait, 0, 0, isNew)
			p.waits[tasks.BulkQueue(kind)].add(k.BulkWait, was.BulkWait, 0, 0, isNew)
			p.runs[kind].add(k.Run, was.Run, k.RunSeconds, was.RunSeconds, isNew)
		}
		p.nodes[n.ID] = n.Kinds
	}
	for id := range p.nodes {
		if !known[id] {
			delete(p.nodes, id)
		}
	}
	for _, all := range []map[string]*spreads{p.waits, p.runs} {
		for _, s := range all {
			s.remember(at)
		}
	}
}

// wait returns a queue's median wait and the wait that 95 % stay below.
func (p *pace) wait(queue string) (p50, p95 float64) {
	s, _ := p.waits[queue].lately()
	return s.Quantile(0.5), s.Quantile(0.95)
}

// seconds is what a task of a kind takes; 0 if none was measured.
func (p *pace) seconds(kind string) float64 {
	s, sum := p.runs[kind].lately()
	if n := s.Count(); n > 0 && sum > 0 {
		return sum / float64(n)
	}
	return s.Quantile(0.5)
}

// flow is a rate that follows slowly.
type flow struct {
	at    time.Time
	value float64
}

func (f *flow) follow(v float64, at time.Time) float64 {
	dt := at.Sub(f.at)
	if f.at.IsZero() || dt <= 0 || dt > 10*calm {
		f.value = v
	} else {
		f.value += (v - f.value) * (1 - math.Exp(-dt.Seconds()/calm.Seconds()))
	}
	f.at = at
	return f.value
}

// arrive is how many tasks of a kind come in a second: what was worked off, and
// what more waits.
func (p *pace) arrive(kind string, queues []Queue, perSecond float64, at time.Time) float64 {
	if p.arrivals[kind] == nil {
		return 0
	}
	for _, q := range queues {
		if strings.TrimSuffix(q.Name, ":bulk") == kind {
			perSecond += q.GrowsPerSecond
		}
	}
	return p.arrivals[kind].follow(max(0, perSecond), at)
}
