package main

import (
	"context"
	"errors"
	"net"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/api"
	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/monitor"
)

// yardFlags are those of every command that starts a yard.
func yardFlags() []cli.Flag {
	return slices.Concat(config.WorkerFlags(), config.ClientFlags(), config.RedisFlags())
}

func serveFlags() []cli.Flag {
	return slices.Concat(config.APIFlags(), config.PageFlags("monitor-listen"), []cli.Flag{config.DataDirFlag("jobyard in the user's cache folder")},
		config.MonitorFlags(), yardFlags(), config.LogFlags("info"))
}

func runCommand() *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "producer API, worker and monitor, until Ctrl-C", Flags: serveFlags(), Action: serve,
		Description: "Tasks and results are kept in --data-dir between starts.",
	}
}

// doors are what a yard shows by HTTP.
type doors struct {
	api     api.Config
	page    string
	monitor monitor.Config
	// welcome says who may look at the page.
	welcome string
	// certificate is the API's.
	certificate config.TLS
}

func readDoors(c *cli.Context) (d doors, err error) {
	if d.api, err = config.API(c); err != nil {
		return d, err
	}
	if d.certificate, err = config.APITLS(c); err != nil {
		return d, err
	}
	if d.monitor, err = config.Monitor(c); err != nil {
		return d, err
	}
	d.page, d.welcome, err = config.Page(c, "monitor-listen", d.monitor)
	return d, err
}

func serve(c *cli.Context) error {
	if c.Args().Present() {
		return config.Usage("standalone has the commands run, demo and batch, not %q", c.Args().First())
	}
	d, err := readDoors(c)
	if err != nil {
		return err
	}
	s, err := read(c)
	if err != nil {
		return err
	}
	if s.registry.DataDir, err = config.DataDir(c); err != nil {
		return err
	}
	return app.Run(c.Context, s.log, func(ctx context.Context, a *app.App) error {
		apiListener, err := listen(ctx, a, d.api.Listen, "listen")
		if err != nil {
			return err
		}
		pageListener, err := listen(ctx, a, d.page, "monitor-listen")
		if err != nil {
			return err
		}
		metrics := app.NewRegistry()
		y, err := open(ctx, a, s, metrics)
		if err != nil {
			return err
		}
		s.log.Info().Str("redis", y.engine).Str("data", s.registry.DataDir).Msg("the yard is open")
		return y.show(ctx, a, s, d, shown{apiListener, pageListener, metrics})
	})
}

func listen(ctx context.Context, a *app.App, at, flag string) (net.Listener, error) {
	l, err := app.Listen(ctx, at, flag)
	if err == nil {
		a.OnClose(flag, func() error { l.Close(); return nil }) // the server has closed it, if it started
	}
	return l, err
}

// shown is what the doors are served with.
type shown struct {
	api, page net.Listener
	metrics   *prometheus.Registry
}

// show serves the API and the monitor's page.
func (y *yard) show(ctx context.Context, a *app.App, s settings, d doors, with shown) error {
	serving := app.ServerConfig{WriteTimeout: api.WriteTimeout, MaxConnections: d.api.Connections()}
	if d.certificate.Cert != "" {
		var err error
		if serving.TLS, err = app.TLS(d.certificate.Cert, d.certificate.Key, s.log); err != nil {
			return config.Usage("--tls-cert: %w", err)
		}
	}
	doorKeys, err := api.OpenKeys(ctx, y.broker, y.client)
	if err != nil {
		return err
	}
	a.Keep(ctx, "keys", doorKeys.Run)
	h, err := api.New(d.api, api.Deps{
		Client: y.client, Keys: doorKeys, Ready: y.broker.Ping, Metrics: app.Metrics(with.metrics), Registry: with.metrics, Log: s.log,
		Stopping: ctx.Done(), Version: app.Version(), Tracer: y.tracer,
	})
	if remote, ok := errors.AsType[*api.RemoteError](err); ok {
		return config.Usage("%w", remote)
	}
	if err != nil {
		return err
	}
	s.log.Info().Msg(api.Welcome(d.api, doorKeys))
	m, err := monitor.New(d.monitor, y.broker, s.log)
	if err != nil {
		return err
	}
	s.log.Info().Msg(d.welcome)
	a.Go("samples", func() error { return m.Run(ctx) })
	a.ServeWith("api", with.api, h, serving)
	a.Serve("monitor", with.page, app.Local(d.page, m.Handler()), 0) // its live stream has deadlines of its own
	// Closed before the server: live streams would hold up its end.
	a.OnClose("monitor streams", m.Close)
	return nil
}
