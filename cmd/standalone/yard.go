package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/internal/worker"
)

// settings are what every command of standalone reads.
type settings struct {
	// redis makes the connection's settings once the address is known; url is
	// empty for a Redis of our own.
	redis    func(url string) (broker.Config, error)
	url      string
	client   client.Config
	worker   worker.Config
	registry worker.RegistryConfig
	log      zerolog.Logger
	tracing  bool
}

func read(c *cli.Context) (s settings, err error) {
	s.url = c.String("redis-url")
	s.redis = func(url string) (broker.Config, error) { return config.BrokerAt(c, "standalone", url) }
	// A wrong address or pool is told before anything is started.
	probe := s.url
	if probe == "" {
		probe = "unix:///of/its/own"
	}
	if _, err = s.redis(probe); err != nil {
		return s, err
	}
	if s.client, err = config.Client(c); err != nil {
		return s, err
	}
	if s.worker, err = config.Worker(c); err != nil {
		return s, err
	}
	logging, err := config.Logging(c, c.App.ErrWriter)
	if err != nil {
		return s, err
	}
	s.log = app.NewLogger(c.App.ErrWriter, app.LogConfig(logging))
	if s.tracing, err = config.Tracing(); err != nil {
		return s, err
	}
	s.registry, err = config.Registry(c)
	return s, err
}

// yard is Redis, a client and a worker in this process.
type yard struct {
	broker *broker.Broker
	client *client.Client
	tracer *trace.Tracer
	// engine is what Redis is: redis-server, miniredis, or an address.
	engine string
}

// open starts the yard; its parts are closed by a. The registry's data folder
// must be set.
func open(ctx context.Context, a *app.App, s settings, metrics prometheus.Registerer) (*yard, error) {
	if err := lock(a, s.registry.DataDir); err != nil {
		return nil, err
	}
	tracer, err := a.Trace(ctx, s.tracing, "standalone")
	if err != nil {
		return nil, err
	}
	y := &yard{tracer: tracer}
	if err := y.connect(ctx, a, s); err != nil {
		return nil, err
	}
	metrics.MustRegister(y.broker.Metrics())
	if y.client, err = client.New(y.broker, s.client); err != nil {
		return nil, err
	}
	a.OnClose("client", y.client.Close)
	jobs, err := worker.OpenRegistry(ctx, s.registry, y.broker, s.log, metrics)
	if err != nil {
		return nil, fmt.Errorf("open the jobs: %w", err)
	}
	a.OnClose("jobs", jobs.Close)
	a.Keep(ctx, "library", jobs.Run)
	w, err := worker.New(s.worker, y.broker, jobs, s.log, metrics)
	if err != nil {
		return nil, err
	}
	w.LimitHeap()
	w.Trace(tracer)
	a.Go("worker", func() error { return w.Run(ctx) })
	return y, nil
}

// connect opens the Redis that is named, or starts one.
func (y *yard) connect(ctx context.Context, a *app.App, s settings) error {
	url := s.url
	if url == "" {
		own, err := broker.StartEmbedded(ctx, broker.EmbeddedConfig{Dir: filepath.Join(s.registry.DataDir, "redis")})
		if err != nil {
			return fmt.Errorf("start a Redis of our own: %w", err)
		}
		a.OnClose("redis-server", own.Close)
		url, y.engine = own.URL, own.Engine
		if own.PID == 0 {
			s.log.Warn().Msg("redis-server is not on PATH: a stand-in keeps the tasks in memory only")
		}
	}
	cfg, err := s.redis(url)
	if err != nil {
		return err
	}
	if y.broker, err = broker.Open(ctx, cfg, s.log); err != nil {
		return err
	}
	a.OnClose("redis", y.broker.Close)
	a.Keep(ctx, "redis health", y.broker.Run)
	if y.engine == "" {
		y.engine = y.broker.Place()
	}
	return nil
}

// lock makes the data folder ours: two Redis servers that write one append-only
// file would destroy it.
func lock(a *app.App, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return config.Usage("--data-dir: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return config.Usage("--data-dir: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(f.Close(), config.Usage("--data-dir: %s is used by another process: end it, or name another folder", dir))
	}
	a.OnClose("data folder", f.Close)
	return nil
}

// within gives do an app that is closed after it.
func within(ctx context.Context, s settings, do func(context.Context, *app.App) error) error {
	a, ctx := app.New(ctx, s.log)
	return errors.Join(do(ctx, a), a.Close())
}

// temporary makes a data folder that goes away with a.
func temporary(a *app.App) (string, error) {
	dir, err := os.MkdirTemp("", "jobyard-data-")
	if err != nil {
		return "", fmt.Errorf("make a temporary folder: %w", err)
	}
	a.OnClose("temporary folder", func() error { return os.RemoveAll(dir) })
	return dir, nil
}
