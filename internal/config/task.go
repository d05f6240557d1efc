package config

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/tasks"
)

// TaskFlags are the options of one task. They have no variables.
func TaskFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "queue", Usage: "the kind's own queue, or bulk"},
		&cli.DurationFlag{Name: "timeout", Usage: "hard limit of one attempt", DefaultText: tasks.DefaultTimeout.String()},
		&cli.IntFlag{Name: "max-retry", Usage: "how often a failed attempt is repeated", Value: tasks.DefaultMaxRetry},
		&cli.DurationFlag{Name: "in", Usage: "start no earlier than this from now"},
		&cli.StringFlag{Name: "at", Usage: "start no earlier than this `TIME`, as 2026-01-31T08:00:00Z"},
		&cli.StringFlag{Name: "id", Usage: "`ID` that makes the call idempotent"},
		&cli.DurationFlag{Name: "retention", Usage: "how long the finished task is kept", DefaultText: tasks.DefaultRetention.String()},
		&cli.BoolFlag{Name: "no-cache", Usage: "run the task even if an equal one has a stored result"},
	}
}

// TaskOptions reads TaskFlags. Bounds are checked with the request.
func TaskOptions(c *cli.Context) (tasks.Options, error) {
	o := tasks.Options{
		Queue: c.String("queue"), Timeout: tasks.Duration(c.Duration("timeout")), In: tasks.Duration(c.Duration("in")),
		ID: c.String("id"), Retention: tasks.Duration(c.Duration("retention")), NoCache: c.Bool("no-cache"),
	}
	for _, name := range []string{"timeout", "retention"} {
		if c.IsSet(name) && c.Duration(name) == 0 {
			return o, Usage("--%s must not be 0", name)
		}
	}
	if c.IsSet("id") && o.ID == "" {
		return o, Usage("--id must not be empty: an empty one would not make the call idempotent")
	}
	if c.IsSet("max-retry") {
		n := c.Int("max-retry")
		o.MaxRetry = &n
	}
	if at := c.String("at"); at != "" {
		t, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return o, Usage("--at must be a time as 2026-01-31T08:00:00Z, got %q", clip(at, 60))
		}
		o.At = t
	}
	return o, nil
}

// WaitFlag bounds a wait; d is its default.
func WaitFlag(d time.Duration) cli.Flag {
	return &cli.DurationFlag{Name: "wait-timeout", Category: limitCategory, Value: d, Usage: "longest wait for an answer; the task goes on after it"}
}

// PatienceFlag bounds a wait for an answer or for room in a queue; d is its
// default. WaitTimeout reads it too.
func PatienceFlag(d time.Duration) cli.Flag {
	return &cli.DurationFlag{Name: "wait-timeout", Category: limitCategory, Value: d, Usage: "longest wait for an answer, or for room in a queue where nothing goes on meanwhile"}
}

// WaitTimeout reads WaitFlag.
func WaitTimeout(c *cli.Context) (time.Duration, error) {
	if d := c.Duration("wait-timeout"); d > 0 {
		return d, nil
	}
	return 0, Usage("--wait-timeout must be positive, got %s", c.Duration("wait-timeout"))
}
