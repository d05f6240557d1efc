package client_test

import (
	"testing"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

func BenchmarkEnqueue(b *testing.B) {
	cfg := client.DefaultConfig()
	cfg.QueueLimit = 10_000_000
	c, err := client.New(brokertest.Start(b), cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	r, err := tasks.Search.New(tasks.SearchPayload{Query: "how do I ask for the camera permission"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Enqueue(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
