package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/worker"
)

// settings are all that the command line says.
type settings struct {
	redis    broker.Config
	worker   worker.Config
	registry worker.RegistryConfig
	admin    string
	tracing  bool
	log      app.LogConfig
}

func read(c *cli.Context) (s settings, err error) {
	if c.Args().Present() {
		return s, config.Usage("worker takes no arguments, got %q", c.Args().First())
	}
	if s.redis, err = config.Broker(c, "worker"); err != nil {
		return s, err
	}
	if s.worker, err = config.Worker(c); err != nil {
		return s, err
	}
	if s.admin, err = config.Admin(c); err != nil {
		return s, err
	}
	logging, err := config.Logging(c, c.App.ErrWriter)
	if err != nil {
		return s, err
	}
	s.log = app.LogConfig(logging)
	if s.tracing, err = config.Tracing(); err != nil {
		return s, err
	}
	s.registry, err = config.Registry(c)
	return s, err
}

func serve(c *cli.Context) error {
	s, err := read(c)
	if err != nil {
		return err
	}
	log := app.NewLogger(c.App.ErrWriter, s.log)
	return app.Run(c.Context, log, func(ctx context.Context, a *app.App) error {
		l, err := app.Listen(ctx, s.admin, "admin-listen")
		if err != nil {
			return err
		}
		a.OnClose("admin listener", func() error { l.Close(); return nil }) // the server has closed it, if it started
		tracer, err := a.Trace(ctx, s.tracing, "worker")
		if err != nil {
			return err
		}
		b, err := broker.Open(ctx, s.redis, log)
		if err != nil {
			return err
		}
		a.OnClose("redis", b.Close)
		a.Keep(ctx, "redis health", b.Run)
		metrics := app.NewRegistry()
		metrics.MustRegister(b.Metrics())
		jobs, err := worker.OpenRegistry(ctx, s.registry, b, log, metrics)
		if err != nil {
			return fmt.Errorf("open the jobs: %w", err)
		}
		a.OnClose("jobs", jobs.Close)
		a.Keep(ctx, "library", jobs.Run)
		w, err := worker.New(s.worker, b, jobs, log, metrics)
		if err != nil {
			return err
		}
		w.LimitHeap()
		w.Trace(tracer)
		a.Go("worker", func() error { return w.Run(ctx) })
		a.Keep(ctx, "dumps", func(ctx context.Context) error {
			app.EachQuit(ctx, func() {
				if err := w.Dump(c.App.ErrWriter); err != nil {
					log.Error().Err(err).Msg("dump not written")
				}
			})
			return nil
		})
		a.Serve("admin", l, app.Admin(app.AdminConfig{
			Address: s.admin, Metrics: app.Metrics(metrics), Checks: map[string]app.Check{"redis": b.Ping}, About: w.About, Dump: w.Dump,
		}), app.AdminWriteTimeout)
		return nil
	})
}
