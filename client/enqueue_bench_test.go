package client_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// BenchmarkEnqueue is one caller, one task after the other; the raw one does
// the same with asynq's own client.
func BenchmarkEnqueue(b *testing.B) {
	query := func(n int) string { return fmt.Sprintf("%08d %s", n, strings.Repeat("words to look for ", 10)) }
	b.Run("ours", func(b *testing.B) {
		cfg := client.DefaultConfig()
		cfg.QueueLimit = 10_000_000
		c, err := client.New(brokertest.Start(b), cfg)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			r, err := tasks.Search.New(tasks.SearchPayload{Query: query(i)})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := c.Enqueue(b.Context(), r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("raw", func(b *testing.B) {
		o, err := redis.ParseURL(brokertest.Server(b, "everysec").URL)
		if err != nil {
			b.Fatal(err)
		}
		c := asynq.NewClient(asynq.RedisClientOpt{Network: o.Network, Addr: o.Addr})
		defer c.Close()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := c.EnqueueContext(b.Context(), asynq.NewTask("search", fmt.Appendf(nil, `{"query":%q}`, query(i)))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
