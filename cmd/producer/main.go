// Command producer hands tasks to the yard, shows what became of them, and
// serves the HTTP API.
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
	program := &cli.App{
		Name: "producer", Version: app.Version(),
		Usage: "hand tasks to the yard and get their results",
		Description: "Exit codes: 0 ok, 1 the task failed, 2 wrong usage or input, 3 no answer (Redis away, or the wait\n" +
			"timed out), 4 queue full. Results are written to stdout, everything else to stderr.",
		Commands: []*cli.Command{
			enqueueCommand(), searchCommand(), fetchCommand(), configCommand(), parseCommand(), batchCommand(),
			statusCommand(), resultCommand(), cancelCommand(), deadCommand(), blobCommand(), doctorCommand(), serveCommand(),
			keysCommand(), webhooksCommand(), mcpCommand(), app.HealthcheckCommand(),
		},
	}
	return config.Run(ctx, program, args, s)
}

// flags are those of every command that talks to the yard, and its own.
func flags(own ...cli.Flag) []cli.Flag {
	return slices.Concat(own, config.ClientFlags(), config.DoorCacheFlags(), config.RedisFlags(), config.OutputFlags())
}
