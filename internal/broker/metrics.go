package broker

import "github.com/prometheus/client_golang/prometheus"

// poolCollector tells how the process's pool of connections stands, when it is
// asked.
type poolCollector struct {
	broker                              *Broker
	total, idle, waits, timeouts, stale *prometheus.Desc
}

// Metrics returns the collector of jobyard_redis_pool_*, for the process's
// registry.
func (b *Broker) Metrics() prometheus.Collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("jobyard_"+name, help, nil, nil)
	}
	return &poolCollector{
		broker:   b,
		total:    desc("redis_pool_total", "Open connections of this process's pool."),
		idle:     desc("redis_pool_idle", "Idle connections of this process's pool."),
		waits:    desc("redis_pool_waits", "Times a call waited for a connection."),
		timeouts: desc("redis_pool_timeouts", "Times a call got no connection in time."),
		stale:    desc("redis_pool_stale", "Stale connections that were closed."),
	}
}

// Describe implements prometheus.Collector.
func (c *poolCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.total, c.idle, c.waits, c.timeouts, c.stale} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *poolCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.broker.PoolStats()
	tell := func(d *prometheus.Desc, kind prometheus.ValueType, v uint32) {
		ch <- prometheus.MustNewConstMetric(d, kind, float64(v))
	}
	tell(c.total, prometheus.GaugeValue, s.TotalConns)
	tell(c.idle, prometheus.GaugeValue, s.IdleConns)
	tell(c.waits, prometheus.CounterValue, s.WaitCount)
	tell(c.timeouts, prometheus.CounterValue, s.Timeouts)
	tell(c.stale, prometheus.CounterValue, s.StaleConns)
}
