package main

import (
	"context"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/batch"
	"github.com/jobyard/jobyard/internal/config"
)

func batchCommand() *cli.Command {
	return &cli.Command{
		Name: "batch", Usage: "start a yard, run a file of tasks, print their results in order, stop", ArgsUsage: "FILE.ndjson|-",
		Description: `Each line is {"kind": …, "payload": …, "options": …}; each result is one task as JSON on one line.
Exit codes: 0 ok, 1 a task failed, 2 wrong usage or input, 3 no answer.`,
		Flags:  slices.Concat(config.BatchFlags(), []cli.Flag{config.DataDirFlag("a temporary folder")}, yardFlags(), config.LogFlags("warn")),
		Action: runBatch,
	}
}

func runBatch(c *cli.Context) error {
	cfg, err := config.Batch(c)
	if err != nil {
		return err
	}
	s, err := read(c)
	if err != nil {
		return err
	}
	in, progress, err := config.OpenBatch(c)
	if err != nil {
		return err
	}
	defer in.Close()
	return within(c.Context, s, func(ctx context.Context, a *app.App) error {
		if s.registry.DataDir == "" {
			if s.registry.DataDir, err = temporary(a); err != nil {
				return err
			}
		}
		y, err := open(ctx, a, s, app.NewRegistry())
		if err != nil {
			return err
		}
		return y.batch(ctx, cfg, in, c.App.Writer, progress)
	})
}

func (y *yard) batch(ctx context.Context, cfg batch.Config, in io.Reader, out io.Writer, progress *batch.Progress) error {
	summary, err := batch.Run(ctx, cfg, y.client, batch.Streams{In: in, Out: out, Progress: progress.Show})
	progress.Close(summary)
	if err == nil && summary.Failed > 0 {
		err = &config.FailedError{Count: summary.Failed}
	}
	return err
}
