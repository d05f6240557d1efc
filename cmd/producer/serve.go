package main

import (
	"context"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/api"
	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/config"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "serve the HTTP API", Category: "Yard",
		Description: "See /openapi.json. While there are no keys, only this machine is served.",
		Flags:       slices.Concat(config.APIFlags(), config.ClientFlags(), config.RedisFlags(), config.LogFlags("info")),
		Action:      serve,
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
	log := app.NewLogger(c.App.ErrWriter, app.LogConfig(logging))
	return app.Run(c.Context, log, func(ctx context.Context, a *app.App) error {
		// The port first: a taken one fails before Redis is asked anything.
		l, err := app.Listen(ctx, cfg.Listen, "listen")
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
		cl, err := client.New(b, limits)
		if err != nil {
			return err
		}
		a.OnClose("client", cl.Close)
		registry := app.NewRegistry()
		h, err := api.New(cfg, api.Deps{
			Client: cl, Ready: b.Ping, Metrics: app.Metrics(registry), Registry: registry, Log: log, Stopping: ctx.Done(), Version: app.Version(),
		})
		if err != nil {
			return err
		}
		if cfg.AllowRemote {
			log.Warn().Msg("there are no keys: whoever reaches this address can run tasks")
		} else {
			log.Info().Msg("there are no keys: only this machine is served")
		}
		a.Serve("api", l, h, api.WriteTimeout)
		return nil
	})
}
