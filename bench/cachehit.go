package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/tasks"
)

// cacheTrial asks for the result of the same task again and again: once it is
// kept, and side by side run each time. Both sides are ours: raw asynq keeps no
// results for others.
func cacheTrial(p *pair, n counts) trial {
	const middle = 3
	note := fmt.Sprintf("cache_hit: round trip of a task whose result is in Redis (median time; one caller, which keeps nothing in memory); "+
		"the base is ours, too: the same task with no_cache. Its job does nothing, concurrency %d, so what is saved is the worker's part of the way, not the work.", slots)
	return trial{
		subjects: []subject{
			{"ours cached", p.ours, tripsCached(p.ours, n.trips)},
			{"ours not cached", p.ours, tripsCached(p.ours, n.trips, tasks.WithoutCache())},
		},
		rows: []row{{"cache_hit", "ms", true, figure{0, middle}, figure{1, middle}, false, note}},
	}
}

// errNotServed tells that a round measured something else than it should.
var errNotServed = errors.New("the results are not from where they should be")

func tripsCached(s *server, n int, opts ...tasks.Option) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) (figures []float64, err error) {
		if err := s.reset(ctx); err != nil {
			return nil, err
		}
		cfg := client.DefaultConfig()
		cfg.RedisURL, cfg.CacheBytes = s.url, 0
		c, err := client.Open(ctx, cfg)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		stop, err := startCachingNode(ctx, s.url, slots, jobs(func(string) {}), cache.DefaultConfig())
		if err != nil {
			return nil, err
		}
		defer closing(stop, &err)
		r, err := tasks.ConfigGen.New(tasks.ConfigGenPayload{Template: "dotenv", Parameters: []byte(`{"variables":[{"name":"PORT","value":"8080"}]}`)}, opts...)
		if err != nil {
			return nil, err
		}
		ask := func(want bool) error {
			t, err := c.Do(ctx, r)
			switch {
			case err != nil:
				return err
			case t.Error != nil:
				return t.Error
			case (t.Cached != "") != want:
				return fmt.Errorf("%w: cached is %q", errNotServed, t.Cached)
			}
			return nil
		}
		cached := len(opts) == 0
		// A result is written to Redis behind the answer.
		for cached && ctx.Err() == nil {
			if err := ask(true); err == nil {
				break
			} else if !errors.Is(err, errNotServed) {
				return nil, err
			}
		}
		return s.trips(ctx, n, 1, func(int) error { return ask(cached) })
	}
}
