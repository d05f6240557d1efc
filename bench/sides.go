package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/internal/worker"
	"github.com/jobyard/jobyard/tasks"
)

// kind is what both sides work on; both call their queue by its name.
const kind = "search"

// slots is the concurrency of both sides.
const slots = 10

// query is of about 190 bytes. No two are equal, so that nothing can be
// answered from what another one left.
func query(n int) string {
	return fmt.Sprintf("%08d %s", n, strings.Repeat("words to look for ", 10))
}

// number reads what payload was made of.
func number(query string) int {
	n, _ := strconv.Atoi(query[:min(8, len(query))])
	return n
}

// payload is a search for it.
func payload(n int) []byte { return fmt.Appendf(nil, `{"query":%q}`, query(n)) }

// requests are n tasks for our side.
func requests(n int, opts ...tasks.Option) []tasks.Request {
	all := make([]tasks.Request, n)
	for i := range all {
		all[i] = request(i, opts...)
	}
	return all
}

func request(n int, opts ...tasks.Option) tasks.Request {
	r, err := tasks.Search.New(tasks.SearchPayload{Query: query(n)}, append(opts, tasks.WithoutCache())...)
	if err != nil {
		panic(err) // text can be encoded
	}
	return r
}

// rawTasks are n tasks for asynq.
func rawTasks(n int) []*asynq.Task {
	all := make([]*asynq.Task, n)
	for i := range all {
		all[i] = asynq.NewTask(kind, payload(i))
	}
	return all
}

// openClient returns our client, with limits that no round reaches.
func openClient(ctx context.Context, url string) (*client.Client, error) {
	cfg := client.DefaultConfig()
	cfg.RedisURL, cfg.QueueLimit, cfg.BulkLimit = url, 1_000_000, 1_000_000
	return client.Open(ctx, cfg)
}

// jobs serve all four kinds; search does what it is told with the query, the
// others nothing.
func jobs(search func(query string)) worker.Jobs {
	all := worker.Jobs{}
	worker.Register(all, tasks.Search, func(_ context.Context, p tasks.SearchPayload) (tasks.SearchResult, error) {
		search(p.Query)
		return tasks.SearchResult{}, nil
	})
	worker.Register(all, tasks.SDKFetch, nothing[tasks.SDKFetchPayload, tasks.SDKFetchResult])
	worker.Register(all, tasks.ConfigGen, nothing[tasks.ConfigGenPayload, tasks.ConfigGenResult])
	worker.Register(all, tasks.DocumentParse, nothing[tasks.DocumentParsePayload, tasks.DocumentParseResult])
	return all
}

func nothing[P, R any](context.Context, P) (result R, err error) { return result, nil }

// startNode starts our worker with all four kinds. A slots count of zero
// means the worker's default.
func startNode(ctx context.Context, url string, slots int, jobs worker.Jobs) (stop func() error, err error) {
	return startCachingNode(ctx, url, slots, jobs, cache.Config{})
}

// startCachingNode is startNode for one that keeps results for equal tasks.
func startCachingNode(ctx context.Context, url string, slots int, jobs worker.Jobs, keep cache.Config) (stop func() error, err error) {
	bc := broker.DefaultConfig()
	bc.URL = url
	b, err := broker.Open(ctx, bc, zerolog.Nop())
	if err != nil {
		return nil, err
	}
	cfg := worker.DefaultConfig()
	for kind := range cfg.Slots {
		if slots > 0 {
			cfg.Slots[kind] = slots
		}
	}
	var kept *cache.Cache
	if keep != (cache.Config{}) {
		if kept, err = cache.New(keep, b, zerolog.Nop(), nil); err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	w, err := worker.New(cfg, b, &worker.Registry{Jobs: jobs, Cache: kept}, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		return nil, errors.Join(err, kept.Close(), b.Close())
	}
	runs, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(runs) }()
	return func() error {
		cancel()
		return errors.Join(<-ended, kept.Close(), b.Close())
	}, nil
}

// rawPlace is how plain asynq connects: with its own defaults.
func rawPlace(url string) (asynq.RedisConnOpt, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("read redis's address: %w", err)
	}
	return asynq.RedisClientOpt{Network: o.Network, Addr: o.Addr}, nil
}

func rawClient(url string) (*asynq.Client, error) {
	at, err := rawPlace(url)
	if err != nil {
		return nil, err
	}
	return asynq.NewClient(at), nil
}

// startRaw starts a plain asynq server; search gets the query of each task.
func startRaw(url string, cfg asynq.Config, search func(query string)) (stop func() error, err error) {
	at, err := rawPlace(url)
	if err != nil {
		return nil, err
	}
	cfg.LogLevel = asynq.FatalLevel
	s := asynq.NewServer(at, cfg)
	err = s.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		search(strings.TrimPrefix(string(t.Payload()), `{"query":"`))
		return nil
	}))
	if err != nil {
		return nil, fmt.Errorf("start asynq: %w", err)
	}
	return func() error { s.Shutdown(); return nil }, nil
}
