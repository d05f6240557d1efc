package config

import (
	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/monitor"
	"github.com/jobyard/jobyard/internal/monitor/notify"
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
		&cli.DurationFlag{Name: "wait-warn", Category: limitCategory, Value: d.WaitWarn, Usage: "wait for a slot from which an interactive queue is reported"},
		&cli.DurationFlag{Name: "bulk-wait-warn", Category: limitCategory, Value: d.BulkWaitWarn, Usage: "the same for a bulk queue"},
		&cli.StringFlag{Name: "alert-webhook", Category: alertCategory, Usage: "`ADDRESS` that gets a POST when something goes wrong, and when it is over"},
		&cli.StringFlag{Name: "alert-webhook-secret-file", Category: alertCategory, Usage: "`FILE` with the secret that signs what is sent there"},
		&cli.StringFlag{Name: "alertmanager", Category: alertCategory, Usage: "`ADDRESS` of an Alertmanager, as http://alertmanager:9093"},
		&cli.StringFlag{Name: "page-url", Category: alertCategory, Usage: "`ADDRESS` of this page, for those who are told"},
		&cli.IntFlag{Name: "min-workers", Category: scaleCategory, Value: d.Scale.Min, Usage: "workers wanted at least"},
		&cli.IntFlag{Name: "max-workers", Category: scaleCategory, Value: d.Scale.Max, Usage: "workers wanted at most"},
		&cli.DurationFlag{Name: "drain-target", Category: scaleCategory, Value: d.Scale.Drain, Usage: "how soon the workers wanted empty the interactive queues"},
		&cli.DurationFlag{Name: "bulk-drain-target", Category: scaleCategory, Value: d.Scale.BulkDrain, Usage: "the same for the bulk queues"},
		&cli.DurationFlag{Name: "scale-hold", Category: scaleCategory, Value: d.Scale.Hold, Usage: "how long fewer workers must suffice before fewer are wanted"},
		&cli.BoolFlag{Name: "read-only", Category: serveCategory, Value: d.ReadOnly, Usage: "keep the pages from changing anything: no cancel, retry, replay, delete, drain"},
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
	cfg.WaitWarn, cfg.BulkWaitWarn = c.Duration("wait-warn"), c.Duration("bulk-wait-warn")
	cfg.Scale.Min, cfg.Scale.Max = c.Int("min-workers"), c.Int("max-workers")
	cfg.Scale.Drain, cfg.Scale.BulkDrain, cfg.Scale.Hold = c.Duration("drain-target"), c.Duration("bulk-drain-target"), c.Duration("scale-hold")
	cfg.Alerts = notify.Config{Webhook: c.String("alert-webhook"), Alertmanager: c.String("alertmanager"), Page: c.String("page-url")}
	if cfg.Alerts.WebhookSecret, err = secretFile(c, "alert-webhook-secret-file"); err != nil {
		return cfg, err
	}
	// Only what serves the pages has these flags.
	if cfg.Password, err = secretFile(c, passwordFlag); err != nil {
		return cfg, err
	}
	cfg.AllowRemote = c.Bool("allow-remote")
	cfg.ReadOnly, cfg.AsynqmonReadOnly = c.Bool("read-only"), c.Bool("asynqmon-read-only")
	return cfg, wrong(cfg.Validate())
}

// PageFlags say where the monitor's page is served, and to whom.
func PageFlags(listen string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: listen, Category: serveCategory, Value: MonitorListen, Usage: "`ADDRESS` of the monitor's page"},
		&cli.StringFlag{Name: passwordFlag, Category: serveCategory, Usage: "`FILE` with the password of the monitor's pages, Asynqmon and metrics; without one only this machine is served"},
	}
}

const passwordFlag = "page-password-file"

// AllowRemoteFlag opens the monitor's page without a password.
func AllowRemoteFlag() cli.Flag {
	return &cli.BoolFlag{Name: "allow-remote", Category: serveCategory, Usage: "serve other machines too while there is no password: whoever reaches the address sees every task"}
}

// Page reads PageFlags for a monitor, and says who is let in.
func Page(c *cli.Context, listen string, cfg monitor.Config) (at, welcome string, err error) {
	at = c.String(listen)
	if err := address(listen, at); err != nil {
		return "", "", err
	}
	welcome, err = cfg.Welcome(at)
	return at, welcome, wrong(err)
}
