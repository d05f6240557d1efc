package config

import (
	"net"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
)

// Categories under which help shows the flags that are settings. Each of these
// flags has an environment variable; the flags of one call have none, because a
// forgotten variable must not change what a task is.
const (
	redisCategory  = "Redis"
	outputCategory = "Output"
	limitCategory  = "Limits"
	serveCategory  = "Serving"
	workCategory   = "Work"
	cacheCategory  = "Cache of results"
	scaleCategory  = "Scaling"
	alertCategory  = "Alerts"
)

// withVariables gives each flag that is a setting its environment variable.
func withVariables(flags []cli.Flag) {
	for _, f := range flags {
		name := f.Names()[0]
		variables := []string{"JOBYARD_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}
		if name == "redis-url" {
			variables = append([]string{"REDIS_URL"}, variables...)
		}
		switch f := f.(type) {
		case *cli.StringFlag:
			f.EnvVars = setting(f.Category, variables)
		case *cli.BoolFlag:
			f.EnvVars = setting(f.Category, variables)
		case *cli.IntFlag:
			f.EnvVars = setting(f.Category, variables)
		case *cli.Float64Flag:
			f.EnvVars = setting(f.Category, variables)
		case *cli.DurationFlag:
			f.EnvVars = setting(f.Category, variables)
		case *cli.GenericFlag:
			f.EnvVars = setting(f.Category, variables)
		}
	}
}

func setting(category string, variables []string) []string {
	if category == "" {
		return nil
	}
	return variables
}

// RedisFlags say where Redis is, how many connections are held, and where what
// is too large for it lies.
func RedisFlags() []cli.Flag {
	d := broker.DefaultConfig()
	return []cli.Flag{
		&cli.StringFlag{Name: "redis-url", Category: redisCategory, Usage: "`ADDRESS` as redis://, rediss://, unix:// or redis-sentinel://; several hosts are a cluster. The variable keeps a password out of the process list"},
		&cli.StringFlag{Name: "redis-password-file", Category: redisCategory, Usage: "`FILE` with Redis's password, for an address without one"},
		&cli.IntFlag{Name: "redis-min-idle", Category: redisCategory, Value: d.MinIdle, Usage: "connections that stay open"},
		&cli.IntFlag{Name: "redis-max-open", Category: redisCategory, Value: d.MaxOpen, Usage: "connections at most"},
		&cli.DurationFlag{Name: "redis-acquire-timeout", Category: redisCategory, Value: d.AcquireTimeout, Usage: "longest wait for a connection"},
		&cli.DurationFlag{Name: "redis-idle-timeout", Category: redisCategory, Value: d.IdleTimeout, Usage: "unused connections are closed after this"},
		&cli.DurationFlag{Name: "redis-health-every", Category: redisCategory, Value: d.HealthEvery, Usage: "period of the health check"},
		&cli.StringFlag{Name: "blob-dir", Category: redisCategory, DefaultText: "they lie in Redis", Usage: "`FOLDER` for payloads and results over 64 KiB and uploaded documents, shared by every producer, worker and monitor"},
	}
}

// Broker reads RedisFlags. Name is how Redis lists the connections.
func Broker(c *cli.Context, name string) (broker.Config, error) {
	if c.String("redis-url") == "" {
		return broker.Config{}, Usage("no Redis is named: set REDIS_URL or --redis-url, as redis://127.0.0.1:6379; standalone brings a Redis of its own")
	}
	return BrokerAt(c, name, c.String("redis-url"))
}

// BrokerAt reads RedisFlags for a Redis whose address is known.
func BrokerAt(c *cli.Context, name, url string) (broker.Config, error) {
	cfg := broker.DefaultConfig()
	cfg.Name, cfg.URL = "jobyard-"+name, url
	cfg.MinIdle, cfg.MaxOpen = c.Int("redis-min-idle"), c.Int("redis-max-open")
	cfg.AcquireTimeout, cfg.IdleTimeout = c.Duration("redis-acquire-timeout"), c.Duration("redis-idle-timeout")
	cfg.HealthEvery = c.Duration("redis-health-every")
	var err error
	if cfg.Password, err = secretFile(c, "redis-password-file"); err != nil {
		return cfg, err
	}
	return cfg, wrong(cfg.Validate())
}

// ClientFlags bound what may wait in the queues.
func ClientFlags() []cli.Flag {
	d := client.DefaultConfig()
	return []cli.Flag{
		&cli.IntFlag{Name: "queue-limit", Category: limitCategory, Value: d.QueueLimit, Usage: "tasks that may wait in an interactive queue"},
		&cli.IntFlag{Name: "bulk-queue-limit", Category: limitCategory, Value: d.BulkLimit, Usage: "tasks that may wait in a bulk queue"},
	}
}

// Client reads ClientFlags.
func Client(c *cli.Context) (client.Config, error) {
	cfg := client.DefaultConfig()
	cfg.QueueLimit, cfg.BulkLimit = c.Int("queue-limit"), c.Int("bulk-queue-limit")
	cfg.BlobDir = c.String("blob-dir") // of RedisFlags
	doorCache(c, &cfg)
	return cfg, wrong(cfg.Validate())
}

// address checks a flag that holds an address to listen on.
func address(flag, value string) error {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return Usage("--%s must be host:port with a port from 0 to 65535, as 127.0.0.1:8080, got %q", flag, clip(value, 60))
	}
	return nil
}
