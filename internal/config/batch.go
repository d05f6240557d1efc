package config

import (
	"errors"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/batch"
)

// BatchFlags bound a batch.
func BatchFlags() []cli.Flag {
	d := batch.DefaultConfig()
	return []cli.Flag{
		&cli.DurationFlag{Name: "wait-timeout", Category: limitCategory, Value: d.WaitTimeout, Usage: "how long the batch may stand still: no task ends, and queues are full"},
		&cli.IntFlag{Name: "window", Category: limitCategory, Value: d.Window, Usage: "tasks that are handed over and not yet printed"},
	}
}

// Batch reads BatchFlags.
func Batch(c *cli.Context) (batch.Config, error) {
	cfg := batch.DefaultConfig()
	cfg.WaitTimeout, cfg.Window = c.Duration("wait-timeout"), c.Int("window")
	return cfg, wrong(cfg.Validate())
}

// OpenBatch opens the file that is the only argument and makes the progress
// display that fits it.
func OpenBatch(c *cli.Context) (io.ReadCloser, *batch.Progress, error) {
	if c.NArg() != 1 {
		return nil, nil, Usage("batch takes one file, or - for standard input")
	}
	in, err := OpenInput(c.Args().First(), c.App.Reader)
	if err != nil {
		return nil, nil, err
	}
	terminal := TerminalOf(c.App.ErrWriter).Is
	total := 0
	// Only a regular file can be read twice.
	if f, ok := in.(*os.File); ok && terminal {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			if total, err = batch.Count(f); err == nil {
				_, err = f.Seek(0, io.SeekStart)
			}
			if err != nil {
				return nil, nil, errors.Join(Usage("cannot read %s: %w", c.Args().First(), err), f.Close())
			}
		}
	}
	return in, batch.NewProgress(c.App.ErrWriter, terminal, total), nil
}
