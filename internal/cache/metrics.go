package cache

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ requests *prometheus.CounterVec }

// newMetrics registers the metrics of a cache; without a registry they are kept
// for nobody.
func newMetrics(reg prometheus.Registerer, c *Cache) *metrics {
	m := &metrics{requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "jobyard_cache_requests_total", Help: "Lookups of results of equal tasks, by tier and what came of them; error also where a broken tier was passed over.",
	}, []string{"tier", "result"})}
	if reg != nil {
		reg.MustRegister(m.requests, tierCollector{c})
	}
	return m
}

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("jobyard_"+name, help, []string{"tier"}, nil)
}

var (
	bytesDesc = desc("cache_bytes", "Bytes that a tier of the cache holds; of Redis, what all processes hold there.")
	boundDesc = desc("cache_bound_bytes", "Bytes that a tier of the cache may hold.")
	upDesc    = desc("cache_tier_up", "1 while a tier of the cache answers, 0 while it is passed over.")
)

// tierCollector reads the tiers when somebody asks.
type tierCollector struct{ cache *Cache }

// Describe implements prometheus.Collector.
func (t tierCollector) Describe(to chan<- *prometheus.Desc) {
	to <- bytesDesc
	to <- boundDesc
	to <- upDesc
}

// Collect implements prometheus.Collector.
func (t tierCollector) Collect(to chan<- prometheus.Metric) {
	for _, s := range t.cache.State() {
		up := 1.0
		if s.Broken {
			up = 0
		}
		to <- prometheus.MustNewConstMetric(bytesDesc, prometheus.GaugeValue, float64(s.Bytes), s.Tier)
		to <- prometheus.MustNewConstMetric(boundDesc, prometheus.GaugeValue, float64(s.Bound), s.Tier)
		to <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, up, s.Tier)
	}
}
