package monitor

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/jobyard/jobyard/internal/cache"
)

// maxScrapes bounds the scrapes under way.
const maxScrapes = 4

// collector reads the yard from Redis for each scrape. Without Redis the
// scrape still succeeds and says so: what monitors us must not need Redis to
// learn that Redis is away.
type collector struct {
	monitor *Monitor

	redisUp, hidden, clients  *prometheus.Desc
	queueTasks, oldest, limit *prometheus.Desc
	nodeMemory, nodeUp, rest  *prometheus.Desc
	leak, leakSlope           *prometheus.Desc
	redisMemory, redisEvicted *prometheus.Desc
	redisMayEvict             *prometheus.Desc
	attempts, answered        *prometheus.Desc
	desired                   *prometheus.Desc
	judged                    judgedDescs
}

// judgedDescs are the figures that take more than one look: they are of the
// last sample.
type judgedDescs struct {
	wait, drain, seconds, arrivals, slots, fullIn, alerts *prometheus.Desc
}

func (d judgedDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.wait, d.drain, d.seconds, d.arrivals, d.slots, d.fullIn, d.alerts}
}

// newRegistry returns a registry of the monitor's own: the yard, the Go
// runtime and this process.
func newRegistry(m *Monitor) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(m), m.broker.Metrics(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

func newCollector(m *Monitor) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("jobyard_"+name, help, labels, nil)
	}
	return &collector{
		monitor:       m,
		redisUp:       desc("monitor_redis_up", "Whether Redis answered this scrape."),
		hidden:        desc("monitor_hidden_nodes", "Nodes that are not shown because there are too many."),
		clients:       desc("monitor_live_clients", "Open live streams of the page."),
		queueTasks:    desc("queue_tasks", "Tasks of a queue by state.", "queue", "state"),
		oldest:        desc("queue_oldest_seconds", "How long the longest waiting pending task has waited.", "queue"),
		limit:         desc("queue_limit", "How many tasks may wait in a queue.", "queue"),
		nodeMemory:    desc("node_memory_bytes", "Memory of a living node: resident, live heap, and its limit.", "node", "part"),
		rest:          desc("node_slot_rest_ratio", "For how much of its time a slot of a living node rests because the processors are too busy; 0 if they are not.", "node"),
		nodeUp:        desc("node_up", "Whether a node's heartbeat is fresh.", "node"),
		leak:          desc("leak_suspected", "1 while the runners of a kind, or the worker itself, are suspected of a memory leak.", "node", "kind"),
		leakSlope:     desc("leak_slope_bytes_per_minute", "Growth of each process of a kind that is suspected of a leak; 0 without a suspicion.", "node", "kind"),
		redisMemory:   desc("redis_memory_bytes", "Redis's memory: used, and its limit if it has one.", "part"),
		redisEvicted:  desc("redis_evicted_keys_total", "Keys that Redis dropped for want of memory."),
		redisMayEvict: desc("redis_may_evict", "1 if Redis would drop keys when its memory is full, as its maxmemory-policy says."),
		attempts:      desc("queue_attempts_total", "Attempts ended, by queue and whether they failed.", "queue", "outcome"),
		answered:      desc("cache_answered_total", "Tasks that were answered with the result of an equal one as they were handed over, by the tier that had it.", "tier"),
		desired:       desc("desired_workers", "Workers that the work needs, from what arrives, waits and was measured."),
		judged: judgedDescs{
			wait:     desc("queue_wait_seconds", "How long tasks lately waited for a slot, by quantile.", "queue", "quantile"),
			drain:    desc("queue_drain_seconds", "How long the slots take for what waits, if nothing more comes.", "queue"),
			seconds:  desc("kind_task_seconds", "How long a task was lately measured to take.", "kind"),
			arrivals: desc("kind_arrivals_per_second", "Tasks that come in a second.", "kind"),
			slots:    desc("kind_slots", "Slots of living nodes: all, busy, and those that take new tasks.", "kind", "state"),
			fullIn:   desc("node_memory_full_seconds", "When a node's memory is full, if it goes on growing steadily.", "node"),
			alerts:   desc("alerts", "Alerts of the built-in rules by rule and level.", "rule", "level"),
		},
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append([]*prometheus.Desc{
		c.redisUp, c.hidden, c.clients, c.queueTasks, c.oldest, c.limit, c.nodeMemory, c.nodeUp, c.rest, c.leak, c.leakSlope,
		c.redisMemory, c.redisEvicted, c.redisMayEvict, c.attempts, c.answered, c.desired,
	}, c.judged.all()...) {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	m := c.monitor
	gauge(c.clients, float64(m.live.count()))
	// Collectors get no context: readYard brings its own bound.
	y, err := readYard(context.Background(), m.broker, m.store, m.now)
	if err != nil {
		gauge(c.redisUp, 0)
		return
	}
	gauge(c.redisUp, 1)
	c.judge(gauge)
	gauge(c.redisMemory, float64(y.redis.Used), "used")
	if y.redis.Max > 0 {
		gauge(c.redisMemory, float64(y.redis.Max), "limit")
	}
	ch <- prometheus.MustNewConstMetric(c.redisEvicted, prometheus.CounterValue, float64(y.redis.Evicted))
	mayEvict := 0.0
	if y.redis.mayEvict() {
		mayEvict = 1
	}
	gauge(c.redisMayEvict, mayEvict)
	gauge(c.hidden, float64(y.hidden))
	c.door(y, ch)
	for _, q := range y.queues {
		for state, n := range q.Counts {
			gauge(c.queueTasks, float64(n), q.Name, string(state))
		}
		gauge(c.oldest, q.Oldest.Seconds(), q.Name)
		gauge(c.limit, float64(m.cfg.limit(q.Name)), q.Name)
		ch <- prometheus.MustNewConstMetric(c.attempts, prometheus.CounterValue, float64(max(0, q.Processed-q.Failed)), q.Name, "completed")
		ch <- prometheus.MustNewConstMetric(c.attempts, prometheus.CounterValue, float64(q.Failed), q.Name, "failed")
	}
	for _, n := range y.nodes {
		if !n.Up(y.at) {
			gauge(c.nodeUp, 0, n.ID)
			continue // its last figures are no longer true
		}
		gauge(c.nodeUp, 1, n.ID)
		gauge(c.rest, n.Budget.Rest, n.ID)
		gauge(c.nodeMemory, float64(n.RSS), n.ID, "rss")
		gauge(c.nodeMemory, float64(n.HeapLive), n.ID, "heap_live")
		if n.MemoryLimit > 0 {
			gauge(c.nodeMemory, float64(n.MemoryLimit), n.ID, "limit")
		}
		for _, l := range n.Leaks {
			suspected := 0.0
			if l.Suspected {
				suspected = 1
			}
			gauge(c.leak, suspected, n.ID, l.Kind)
			gauge(c.leakSlope, l.PerMinute, n.ID, l.Kind)
		}
	}
}

// door tells what was answered at the door, unless that could not be read.
func (c *collector) door(y yard, ch chan<- prometheus.Metric) {
	if y.doorFault != "" {
		return
	}
	for _, tier := range cache.Tiers() {
		var n int64
		for _, q := range y.answered {
			n += q[tier]
		}
		ch <- prometheus.MustNewConstMetric(c.answered, prometheus.CounterValue, float64(n), tier)
	}
}

// judge tells what the last sample found, unless Redis was away then.
func (c *collector) judge(gauge func(*prometheus.Desc, float64, ...string)) {
	o := c.monitor.latest.Load()
	if o == nil || !o.Redis.Up {
		return
	}
	gauge(c.desired, float64(o.Plan.Workers))
	for _, q := range o.Queues {
		gauge(c.judged.wait, q.WaitP50, q.Name, "0.5")
		gauge(c.judged.wait, q.WaitP95, q.Name, "0.95")
		if q.DrainSeconds != nil {
			gauge(c.judged.drain, *q.DrainSeconds, q.Name)
		} else if q.Waiting == 0 {
			gauge(c.judged.drain, 0, q.Name)
		}
	}
	for _, k := range o.Kinds {
		gauge(c.judged.seconds, k.SecondsPerTask, k.Kind)
		gauge(c.judged.arrivals, k.ArrivePerSecond, k.Kind)
		gauge(c.judged.slots, float64(k.Slots), k.Kind, "all")
		gauge(c.judged.slots, float64(k.Busy), k.Kind, "busy")
		gauge(c.judged.slots, float64(k.Taking), k.Kind, "taking")
	}
	for _, n := range o.Nodes {
		if n.FullInSeconds != nil {
			gauge(c.judged.fullIn, *n.FullInSeconds, n.ID)
		}
	}
	counts := map[[2]string]int{}
	for _, a := range o.Alerts {
		counts[[2]string{a.Rule, a.Level.String()}]++
	}
	for _, rule := range Rules() {
		for _, level := range []Level{Warn, Bad} {
			gauge(c.judged.alerts, float64(counts[[2]string{rule, level.String()}]), rule, level.String())
		}
	}
}

func (m *Monitor) metrics() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})
}
