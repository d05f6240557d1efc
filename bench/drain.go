package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/hibiken/asynq"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/tasks"
)

// drainTrial has one node work off a full queue of tasks that do nothing.
func drainTrial(p *pair, n counts) trial {
	const ours, batch, base = 0, 1, 2
	const unit = "tasks/s"
	note := fmt.Sprintf("drain: one node works off %d no-op tasks of one kind, concurrency %d on both sides; "+
		"ours serves all four kinds and keeps each result for a day, raw asynq serves one queue and keeps nothing.", n.drain, slots)
	noteBatch := "drain_batch: the same, handed over as a batch."
	return trial{
		times: 3,
		subjects: []subject{
			{"ours drain", p.ours, drainOurs(p.ours, n.drain, fillTasks, tasks.Queue(kind))},
			{"ours drain batch", p.ours, drainOurs(p.ours, n.drain, fillBatch, tasks.BulkQueue(kind))},
			{"raw drain", p.base, drainRaw(p.base, n.drain)},
		},
		rows: []row{
			{"drain", unit, false, figure{ours, 0}, figure{base, 0}, true, note},
			{"drain_batch", unit, false, figure{batch, 0}, figure{base, 0}, true, noteBatch},
		},
	}
}

func fillTasks(ctx context.Context, c *client.Client, n int) error {
	return enqueueAll(ctx, c, requests(n))
}

// fillBatch hands the tasks over as a batch. How a batch travels is decided
// here alone.
func fillBatch(ctx context.Context, c *client.Client, n int) error {
	_, err := c.EnqueueBatch(ctx, tasks.Batch{Requests: requests(n, tasks.WithQueue("bulk"))})
	return err
}

func drainOurs(s *server, n int, fill func(context.Context, *client.Client, int) error, queue string) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) ([]float64, error) {
		if err := s.reset(ctx); err != nil {
			return nil, err
		}
		c, err := openClient(ctx, s.url)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		if err := fill(ctx, c, warmUp+n); err != nil {
			return nil, err
		}
		return drained(ctx, s, queue, n, func(count func(string)) (func() error, error) {
			return startNode(ctx, s.url, slots, jobs(count))
		})
	}
}

func drainRaw(s *server, n int) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) ([]float64, error) {
		if err := s.reset(ctx); err != nil {
			return nil, err
		}
		c, err := rawClient(s.url)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		all := rawTasks(warmUp + n)
		err = inFlight(ctx, 0, len(all), callers, func(i int) error {
			_, err := c.EnqueueContext(ctx, all[i], asynq.Queue(kind))
			return err
		})
		if err != nil {
			return nil, err
		}
		return drained(ctx, s, kind, n, func(count func(string)) (func() error, error) {
			return startRaw(s.url, asynq.Config{Concurrency: slots, Queues: map[string]int{kind: 1}}, count)
		})
	}
}

// drained starts a node on a queue of warmUp+n tasks. The clock runs from the
// warmUp'th task until the last one is acknowledged.
func drained(ctx context.Context, s *server, queue string, n int, start func(count func(string)) (stop func() error, err error)) ([]float64, error) {
	var ran atomic.Int64
	warm, last := make(chan stopwatch, 1), make(chan struct{})
	stop, err := start(func(string) {
		switch ran.Add(1) {
		case warmUp:
			warm <- s.watch(ctx)
		case int64(warmUp + n):
			close(last)
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-last:
	case <-ctx.Done():
		stop() //nolint:errcheck // the round has failed
		return nil, fmt.Errorf("%d of %d tasks ran: %w", ran.Load(), warmUp+n, ctx.Err())
	}
	emptied := s.emptied(ctx, queue)
	watch := <-warm
	figures, err := watch.figures(ctx, n)
	if err := firstOf([]error{emptied, err, stop()}); err != nil {
		return nil, err
	}
	if got := ran.Load(); got != int64(warmUp+n) {
		return nil, fmt.Errorf("%d tasks ran %d times", warmUp+n, got)
	}
	return figures, nil
}
