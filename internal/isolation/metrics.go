package isolation

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/jobyard/jobyard/tasks"
)

// Metrics counts what happens to runners. All pools of a process share one.
type Metrics struct {
	kills    *prometheus.CounterVec
	recycled *prometheus.CounterVec
	starts   *prometheus.CounterVec
	runners  *prometheus.GaugeVec
	level    *prometheus.GaugeVec
}

// NewMetrics registers the metrics of runners.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		kills: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jobyard_runner_kills_total", Help: "Runners that did not survive a task, by kind and the task's reason.",
		}, []string{"kind", "reason"}),
		recycled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jobyard_runner_recycles_total", Help: "Runners replaced between tasks, by kind and why.",
		}, []string{"kind", "why"}),
		starts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jobyard_runner_starts_total", Help: "Runners started, by kind and outcome.",
		}, []string{"kind", "outcome"}),
		runners: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "jobyard_runners", Help: "Runners alive, by kind.",
		}, []string{"kind"}),
		level: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "jobyard_runner_sandbox", Help: "1 for the level of the sandbox that runners of a kind have.",
		}, []string{"kind", "level"}),
	}
	reg.MustRegister(m.kills, m.recycled, m.starts, m.runners, m.level)
	return m
}

// The methods below do nothing on a nil receiver: a pool may do without.

func (m *Metrics) killed(kind string, reason tasks.Reason) {
	if m != nil {
		m.kills.WithLabelValues(kind, string(reason)).Inc()
	}
}

func (m *Metrics) retired(kind, why string) {
	if m != nil {
		m.recycled.WithLabelValues(kind, why).Inc()
	}
}

func (m *Metrics) started(kind string, err error) {
	if m == nil {
		return
	}
	outcome := "ready"
	if err != nil {
		outcome = "failed"
	}
	m.starts.WithLabelValues(kind, outcome).Inc()
}

func (m *Metrics) alive(kind string, n int) {
	if m != nil {
		m.runners.WithLabelValues(kind).Set(float64(n))
	}
}

func (m *Metrics) locked(kind string, is Level) {
	if m == nil {
		return
	}
	for _, level := range Levels() {
		value := 0.0
		if level == is {
			value = 1
		}
		m.level.WithLabelValues(kind, string(level)).Set(value)
	}
}
