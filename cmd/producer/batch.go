package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/batch"
	"github.com/jobyard/jobyard/internal/config"
)

func batchCommand() *cli.Command {
	return &cli.Command{
		Name: "batch", Usage: "run a file of tasks and print their results in order", ArgsUsage: "FILE.ndjson|-", Category: "Tasks",
		Description: `Each line is {"kind": …, "payload": …, "options": …}; each result is one task as JSON on one line.
The tasks go to the kinds' bulk queues. A full queue makes the batch wait.`,
		Flags:  flags(config.BatchFlags()...),
		Action: runBatch,
	}
}

func runBatch(c *cli.Context) error {
	cfg, err := config.Batch(c)
	if err != nil {
		return err
	}
	in, progress, err := config.OpenBatch(c)
	if err != nil {
		return err
	}
	defer in.Close()
	return talk(c, func(ctx context.Context, s *session) error {
		summary, err := batch.Run(ctx, cfg, s.client, batch.Streams{In: in, Out: s.out, Progress: progress.Show})
		progress.Close(summary)
		if err == nil && summary.Failed > 0 {
			err = &config.FailedError{Count: summary.Failed}
		}
		return err
	})
}
