package main

import (
	"encoding/json"
	"errors"
	"os"
	"slices"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/monitor"
)

func lookFlags() []cli.Flag {
	return slices.Concat(config.MonitorFlags(), config.ClientFlags(), config.RedisFlags())
}

// look reads the settings of a command that looks, and connects.
func look(c *cli.Context, do func(cfg monitor.Config, b *broker.Broker) error) error {
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
	return errors.Join(do(cfg, b), b.Close())
}

func checkCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "say in one line how the yard is, for scripts",
		Description: "Exit code 0 if all is well, 1 if there is trouble, 3 if Redis is away. What only needs attention is 0, and 1 with --strict.",
		Flags:       append([]cli.Flag{&cli.BoolFlag{Name: "strict", Usage: "fail also for what only needs attention"}}, lookFlags()...),
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return config.Usage("monitor check takes no arguments, got %q", c.Args().First())
			}
			return look(c, func(cfg monitor.Config, b *broker.Broker) error {
				level, err := monitor.Check(c.Context, cfg, b, c.App.Writer)
				if err == nil && (level == monitor.Bad || level == monitor.Warn && c.Bool("strict")) {
					err = &config.FailedError{Count: 1}
				}
				return err
			})
		},
	}
}

func whyCommand() *cli.Command {
	return &cli.Command{
		Name: "why", Usage: "say why a task waits, and when it should start", ArgsUsage: "ID",
		Flags: slices.Concat(lookFlags(), config.OutputFlags()),
		Action: func(c *cli.Context) error {
			if c.Args().Len() != 1 {
				return config.Usage("monitor why takes the id of one task, got %d arguments", c.Args().Len())
			}
			return look(c, func(cfg monitor.Config, b *broker.Broker) error {
				why, err := monitor.Explain(c.Context, cfg, b, c.Args().First())
				if err != nil {
					return err
				}
				if c.Bool("json") {
					e := json.NewEncoder(c.App.Writer)
					e.SetIndent("", "  ")
					return e.Encode(why)
				}
				return monitor.WriteWhy(c.App.Writer, why)
			})
		},
	}
}

func topCommand() *cli.Command {
	return &cli.Command{
		Name: "top", Usage: "watch queues and nodes in the terminal",
		Description: "q or Ctrl-C ends it. Where the output is no terminal it writes one picture as plain text.",
		Flags:       lookFlags(),
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return config.Usage("monitor top takes no arguments, got %q", c.Args().First())
			}
			return look(c, func(cfg monitor.Config, b *broker.Broker) error {
				s, restore := terminal(c)
				defer restore()
				return monitor.Top(c.Context, cfg, b, s)
			})
		},
	}
}

// terminal makes the output a screen, if it is one. In raw mode keys come as
// they are pressed; restore must be called.
func terminal(c *cli.Context) (s monitor.Screen, restore func()) {
	t := config.TerminalOf(c.App.Writer)
	s, restore = monitor.Screen{Out: c.App.Writer, Color: t.Color}, func() {}
	out, ok := c.App.Writer.(*os.File)
	if !t.Is || !ok {
		return s, restore
	}
	s.Size = func() (int, int) {
		columns, rows, err := term.GetSize(int(out.Fd()))
		if err != nil {
			return 80, 24
		}
		return columns, rows
	}
	in, ok := c.App.Reader.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return s, restore
	}
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return s, restore
	}
	quit := make(chan struct{})
	s.Quit = quit
	go func() { // it ends with the program: a read from a terminal cannot be called off
		defer close(quit)
		key := make([]byte, 1)
		for {
			n, err := in.Read(key)
			const ctrlC = 3
			if err != nil || n == 1 && (key[0] == 'q' || key[0] == ctrlC) {
				return
			}
		}
	}()
	return s, func() { term.Restore(int(in.Fd()), before) } //nolint:errcheck // nothing is left to be done
}
