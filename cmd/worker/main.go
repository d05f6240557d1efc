// Command worker runs tasks until it is stopped, and then drains.
package main

import (
	"context"
	"os"
	"slices"

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
		Name: "worker", Version: app.Version(), Usage: "run tasks",
		Description: "The first SIGTERM or SIGINT drains: running tasks finish, the rest goes back to the queue. A second one ends it\n" +
			"at once; its tasks then run again elsewhere within seconds. SIGQUIT writes what runs to stderr and ends nothing; so\n" +
			"does /debug/dump of --admin-listen, where only this machine reaches it.\n\n" +
			"sdk_fetch takes the addresses of packages from the ecosystems' own settings: $GOPROXY, $GOSUMDB, $GOPRIVATE and\n" +
			"what go env says, $NPM_CONFIG_REGISTRY, .npmrc and what npm config says.\n\n" + config.TracingHelp,
		Flags: slices.Concat(config.WorkerFlags(), []cli.Flag{config.DataDirFlag("a temporary folder"), config.AdminFlag()},
			config.RedisFlags(), config.LogFlags("info")),
		Commands: []*cli.Command{app.HealthcheckCommand()},
		Action:   serve,
	}, args, s)
}
