package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/tasks"
)

// DeadFilterFlags choose dead letters.
func DeadFilterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "kind", Usage: "those of this kind"},
		&cli.StringFlag{Name: "queue", Usage: "those of this queue, as search or search:bulk"},
		&cli.StringFlag{Name: "reason", Usage: "those that failed for this reason, as timeout or upstream"},
		&cli.StringFlag{Name: "group", Usage: "those with this `FINGERPRINT`, which list --groups shows"},
		&cli.StringFlag{Name: "since", Usage: "those that failed within this span or since this `TIME`, as 2h, 3d or 2026-01-31T08:00:00Z"},
		&cli.StringFlag{Name: "before", Usage: "those that failed longer ago than this span or before this `TIME`"},
	}
}

// DeadFilter reads DeadFilterFlags. What it chooses is checked by the call.
func DeadFilter(c *cli.Context, now time.Time) (tasks.DeadFilter, error) {
	f := tasks.DeadFilter{Kind: c.String("kind"), Queue: c.String("queue"), Reason: tasks.Reason(c.String("reason")), Group: c.String("group")}
	var err error
	if f.Since, err = moment(c, "since", now); err != nil {
		return f, err
	}
	f.Before, err = moment(c, "before", now)
	return f, err
}

// moment reads a flag that is a time, or a span before now. Days are written
// as 3d.
func moment(c *cli.Context, flag string, now time.Time) (time.Time, error) {
	text := c.String(flag)
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	span, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); err != nil && ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		span = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || span < 0 {
		return time.Time{}, Usage("--%s must be a span as 90m, 2h or 3d, or a time as 2026-01-31T08:00:00Z, got %q", flag, clip(text, 60))
	}
	return now.Add(-span), nil
}

// ReplayFlags change a dead letter as it is replayed.
func ReplayFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "payload", Usage: "replace the payload by this `JSON`, @FILE, or - for standard input; for one letter"},
		&cli.DurationFlag{Name: "timeout", DefaultText: "unchanged", Usage: "replace the hard limit of one attempt; for one letter"},
		&cli.IntFlag{Name: "max-retry", DefaultText: "unchanged", Usage: "replace how often a failed attempt is repeated; for one letter"},
		&cli.DurationFlag{Name: "retention", DefaultText: "unchanged", Usage: "replace how long the finished task is kept; for one letter"},
	}
}

// ReplayOptions reads ReplayFlags but for the payload. Bounds are checked with
// the request.
func ReplayOptions(c *cli.Context) (tasks.ReplayOptions, error) {
	o := tasks.ReplayOptions{Timeout: tasks.Duration(c.Duration("timeout")), Retention: tasks.Duration(c.Duration("retention"))}
	for _, name := range []string{"timeout", "retention"} {
		if c.IsSet(name) && c.Duration(name) == 0 {
			return o, Usage("--%s must not be 0", name)
		}
	}
	if c.IsSet("max-retry") {
		n := c.Int("max-retry")
		o.MaxRetry = &n
	}
	return o, nil
}

// DeadCallFlags say what a call does with many dead letters.
func DeadCallFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "all", Usage: "take every dead letter"},
		&cli.IntFlag{Name: "limit", DefaultText: "all", Usage: "take at most this many, the oldest first"},
		&cli.BoolFlag{Name: "dry-run", Usage: "say what would be taken, and touch nothing"},
	}
}

// DeadCall reads DeadCallFlags and DeadFilterFlags. One that names no letters
// is refused.
func DeadCall(c *cli.Context, now time.Time) (tasks.DeadCall, error) {
	call := tasks.DeadCall{All: c.Bool("all"), Limit: c.Int("limit"), DryRun: c.Bool("dry-run")}
	var err error
	if call.DeadFilter, err = DeadFilter(c, now); err != nil {
		return call, err
	}
	switch {
	case c.IsSet("limit") && call.Limit < 1:
		return call, Usage("--limit must be 1 or more, got %d", call.Limit)
	case call.Empty() && !call.All:
		return call, Usage("which dead letters? Give their ids, or a filter (--kind, --queue, --reason, --group, --since, --before), or --all")
	case !call.Empty() && call.All:
		return call, Usage("--all takes every dead letter: leave it out, or the filter")
	}
	return call, call.Check()
}
