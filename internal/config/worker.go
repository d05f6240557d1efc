package config

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/isolation"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch"
	"github.com/jobyard/jobyard/internal/worker"
)

// adminListen is where a worker answers its operators.
const adminListen = "127.0.0.1:9091"

// WorkerFlags say what a worker runs, and how; CacheFlags are among them.
func WorkerFlags() []cli.Flag {
	d, jobs := worker.DefaultConfig(), worker.DefaultRegistryConfig()
	slots, memory := Slots(d.Slots), Bytes(jobs.JobMemory)
	return append([]cli.Flag{
		&cli.GenericFlag{Name: "slots", Category: workCategory, Value: &slots, Usage: "tasks that run at once, by kind; a kind that is not named is not served"},
		&cli.DurationFlag{Name: "drain-timeout", Category: workCategory, Value: d.DrainTimeout, Usage: "how long running tasks may go on after a stop"},
		&cli.DurationFlag{Name: "max-timeout", Category: workCategory, Value: d.MaxTimeout, Usage: "longest time limit of a task; longer ones are cut"},
		&cli.StringFlag{Name: "isolation", Category: workCategory, Value: string(jobs.Sandbox), Usage: "required: refuse to start unless jobs are fully locked in; auto: lock them in as well as this machine can; off: run them in the worker's own process"},
		&cli.GenericFlag{Name: "job-memory", Category: workCategory, Value: &memory, Usage: "memory that one job's process may use"},
		&cli.GenericFlag{Name: "node-memory", Category: workCategory, Value: new(Bytes), DefaultText: "the container's limit, or the machine's memory", Usage: "memory that the worker and its jobs may use: above 85 % no job starts, above 95 % the largest one ends"},
		&cli.IntFlag{Name: "max-cpu", Category: workCategory, Value: d.MaxCPU, Usage: "how busy the processors may be, in percent over 10 s, before slots are handed out more slowly; 100 is never"},
		&cli.BoolFlag{Name: "allow-private-urls", Category: workCategory, Value: jobs.Documents.AllowPrivate, Usage: "let document_parse fetch from private networks and this machine"},
	}, CacheFlags()...)
}

// Worker reads WorkerFlags.
func Worker(c *cli.Context) (worker.Config, error) {
	cfg := worker.DefaultConfig()
	if s, ok := c.Generic("slots").(*Slots); ok {
		cfg.Slots = *s
	}
	cfg.DrainTimeout, cfg.MaxTimeout = c.Duration("drain-timeout"), c.Duration("max-timeout")
	cfg.MaxCPU = c.Int("max-cpu")
	if m, ok := c.Generic("node-memory").(*Bytes); ok {
		cfg.NodeMemory = int64(*m)
	}
	return cfg, wrong(cfg.Validate())
}

// DataDirFlag says where files are kept; text tells what its absence means.
func DataDirFlag(text string) cli.Flag {
	return &cli.StringFlag{Name: "data-dir", Category: workCategory, DefaultText: text, Usage: "`FOLDER` that keeps what outlives a restart; one process at a time"}
}

// DataDir reads DataDirFlag; the default is a folder in the user's cache.
func DataDir(c *cli.Context) (string, error) {
	if dir := c.String("data-dir"); dir != "" {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", Usage("--data-dir is needed: %w", err)
	}
	return filepath.Join(cache, "jobyard"), nil
}

// Registry reads the settings of the jobs: from WorkerFlags, DataDirFlag, and
// where packages come from out of the ecosystems' own settings.
func Registry(c *cli.Context) (worker.RegistryConfig, error) {
	cfg := worker.DefaultRegistryConfig()
	cfg.DataDir, cfg.BlobDir = c.String("data-dir"), c.String("blob-dir")
	cfg.Documents.AllowPrivate = c.Bool("allow-private-urls")
	if s, ok := c.Generic("slots").(*Slots); ok {
		cfg.Slots = *s
	}
	if m, ok := c.Generic("job-memory").(*Bytes); ok {
		cfg.JobMemory = int64(*m)
	}
	var err error
	if cfg.Cache, err = Cache(c); err != nil {
		return cfg, err
	}
	cfg.Sandbox = isolation.Mode(c.String("isolation"))
	// Processes without locks would cost as much and protect less.
	cfg.Inline = cfg.Sandbox == isolation.Off
	cfg.SDK = sdkfetch.Discover(c.Context, sdkfetch.World{
		Getenv: os.Getenv, ReadFile: os.ReadFile,
		Run: func(ctx context.Context, name string, args ...string) ([]byte, error) {
			return exec.CommandContext(ctx, name, args...).Output()
		},
	})
	return cfg, wrong(cfg.Validate())
}

// AdminFlag says where a worker answers its operators.
func AdminFlag() cli.Flag {
	return &cli.StringFlag{Name: "admin-listen", Category: serveCategory, Value: adminListen, Usage: "`ADDRESS` of /healthz, /readyz and /metrics; profiles and dumps too, where only this machine reaches it"}
}

// Admin reads AdminFlag.
func Admin(c *cli.Context) (string, error) {
	at := c.String("admin-listen")
	return at, address("admin-listen", at)
}
