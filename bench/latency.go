package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

const (
	// fastPoll is asynq's poll in the rows where it does not poll once a second.
	fastPoll = 5 * time.Millisecond
	// slowNodes are how many nodes that poll once a second are sampled at once.
	slowNodes = 8
)

// latencyTrial gives an idle node one task now and then.
func latencyTrial(p *pair, n counts) trial {
	const ours, base, fast = 0, 1, 2
	const unit = "ms"
	note := fmt.Sprintf("idle_latency: from before the enqueue until the handler starts, at random moments; raw asynq polls once a second "+
		"(its default; %d nodes side by side, each with a queue of its own, for enough samples), in the rows _vs_5ms every %s.", slowNodes, fastPoll)
	quick := probe{warm: 10, samples: n.samples, gap: 20 * time.Millisecond}
	slow := probe{warm: 1, samples: n.slow, gap: 1500 * time.Millisecond}
	return trial{
		subjects: []subject{
			{"ours idle latency", p.ours, func(ctx context.Context) ([]float64, error) { return p50p99(pickupOurs(ctx, p.ours, quick)) }},
			{"raw idle latency", p.base, func(ctx context.Context) ([]float64, error) {
				return p50p99(pickupRaw(ctx, p.base, slow, slowNodes, 0))
			}},
			{"raw idle latency 5ms", p.base, func(ctx context.Context) ([]float64, error) {
				return p50p99(pickupRaw(ctx, p.base, quick, 1, fastPoll))
			}},
		},
		rows: []row{
			{"idle_latency_p50", unit, true, figure{ours, 0}, figure{base, 0}, false, note},
			{"idle_latency_p99", unit, true, figure{ours, 1}, figure{base, 1}, false, note},
			{"idle_latency_p50_vs_5ms", unit, true, figure{ours, 0}, figure{fast, 0}, false, note},
			{"idle_latency_p99_vs_5ms", unit, true, figure{ours, 1}, figure{fast, 1}, false, note},
		},
	}
}

func p50p99(samples []float64, err error) ([]float64, error) {
	return []float64{percentile(samples, 50), percentile(samples, 99)}, err
}

// probe says how an idle node is sampled: warm tasks go ahead; before each of
// the samples the node is left alone for up to gap, so that they fall into any
// phase of a poll.
type probe struct {
	warm, samples int
	gap           time.Duration
}

// run takes the samples in ms of a node whose handler tells started.
func (p probe) run(ctx context.Context, started <-chan time.Time, enqueue func(i int) error) ([]float64, error) {
	var samples []float64
	for i := range p.warm + p.samples {
		if i >= p.warm {
			if err := pause(ctx, rand.N(p.gap)); err != nil {
				return nil, err
			}
		}
		from := time.Now()
		if err := enqueue(i); err != nil {
			return nil, err
		}
		select {
		case at := <-started:
			if i >= p.warm {
				samples = append(samples, milliseconds(at.Sub(from)))
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return samples, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func pickupOurs(ctx context.Context, s *server, p probe) (samples []float64, err error) {
	if err := s.reset(ctx); err != nil {
		return nil, err
	}
	c, err := openClient(ctx, s.url)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	started := make(chan time.Time, 1)
	stop, err := startNode(ctx, s.url, slots, jobs(func(string) { started <- time.Now() }))
	if err != nil {
		return nil, err
	}
	defer closing(stop, &err)
	return p.run(ctx, started, func(i int) error {
		_, err := c.Enqueue(ctx, request(i))
		return err
	})
}

// pickupRaw samples some nodes at once; a poll of zero is asynq's default.
func pickupRaw(ctx context.Context, s *server, p probe, nodes int, poll time.Duration) ([]float64, error) {
	if err := s.reset(ctx); err != nil {
		return nil, err
	}
	samples, errs := make([][]float64, nodes), make([]error, nodes)
	var running sync.WaitGroup
	for i := range nodes {
		running.Go(func() { samples[i], errs[i] = pickupNode(ctx, s, p, kind+strconv.Itoa(i), poll) })
	}
	running.Wait()
	return slices.Concat(samples...), firstOf(errs)
}

func pickupNode(ctx context.Context, s *server, p probe, queue string, poll time.Duration) (samples []float64, err error) {
	c, err := rawClient(s.url)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	started := make(chan time.Time, 1)
	cfg := asynq.Config{Concurrency: slots, Queues: map[string]int{queue: 1}, TaskCheckInterval: poll}
	stop, err := startRaw(s.url, cfg, func(string) { started <- time.Now() })
	if err != nil {
		return nil, err
	}
	defer closing(stop, &err)
	return p.run(ctx, started, func(i int) error {
		_, err := c.EnqueueContext(ctx, asynq.NewTask(kind, payload(i)), asynq.Queue(queue))
		return err
	})
}

// closing stops a node at the end of a function, and keeps the first error.
func closing(stop func() error, err *error) {
	*err = firstOf([]error{*err, stop()})
}

func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
