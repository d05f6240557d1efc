// Command standalone is the whole yard in one process, with a Redis of its own:
// to try it, to develop against it, and to run a batch on one machine.
package main

import (
	"context"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/worker"
)

func main() {
	if code, is := worker.ServeRunner(os.Args[1:]); is {
		os.Exit(code)
	}
	ctx, stop := app.Signals(context.Background(), os.Exit)
	code := run(ctx, os.Args[1:], config.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}

// run is the whole program: arguments in, exit code out.
func run(ctx context.Context, args []string, s config.Streams) int {
	return config.Run(ctx, &cli.App{
		Name: "standalone", Version: app.Version(), Usage: "the whole yard in one process",
		Description: "Without a command it does what run does. Unless --redis-url names one, it starts a Redis of its own: redis-server\n" +
			"where that is on PATH, else a stand-in that keeps nothing.",
		Flags:    serveFlags(),
		Commands: []*cli.Command{runCommand(), demoCommand(), batchCommand(), app.HealthcheckCommand()},
		Action:   serve,
	}, args, s)
}
