package worker

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

type taskMetrics struct {
	total *prometheus.CounterVec
	wait  *prometheus.HistogramVec
	run   *prometheus.HistogramVec
	peak  *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *taskMetrics {
	buckets := prometheus.ExponentialBuckets(0.001, 2.5, 14) // 1 ms to 150 s
	m := &taskMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jobyard_tasks_total", Help: "Attempts ended, by kind, outcome and reason.",
		}, []string{"kind", "outcome", "reason"}),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jobyard_task_wait_seconds", Help: "Time a task was pending before its attempt.", Buckets: buckets,
		}, []string{"kind"}),
		run: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jobyard_task_run_seconds", Help: "Time an attempt ran.", Buckets: buckets,
		}, []string{"kind"}),
	}
	m.peak = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "jobyard_task_peak_memory_bytes", Help: "Highest resident memory of an attempt's runner.",
		Buckets: prometheus.ExponentialBuckets(8<<20, 2, 8), // 8 MiB to 1 GiB
	}, []string{"kind"})
	reg.MustRegister(m.total, m.wait, m.run, m.peak)
	return m
}

// outcomes are the label values of the ways an attempt ends.
var outcomes = map[results.Mode]string{
	results.Complete: "completed", results.CancelIt: "canceled", results.RetryIt: "retry",
	results.Archive: "archived", results.Requeue: "requeued",
}

// outcomeOf is how the attempt ended, as a label: one that has failed without a
// retry left has put its task aside.
func outcomeOf(r *run, o results.Outcome) string {
	if o.Mode == results.RetryIt && r.last {
		return outcomes[results.Archive]
	}
	return outcomes[o.Mode]
}

func (m *taskMetrics) ended(r *run, o results.Outcome) {
	reason := tasks.Reason("")
	if o.Error != nil {
		reason = o.Error.Reason
	}
	m.total.WithLabelValues(r.kind, outcomeOf(r, o), string(reason)).Inc()
	m.wait.WithLabelValues(r.kind).Observe(r.waited.Seconds())
	m.run.WithLabelValues(r.kind).Observe(r.took.Seconds())
	if o.PeakMemory > 0 {
		m.peak.WithLabelValues(r.kind).Observe(float64(o.PeakMemory))
	}
}
