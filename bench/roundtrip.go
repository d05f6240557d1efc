package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
)

// roundTripTrial enqueues tasks and waits for their results.
func roundTripTrial(p *pair, n counts) trial {
	const ours1, base1, ours64, base64 = 0, 1, 2, 3
	const perSecond, middle = 0, 3
	note := fmt.Sprintf("roundtrip: enqueue, run, result back in the caller; one caller (median time) and %d at once (rate), concurrency %d. "+
		"Raw asynq has no way to wait, so this is its best case: it polls every %s and its handler tells the waiter inside the process, "+
		"before the acknowledgement; ours is committed first and told through Redis.", callers, slots, fastPoll)
	many := n.trips * 20
	return trial{
		subjects: []subject{
			{"ours roundtrip 1", p.ours, tripsOurs(p.ours, n.trips, 1)},
			{"raw roundtrip 1", p.base, tripsRaw(p.base, n.trips, 1)},
			{"ours roundtrip 64", p.ours, tripsOurs(p.ours, many, callers)},
			{"raw roundtrip 64", p.base, tripsRaw(p.base, many, callers)},
		},
		rows: []row{
			{"roundtrip_1", "ms", true, figure{ours1, middle}, figure{base1, middle}, false, note},
			{"roundtrip_64", "tasks/s", false, figure{ours64, perSecond}, figure{base64, perSecond}, true, note},
		},
	}
}

// trips makes n round trips after some to warm up; the figures are those of the
// stopwatch and the median time of one in ms.
func (s *server) trips(ctx context.Context, n, callers int, trip func(i int) error) ([]float64, error) {
	warm := n / 10
	if err := inFlight(ctx, 0, warm, callers, trip); err != nil {
		return nil, err
	}
	times := make([]float64, n)
	watch := s.watch(ctx)
	err := inFlight(ctx, warm, warm+n, callers, func(i int) error {
		from := time.Now()
		err := trip(i)
		times[i-warm] = milliseconds(time.Since(from))
		return err
	})
	if err != nil {
		return nil, err
	}
	figures, err := watch.figures(ctx, n)
	return append(figures, percentile(times, 50)), err
}

func tripsOurs(s *server, n, callers int) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) (figures []float64, err error) {
		if err := s.reset(ctx); err != nil {
			return nil, err
		}
		c, err := openClient(ctx, s.url)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		stop, err := startNode(ctx, s.url, slots, jobs(func(string) {}))
		if err != nil {
			return nil, err
		}
		defer closing(stop, &err)
		return s.trips(ctx, n, callers, func(i int) error {
			t, err := c.Do(ctx, request(i))
			if err == nil && t.Error != nil {
				err = t.Error
			}
			return err
		})
	}
}

func tripsRaw(s *server, n, callers int) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) (figures []float64, err error) {
		if err := s.reset(ctx); err != nil {
			return nil, err
		}
		c, err := rawClient(s.url)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		waiting := make([]chan struct{}, 2*n)
		for i := range waiting {
			waiting[i] = make(chan struct{})
		}
		cfg := asynq.Config{Concurrency: slots, Queues: map[string]int{kind: 1}, TaskCheckInterval: fastPoll}
		stop, err := startRaw(s.url, cfg, func(query string) { close(waiting[number(query)]) })
		if err != nil {
			return nil, err
		}
		defer closing(stop, &err)
		return s.trips(ctx, n, callers, func(i int) error {
			if _, err := c.EnqueueContext(ctx, asynq.NewTask(kind, payload(i)), asynq.Queue(kind)); err != nil {
				return err
			}
			select {
			case <-waiting[i]:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}
}
