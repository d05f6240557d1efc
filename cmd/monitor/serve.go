package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/memwatch"
	"github.com/jobyard/jobyard/internal/monitor"
)

// noWriteTimeout: the page holds a live stream, whose writes have deadlines of
// their own.
const noWriteTimeout = 0

func serve(c *cli.Context) error {
	if c.Args().Present() {
		return config.Usage("monitor has the commands status, top, check, why and scale, not %q", c.Args().First())
	}
	cfg, err := config.Monitor(c)
	if err != nil {
		return err
	}
	at, welcome, err := config.Page(c, "listen", cfg)
	if err != nil {
		return err
	}
	redis, err := config.Broker(c, "monitor")
	if err != nil {
		return err
	}
	logging, err := config.Logging(c, c.App.ErrWriter)
	if err != nil {
		return err
	}
	log := app.NewLogger(c.App.ErrWriter, app.LogConfig(logging))
	memwatch.SetGoLimit(memwatch.Limit(), 0)
	return app.Run(c.Context, log, func(ctx context.Context, a *app.App) error {
		l, err := app.Listen(ctx, at, "listen")
		if err != nil {
			return err
		}
		a.OnClose("listener", func() error { l.Close(); return nil }) // the server has closed it, if it started
		b, err := broker.Open(ctx, redis, log)
		if err != nil {
			return err
		}
		a.OnClose("redis", b.Close)
		a.Go("redis health", func() error { return b.Run(ctx) })
		m, err := monitor.New(cfg, b, log)
		if err != nil {
			return err
		}
		log.Info().Msg(welcome)
		a.Go("samples", func() error { return m.Run(ctx) })
		a.Serve("page", l, app.Local(at, m.Handler()), noWriteTimeout)
		// Closed before the server: live streams would hold up its end.
		a.OnClose("monitor", m.Close)
		return nil
	})
}
