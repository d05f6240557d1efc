// Command monitor shows the yard: as a live page, as metrics, and as a table.
package main

import (
	"context"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/config"
)

func main() {
	ctx, stop := app.Signals(context.Background(), os.Exit)
	code := run(ctx, os.Args[1:], config.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}

// run is the whole program: arguments in, exit code out.
func run(ctx context.Context, args []string, s config.Streams) int {
	return config.Run(ctx, &cli.App{
		Name: "monitor", Version: app.Version(), Usage: "watch the yard",
		Description: "Without a command it serves the pages at /, Asynqmon at /asynqmon/, /scale for autoscalers, and /metrics, /healthz, /readyz.",
		Flags: slices.Concat(config.PageFlags("listen"), []cli.Flag{config.AllowRemoteFlag()}, config.MonitorFlags(), config.ClientFlags(),
			config.RedisFlags(), config.LogFlags("info")),
		Commands: []*cli.Command{statusCommand(), topCommand(), checkCommand(), whyCommand(), scaleCommand(), app.HealthcheckCommand()},
		Action:   serve,
	}, args, s)
}
