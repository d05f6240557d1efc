package main

import (
	"slices"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/monitor"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "show queues and nodes once",
		Description: "Exit code 1 if something is wrong that a person must look at, 3 if Redis is away.",
		Flags:       slices.Concat(config.MonitorFlags(), config.ClientFlags(), config.RedisFlags(), config.OutputFlags()),
		Action:      status,
	}
}

func status(c *cli.Context) error {
	if c.Args().Present() {
		return config.Usage("monitor status takes no arguments, got %q", c.Args().First())
	}
	cfg, err := config.Monitor(c)
	if err != nil {
		return err
	}
	redis, err := config.Broker(c, "monitor")
	if err != nil {
		return err
	}
	b, err := broker.Open(c.Context, redis, zerolog.Nop())
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // the program ends here
	format := monitor.StatusFormat{JSON: c.Bool("json"), Color: config.TerminalOf(c.App.Writer).Color}
	level, err := monitor.Status(c.Context, cfg, b, c.App.Writer, format)
	if err == nil && level == monitor.Bad {
		err = &config.FailedError{Count: 1}
	}
	return err
}
