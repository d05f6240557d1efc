package worker

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// drained is how many tasks a drain is measured with, and drainSlots through
// how many slots.
const (
	drained    = 10_000
	drainSlots = 10
)

func drainRequests() []tasks.Request {
	all := make([]tasks.Request, drained)
	for i := range all {
		all[i] = request(fmt.Sprint("camera ", i), tasks.WithQueue("bulk"))
	}
	return all
}

// drain measures how long one worker needs from its start until ended reports
// that everything is done.
func drain(b *testing.B, fill func(*client.Client) (ended func(context.Context) error)) {
	for b.Loop() {
		b.StopTimer()
		br := brokertest.Start(b)
		c, err := client.New(br, client.DefaultConfig())
		if err != nil {
			b.Fatal(err)
		}
		ended := fill(c)
		cfg := DefaultConfig()
		cfg.Slots = map[string]int{"search": drainSlots}
		w, err := New(cfg, br, &Registry{Jobs: searching(func(context.Context, string) (string, error) { return "", nil })}, zerolog.Nop(), prometheus.NewRegistry())
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		b.StartTimer()
		go func() { done <- w.Run(ctx) }()
		err = ended(ctx)
		b.StopTimer()
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
		b.StartTimer()
	}
	b.ReportMetric(drained*float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}

// BenchmarkDrainBatch drains tasks that were handed over as a batch.
func BenchmarkDrainBatch(b *testing.B) {
	drain(b, func(c *client.Client) func(context.Context) error {
		info, err := c.EnqueueBatch(b.Context(), client.Batch{Requests: drainRequests()})
		if err != nil {
			b.Fatal(err)
		}
		return func(ctx context.Context) error {
			got, err := c.WaitBatch(ctx, info.ID)
			if err == nil && got.Counts[tasks.Completed] != drained {
				err = fmt.Errorf("got %v", got.Counts)
			}
			return err
		}
	})
}

// BenchmarkDrainSingle drains the same tasks, handed over one by one.
func BenchmarkDrainSingle(b *testing.B) {
	drain(b, func(c *client.Client) func(context.Context) error {
		answers, err := c.EnqueueAll(b.Context(), drainRequests())
		if err != nil {
			b.Fatal(err)
		}
		return func(ctx context.Context) error {
			// In order, so at the end nearly all are there at once.
			for _, a := range answers[drained-100:] {
				if _, err := c.Wait(ctx, a.Task.ID); err != nil {
					return err
				}
			}
			return nil
		}
	})
}

// BenchmarkDrainAsynq drains as many tasks with asynq as it comes.
func BenchmarkDrainAsynq(b *testing.B) {
	payload := drainRequests()[0].Payload
	for b.Loop() {
		b.StopTimer()
		br := brokertest.Start(b)
		fill(b, br, payload)
		var left atomic.Int64
		left.Store(drained)
		all := make(chan struct{})
		server := asynq.NewServerFromRedisClient(br.Client(), asynq.Config{Concurrency: drainSlots, Queues: map[string]int{"raw": 1}, LogLevel: asynq.FatalLevel})
		b.StartTimer()
		err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
			if left.Add(-1) == 0 {
				close(all)
			}
			return nil
		}))
		if err != nil {
			b.Fatal(err)
		}
		<-all
		b.StopTimer()
		server.Shutdown()
		b.StartTimer()
	}
	b.ReportMetric(drained*float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}

func fill(b *testing.B, br *broker.Broker, payload []byte) {
	c := asynq.NewClientFromRedisClient(br.Client())
	for range drained {
		if _, err := c.Enqueue(asynq.NewTask("search", payload), asynq.Queue("raw")); err != nil {
			b.Fatal(err)
		}
	}
}
