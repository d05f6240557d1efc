package client_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// A client looks for the result of an equal task in its own memory first.
func TestClient_MetricsOfItsMemory(t *testing.T) {
	t.Parallel()
	c, err := client.New(brokertest.Start(t), client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := tasks.ConfigGen.New(tasks.ConfigGenPayload{Template: "dotenv"})
	if err == nil {
		_, err = c.Enqueue(t.Context(), r)
	}
	if err != nil {
		t.Fatal(err)
	}
	all := prometheus.NewRegistry()
	all.MustRegister(c.Metrics())
	families, err := all.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	if got["jobyard_cache_requests_total miss memory"] != 1 || got["jobyard_cache_bound_bytes memory"] != float64(client.DefaultConfig().CacheBytes) {
		t.Errorf("got %v", got)
	}
	if _, there := got["jobyard_cache_bytes memory"]; !there {
		t.Errorf("got %v, want what its memory holds", got)
	}
}
