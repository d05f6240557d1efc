package main

import (
	"context"
	"errors"
	"net"
	"slices"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/api"
	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/memwatch"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/internal/webhooks"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "serve the HTTP API", Category: "Yard",
		Description: "/docs is a page to try it, /openapi.json its description. While no key was ever made (producer keys add),\n" +
			"only this machine is served.\n\n" + config.TracingHelp,
		Flags:  slices.Concat(config.APIFlags(), config.WebhookFlags(), config.ClientFlags(), config.DoorCacheFlags(), config.RedisFlags(), config.LogFlags("info")),
		Action: serve,
	}
}

func serve(c *cli.Context) error {
	if c.Args().Present() {
		return config.Usage("serve takes no arguments, got %q", c.Args().First())
	}
	cfg, err := config.API(c)
	if err != nil {
		return err
	}
	certificate, err := config.APITLS(c)
	if err != nil {
		return err
	}
	hooks, err := config.WebhookSettings(c)
	if err != nil {
		return err
	}
	redis, err := config.Broker(c, "producer")
	if err != nil {
		return err
	}
	limits, err := config.Client(c)
	if err != nil {
		return err
	}
	logging, err := config.Logging(c, c.App.ErrWriter)
	if err != nil {
		return err
	}
	tracing, err := config.Tracing()
	if err != nil {
		return err
	}
	log := app.NewLogger(c.App.ErrWriter, app.LogConfig(logging))
	// With a full cache and ten thousand who wait: rather collect more often than
	// be ended by the kernel.
	memwatch.SetGoLimit(memwatch.Limit(), 0)
	return app.Run(c.Context, log, func(ctx context.Context, a *app.App) error {
		// The port first: a taken one fails before Redis is asked anything.
		l, err := app.Listen(ctx, cfg.Listen, "listen")
		if err != nil {
			return err
		}
		a.OnClose("listener", func() error { l.Close(); return nil }) // the server has closed it, if it started
		tracer, err := a.Trace(ctx, tracing, "producer")
		if err != nil {
			return err
		}
		b, err := broker.Open(ctx, redis, log)
		if err != nil {
			return err
		}
		a.OnClose("redis", b.Close)
		a.Go("redis health", func() error { return b.Run(ctx) })
		cl, err := client.New(b, limits)
		if err != nil {
			return err
		}
		a.OnClose("client", cl.Close)
		return serveAPI(ctx, a, door{cfg, certificate, hooks, l, b, cl, log, tracer})
	})
}

// door is what the API is served with.
type door struct {
	cfg         api.Config
	certificate config.TLS
	hooks       config.Webhooks
	listener    net.Listener
	broker      *broker.Broker
	client      *client.Client
	log         zerolog.Logger
	tracer      *trace.Tracer
}

func serveAPI(ctx context.Context, a *app.App, d door) error {
	serving := app.ServerConfig{WriteTimeout: api.WriteTimeout, MaxConnections: d.cfg.Connections()}
	if d.certificate.Cert != "" {
		var err error
		if serving.TLS, err = app.TLS(d.certificate.Cert, d.certificate.Key, d.log); err != nil {
			return config.Usage("--tls-cert: %w", err)
		}
	}
	doorKeys, err := api.OpenKeys(ctx, d.broker, d.client)
	if err != nil {
		return err
	}
	a.Keep(ctx, "keys", doorKeys.Run)
	registry := app.NewRegistry()
	registry.MustRegister(d.broker.Metrics(), d.client.Metrics())
	hooks := webhooks.New(d.broker)
	if d.hooks.Master != nil {
		calls := api.WebhookConfig(d.client, d.hooks.Master, d.hooks.AllowPrivate, d.log, registry)
		calls.Tracer = d.tracer
		deliverer := hooks.NewDeliverer(calls)
		a.Go("webhooks", func() error { return deliverer.Run(ctx) })
	}
	h, err := api.New(d.cfg, api.Deps{
		Client: d.client, Keys: doorKeys, Webhooks: hooks, Ready: d.broker.Ping, Metrics: app.Metrics(registry), Registry: registry, Log: d.log,
		Stopping: ctx.Done(), Version: app.Version(), Tracer: d.tracer,
	})
	if remote, ok := errors.AsType[*api.RemoteError](err); ok {
		return config.Usage("%w", remote)
	}
	if err != nil {
		return err
	}
	d.log.Info().Msg(api.Welcome(d.cfg, doorKeys))
	a.ServeWith("api", d.listener, h, serving)
	return nil
}
