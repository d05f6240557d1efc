package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hibiken/asynq"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/tasks"
)

// callers is how many enqueue or wait at once in the rows with 64 in flight.
const callers = 64

// enqueueTrial hands tasks over, with no node that would take them.
func enqueueTrial(p *pair, n counts) trial {
	const ours1, base1, ours64, base64, bulk = 0, 1, 2, 3, 4
	const unit = "tasks/s"
	note := fmt.Sprintf("enqueue: %d tasks of 200 bytes a round, %d of them by one caller one by one; asynq.Client with its defaults.", n.enqueue, n.enqueue/4)
	noteBulk := "enqueue_bulk: one call of EnqueueAll against one caller's loop of Enqueue; enqueue_bulk_vs_64: against 64 callers of raw asynq."
	return trial{
		times: 3,
		subjects: []subject{
			{"ours enqueue 1", p.ours, enqueueOurs(p.ours, n.enqueue/4, 1)},
			{"raw enqueue 1", p.base, enqueueRaw(p.base, n.enqueue/4, 1)},
			{"ours enqueue 64", p.ours, enqueueOurs(p.ours, n.enqueue, callers)},
			{"raw enqueue 64", p.base, enqueueRaw(p.base, n.enqueue, callers)},
			{"ours enqueue bulk", p.ours, enqueueBulk(p.ours, n.enqueue)},
		},
		rows: []row{
			{"enqueue_1", unit, false, figure{ours1, 0}, figure{base1, 0}, true, note},
			{"enqueue_64", unit, false, figure{ours64, 0}, figure{base64, 0}, true, note},
			{"enqueue_bulk", unit, false, figure{bulk, 0}, figure{base1, 0}, true, noteBulk},
			{"enqueue_bulk_vs_64", unit, false, figure{bulk, 0}, figure{base64, 0}, true, noteBulk},
		},
	}
}

// warmUp is how many tasks go ahead of those that count: connections and
// scripts are then in place.
const warmUp = 500

func enqueueOurs(s *server, n, callers int) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) ([]float64, error) {
		if err := s.reset(ctx); err != nil {
			return nil, err
		}
		c, err := openClient(ctx, s.url)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		all := requests(warmUp + n)
		return s.rate(ctx, n, callers, func(i int) error {
			_, err := c.Enqueue(ctx, all[i])
			return err
		})
	}
}

func enqueueRaw(s *server, n, callers int) func(context.Context) ([]float64, error) {
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
		return s.rate(ctx, n, callers, func(i int) error {
			_, err := c.EnqueueContext(ctx, all[i], asynq.Queue(kind))
			return err
		})
	}
}

func enqueueBulk(s *server, n int) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) ([]float64, error) {
		if err := s.reset(ctx); err != nil {
			return nil, err
		}
		c, err := openClient(ctx, s.url)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		all := requests(warmUp+n, tasks.WithQueue("bulk"))
		if err := enqueueAll(ctx, c, all[:warmUp]); err != nil {
			return nil, err
		}
		watch := s.watch(ctx)
		if err := enqueueAll(ctx, c, all[warmUp:]); err != nil {
			return nil, err
		}
		return watch.figures(ctx, n)
	}
}

func enqueueAll(ctx context.Context, c *client.Client, all []tasks.Request) error {
	answers, err := c.EnqueueAll(ctx, all)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a.Err != nil {
			return a.Err
		}
	}
	return nil
}

// rate measures n tasks with so many callers at once, after warmUp others.
func (s *server) rate(ctx context.Context, n, callers int, do func(i int) error) ([]float64, error) {
	if err := inFlight(ctx, 0, warmUp, callers, do); err != nil {
		return nil, err
	}
	watch := s.watch(ctx)
	if err := inFlight(ctx, warmUp, warmUp+n, callers, do); err != nil {
		return nil, err
	}
	return watch.figures(ctx, n)
}

// inFlight calls do for every number in [from, to), callers at a time, and
// returns the first error.
func inFlight(ctx context.Context, from, to, callers int, do func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	next.Store(int64(from))
	var running sync.WaitGroup
	for range callers {
		running.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= to {
					return
				}
				if err := do(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}
