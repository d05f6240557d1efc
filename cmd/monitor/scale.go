package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/monitor"
	"github.com/jobyard/jobyard/internal/monitor/scale"
)

func scaleCommand() *cli.Command {
	return &cli.Command{
		Name: "scale", Usage: "keep as many workers as the work needs, by docker compose",
		Description: "More workers are started at once. Fewer: the idlest is asked to drain, and is stopped when nothing runs there any more; " +
			"a worker that works is never stopped. Start only one scale.",
		Flags:  slices.Concat(config.FleetFlags(), lookFlags(), config.LogFlags("info")),
		Action: runScale,
	}
}

func runScale(c *cli.Context) error {
	if c.Args().Present() {
		return config.Usage("monitor scale takes no arguments, got %q", c.Args().First())
	}
	fleet, err := config.Fleet(c)
	if err != nil {
		return err
	}
	logging, err := config.Logging(c, c.App.ErrWriter)
	if err != nil {
		return err
	}
	log := app.NewLogger(c.App.ErrWriter, app.LogConfig(logging))
	return look(c, func(cfg monitor.Config, b *broker.Broker) error {
		yard, err := monitor.ScaleYard(cfg, b, fleet.DryRun)
		if err != nil {
			return err
		}
		run := scale.Execute
		if fleet.DryRun {
			run = scale.Echo(log)
			fleet.Commands.List = "" // nothing is stopped that would have to be one of them
		}
		d := scale.NewDriver(cfg.Scale, yard, fleet.Commands.Fleet(run), log)
		if fleet.Once {
			d.Step(c.Context)
			return nil
		}
		return d.Run(c.Context, fleet.Every)
	})
}
