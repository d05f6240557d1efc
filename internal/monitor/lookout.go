package monitor

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/monitor/scale"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// lookout looks at the yard again and again, and judges what it sees by what
// it saw before. It is used by one goroutine, but for what does not change.
type lookout struct {
	cfg    Config
	broker *broker.Broker
	store  *results.Store
	log    zerolog.Logger
	now    func() time.Time
	rates  *rates
	pace   *pace
	trends *forecasts
	plans  *scale.Planner
	rules  *rules
	// incidents are the leaks that were suspected while this process looked.
	incidents *incidents
	cached    *cachedCounts
}

func newLookout(cfg Config, b *broker.Broker, log zerolog.Logger) *lookout {
	return &lookout{
		cfg: cfg, broker: b, store: results.New(b), log: log, now: time.Now, rates: newRates(),
		pace: newPace(), trends: newForecasts(), plans: scale.NewPlanner(cfg.Scale), rules: newRules(cfg),
		incidents: newIncidents(), cached: newCachedCounts(),
	}
}

// look reads the yard, or says why that was not possible, and judges. It
// always returns an overview: without Redis that of before, marked so.
func (l *lookout) look(ctx context.Context, before *Overview) (*Overview, error) {
	y, err := readYard(ctx, l.broker, l.store, l.now)
	var o *Overview
	if err != nil {
		o = l.stale(before, err)
	} else {
		o = l.overview(y)
	}
	if ctx.Err() != nil {
		return o, ctx.Err() // we are being stopped: that Redis is away is not known
	}
	o.Alerts = l.rules.judge(o, l.log)
	o.Verdict = verdict(o)
	return o, err
}

// overview makes the figures of one look.
func (l *lookout) overview(y yard) *Overview {
	l.rates.next()
	l.pace.observe(y.nodes, y.at)
	o := &Overview{At: y.at, SampledAt: y.at, Redis: y.redis, Marks: l.marks(), Nodes: []Node{}, HiddenNodes: y.hidden, ReadOnly: l.cfg.ReadOnly}
	for _, n := range y.nodes {
		o.Nodes = append(o.Nodes, l.node(n, y.at))
	}
	l.trends.retain(o.Nodes)
	o.Incidents = l.incidents.observe(o.Nodes, y.at)
	o.Cache = l.cached.observe(y)
	for _, q := range y.queues {
		o.Queues = append(o.Queues, l.queue(q, y.at))
	}
	for _, name := range tasks.KindNames() {
		o.Kinds = append(o.Kinds, l.kind(name, o))
	}
	estimateDrains(o)
	o.Total = total(o)
	o.Plan = l.plans.Plan(loadOf(o), y.at)
	return o
}

// stale is what is said while Redis is away: the last figures, and why they
// are not newer.
func (l *lookout) stale(before *Overview, err error) *Overview {
	o := &Overview{Marks: l.marks(), Kinds: []Kind{}, Queues: []Queue{}, Nodes: []Node{}, Incidents: []Incident{}, ReadOnly: l.cfg.ReadOnly}
	if before != nil {
		*o = *before
	}
	o.At = l.now()
	o.Redis = Redis{Error: err.Error()}
	if away := (*broker.UnavailableError)(nil); errors.As(err, &away) {
		o.Redis.Error = away.Error() // where and what to do, not what we were at
	}
	return o
}

func (l *lookout) marks() Marks { return Marks{Queue: queueWarn, Memory: l.cfg.MemoryWarn} }

func (l *lookout) queue(q results.Queue, at time.Time) Queue {
	kind, bulk := strings.CutSuffix(q.Name, ":bulk")
	v := Queue{
		Queue: q, Kind: kind, Bulk: bulk, Waiting: q.Waiting(), Limit: l.cfg.limit(q.Name), OldestSeconds: q.Oldest.Seconds(),
	}
	v.WaitP50, v.WaitP95 = l.pace.wait(q.Name)
	there := q.Counts[tasks.Pending] + q.Counts[tasks.Active] + q.Counts[tasks.Retry]
	v.GrowsPerSecond = l.rates.change("queue "+q.Name, at, there)
	return v
}

func (l *lookout) node(n broker.Node, at time.Time) Node {
	v := Node{Node: n, Up: n.Up(at), AgeSeconds: max(0, at.Sub(n.SeenAt).Seconds())}
	v.Busy, v.Slots = n.Busy()
	var done int64
	for k := range maps.Values(n.Kinds) {
		done += k.Completed + k.Failed
	}
	v.PerSecond = l.rates.per("node "+n.ID, at, done)
	v.FullInSeconds = l.trends.fullIn(v, at)
	return v
}

func (l *lookout) kind(name string, o *Overview) Kind {
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
			k.PeakMemory = max(k.PeakMemory, n.Kinds[name].PeakMemory)
		}
		if n.Takes(o.At) {
			k.Taking += n.Kinds[name].Slots
		}
	}
	k.PerSecond = l.rates.per("kind "+name, o.At, k.Completed+k.Failed)
	k.FailedPerSecond = l.rates.per("failed "+name, o.At, k.Failed)
	k.Cached = l.cached.of(name)
	k.SecondsPerTask = l.pace.seconds(name)
	k.ArrivePerSecond = l.pace.arrive(name, o.Queues, k.PerSecond, o.At)
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
	for n := range o.living() {
		t.NodesUp++
		if n.Takes(o.At) {
			t.NodesTaking++
		}
	}
	return t
}
