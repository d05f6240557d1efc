package config

import (
	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/monitor"
)

// MonitorListen is where the monitor's page is.
const MonitorListen = "127.0.0.1:9090"

// MonitorFlags say what the monitor watches. They go with ClientFlags: the
// limits of the queues are the producers'.
func MonitorFlags() []cli.Flag {
	d := monitor.DefaultConfig()
	return []cli.Flag{
		&cli.Float64Flag{Name: "memory-warn", Category: limitCategory, Value: d.MemoryWarn, Usage: "part of its memory limit from which a node is reported"},
		&cli.DurationFlag{Name: "sample-every", Category: limitCategory, Value: d.SampleEvery, Usage: "period of the samples"},
		&cli.DurationFlag{Name: "history", Category: limitCategory, Value: d.History, Usage: "how far back the curves reach"},
		&cli.BoolFlag{Name: "asynqmon-read-only", Category: serveCategory, Value: d.AsynqmonReadOnly, Usage: "keep Asynqmon from changing anything"},
	}
}

// Monitor reads MonitorFlags and the limits of ClientFlags.
func Monitor(c *cli.Context) (monitor.Config, error) {
	cfg := monitor.DefaultConfig()
	limits, err := Client(c)
	if err != nil {
		return cfg, err
	}
	cfg.QueueLimit, cfg.BulkLimit = limits.QueueLimit, limits.BulkLimit
	cfg.MemoryWarn, cfg.SampleEvery, cfg.History = c.Float64("memory-warn"), c.Duration("sample-every"), c.Duration("history")
	cfg.BlobDir = limits.BlobDir
	cfg.AsynqmonReadOnly = c.Bool("asynqmon-read-only")
	return cfg, wrong(cfg.Validate())
}

// PageFlag says where the monitor's page is served.
func PageFlag(name string) cli.Flag {
	return &cli.StringFlag{Name: name, Category: serveCategory, Value: MonitorListen, Usage: "`ADDRESS` of the monitor's page, which has no login"}
}

// Page reads PageFlag.
func Page(c *cli.Context, name string) (string, error) {
	at := c.String(name)
	return at, address(name, at)
}
