package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/report"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "show all four kinds of work on a fresh yard",
		Description: "Starts everything in a temporary folder, parses, searches, fetches and generates, and prints what came out.\n" +
			"On a terminal it then stays, so that the monitor can be looked at. Exit code 1 if a task failed.",
		Flags: slices.Concat([]cli.Flag{
			&cli.BoolFlag{Name: "once", Usage: "end after the report, also on a terminal"},
			&cli.BoolFlag{Name: "offline", Usage: "ask no package registry but the one that the demo brings"},
		}, config.APIFlags(), config.PageFlags("monitor-listen"), config.MonitorFlags(), yardFlags(), config.LogFlags("warn")),
		Action: demo,
	}
}

func demo(c *cli.Context) error {
	if c.Args().Present() {
		return config.Usage("demo takes no arguments, got %q", c.Args().First())
	}
	d, err := readDoors(c)
	if err != nil {
		return err
	}
	s, err := read(c)
	if err != nil {
		return err
	}
	t := config.TerminalOf(c.App.Writer)
	show := &screen{out: c.App.Writer, style: report.Style{Color: t.Color, Width: t.Width}}
	return within(c.Context, s, func(ctx context.Context, a *app.App) error {
		if s.registry.DataDir, err = temporary(a); err != nil {
			return err
		}
		packages, err := parcels(ctx, a, &s.registry.SDK, c.Bool("offline"))
		if err != nil {
			return err
		}
		started := time.Now()
		metrics := app.NewRegistry()
		y, err := open(ctx, a, s, metrics)
		if err != nil {
			return err
		}
		with := shown{metrics: metrics}
		if with.api, err = listenSomewhere(ctx, a, show, d.api.Listen, "listen"); err != nil {
			return err
		}
		if with.page, err = listenSomewhere(ctx, a, show, d.page, "monitor-listen"); err != nil {
			return err
		}
		if err := y.show(ctx, a, s, d, with); err != nil {
			return err
		}
		show.line("%s %s", show.style.Title("Jobyard"), show.style.Dim(fmt.Sprintf("%s · %s · open after %s", app.Version(), y.engine, report.Span(time.Since(started)))))
		tale := &story{yard: y, screen: show}
		if err := tale.tell(ctx, packages); err != nil {
			return err
		}
		stay := t.Is && !c.Bool("once")
		tale.end(with, stay)
		if stay {
			<-ctx.Done()
		}
		return tale.verdict()
	})
}

// listenSomewhere takes another port where the wanted one is taken: a demo must
// not fail on that, but say so.
func listenSomewhere(ctx context.Context, a *app.App, show *screen, at, flag string) (net.Listener, error) {
	l, err := listen(ctx, a, at, flag)
	if err == nil || !app.InUse(err) {
		return l, err
	}
	host, _, splitErr := net.SplitHostPort(at)
	if splitErr != nil {
		return nil, err
	}
	if l, err = listen(ctx, a, net.JoinHostPort(host, "0"), flag); err != nil {
		return nil, err
	}
	show.line("%s", show.style.Dim(fmt.Sprintf("%s is taken by another process; --%s is %s instead", at, flag, l.Addr())))
	return l, nil
}
