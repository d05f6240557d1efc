package config

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/monitor/scale"
)

// FleetConfig says how workers are started and stopped.
type FleetConfig struct {
	Commands scale.Commands
	Every    time.Duration
	// DryRun tells the commands and runs none; Once looks a single time.
	DryRun, Once bool
}

// FleetFlags say how monitor scale starts and stops workers.
func FleetFlags() []cli.Flag {
	d := scale.ComposeCommands("worker")
	return []cli.Flag{
		&cli.StringFlag{Name: "up-command", Category: scaleCategory, Value: d.Up, Usage: "brings the workers to {count}; run without a shell"},
		&cli.StringFlag{Name: "stop-command", Category: scaleCategory, Value: d.Stop, Usage: "ends the worker on {host}; && parts commands"},
		&cli.StringFlag{Name: "list-command", Category: scaleCategory, Value: d.List, Usage: "writes the workers' ids, of which {host} must be one's beginning; empty trusts the heartbeats"},
		&cli.DurationFlag{Name: "scale-every", Category: scaleCategory, Value: 10 * time.Second, Usage: "how often the yard is looked at"},
		&cli.BoolFlag{Name: "dry-run", Usage: "say what would be done, and do nothing"},
		&cli.BoolFlag{Name: "once", Usage: "look once and end"},
	}
}

// Fleet reads FleetFlags.
func Fleet(c *cli.Context) (FleetConfig, error) {
	f := FleetConfig{
		Commands: scale.Commands{Up: c.String("up-command"), Stop: c.String("stop-command"), List: c.String("list-command")},
		Every:    c.Duration("scale-every"), DryRun: c.Bool("dry-run"), Once: c.Bool("once"),
	}
	if f.Every < time.Second || f.Every > time.Hour {
		return f, Usage("--scale-every must be from 1s to 1h, got %s", f.Every)
	}
	return f, wrong(f.Commands.Validate())
}
