package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/report"
	"github.com/jobyard/jobyard/tasks"
)

func deadCommand() *cli.Command {
	return &cli.Command{
		Name: "dead", Usage: "list, show, replay and delete tasks that failed for good", Category: "Tasks",
		Description: "A dead letter is kept for 90 days, however many there are. See docs/dead-letters.md.",
		Subcommands: []*cli.Command{deadListCommand(), deadShowCommand(), deadReplayCommand(), deadDeleteCommand()},
	}
}

func deadListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list dead letters, the latest first, or their groups",
		Description: "--groups shows what failed alike, the largest group first: kind, reason and message but for names\nand numbers. A group's fingerprint chooses it with --group.",
		Flags: flags(append(config.DeadFilterFlags(),
			&cli.BoolFlag{Name: "groups", Usage: "count letters that failed alike instead of listing them"},
			&cli.IntFlag{Name: "limit", Value: 50, Usage: "letters or groups to print, at most 1000"},
			&cli.StringFlag{Name: "after", Usage: "go on behind the `CURSOR` that an earlier list ended with"})...),
		Action: deadList,
	}
}

func deadList(c *cli.Context) error {
	if c.Args().Present() {
		return config.Usage("dead list takes no arguments, got %q: filter with flags, or use dead show", c.Args().First())
	}
	now := time.Now()
	f, err := config.DeadFilter(c, now)
	if err != nil {
		return err
	}
	limit := c.Int("limit")
	if limit < 1 || limit > client.MaxDeadPage {
		return config.Usage("--limit must be from 1 to %d, got %d", client.MaxDeadPage, limit)
	}
	if c.Bool("groups") && c.String("after") != "" {
		return config.Usage("--after goes on with a list, not with --groups")
	}
	if err := f.Check(); err != nil {
		return err
	}
	return talk(c, func(ctx context.Context, s *session) error {
		if c.Bool("groups") {
			return s.deadGroups(ctx, f, limit, now)
		}
		page, err := s.client.DeadLetters(ctx, f, c.String("after"), limit)
		if err != nil {
			return err
		}
		if s.json {
			return s.encode(page)
		}
		return s.print(s.style.DeadPage(page, now) + s.style.Dim(pageEnd(page, f)) + "\n")
	})
}

// pageEnd says how much of a list was shown, and how it goes on.
func pageEnd(p tasks.DeadPage, f tasks.DeadFilter) string {
	shown := report.Count(len(p.Letters), "dead letter")
	switch {
	case p.Next != "":
		return fmt.Sprintf("%s shown of %d in these queues; it goes on with --after %s", shown, p.Total, p.Next)
	case len(p.Letters) == 0 && f.Empty():
		return "no dead letters"
	case len(p.Letters) == 0:
		return fmt.Sprintf("no dead letters fit, of %d in these queues", p.Total)
	}
	return shown
}

func (s *session) deadGroups(ctx context.Context, f tasks.DeadFilter, limit int, now time.Time) error {
	g, err := s.client.DeadGroups(ctx, f)
	if err != nil {
		return err
	}
	all := len(g.Groups)
	g.Groups = g.Groups[:min(all, limit)]
	if s.json {
		return s.encode(g)
	}
	end := fmt.Sprintf("%s in %s", report.Count(g.Letters, "dead letter"), report.Count(all, "group"))
	if len(g.Groups) < all {
		end += fmt.Sprintf(", the largest %d shown", len(g.Groups))
	}
	if g.Partial {
		end += "; there are more than were looked at"
	}
	return s.print(s.style.DeadGroups(g.Groups, now) + s.style.Dim(end) + "\n")
}

func deadShowCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show one dead letter with its payload and options", ArgsUsage: "ID", Flags: flags(),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return config.Usage("dead show takes the id of one dead letter")
			}
			return talk(c, func(ctx context.Context, s *session) error {
				d, err := s.client.DeadLetter(ctx, c.Args().First())
				switch {
				case err != nil:
					return about(c.Args().First(), err)
				case s.json:
					return s.encode(d)
				}
				return s.print(s.style.DeadLetter(d))
			})
		},
	}
}

// about names the task where an error does not.
func about(id string, err error) error {
	if errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrNotDead) {
		return fmt.Errorf("%w: %s", err, id)
	}
	return err
}

func deadReplayCommand() *cli.Command {
	return &cli.Command{
		Name: "replay", Usage: "put dead letters back into their queues", ArgsUsage: "[ID …]",
		Description: "Give ids, or choose with a filter, or --all. A task keeps its id; its attempts are counted anew. Each letter\n" +
			"is replayed once, whoever else replays at the same time; what fails again meanwhile is left alone. A full\nqueue makes it wait.",
		Flags: flags(slices.Concat(config.DeadFilterFlags(), config.DeadCallFlags(), config.ReplayFlags(), []cli.Flag{
			&cli.Float64Flag{Name: "rate", DefaultText: "unbounded", Usage: "replay at most this many `TASKS` a second"},
			&cli.BoolFlag{Name: "wait", Usage: "wait for the result and print it; for one letter"},
			config.PatienceFlag(tasks.MaxTimeout),
		})...),
		Action: deadReplay,
	}
}

func deadReplay(c *cli.Context) error {
	limit, err := config.WaitTimeout(c)
	if err != nil {
		return err
	}
	change, err := replayChange(c)
	if err != nil {
		return err
	}
	one := !change.Empty() || c.Bool("wait")
	switch {
	case one && c.NArg() != 1:
		return config.Usage("--payload, --timeout, --max-retry, --retention and --wait are for one letter: give its id")
	case one && c.Bool("dry-run"):
		return config.Usage("--dry-run is for replaying letters as they are")
	case c.Args().Present():
		return byIDs(c, replaying(c, change, limit))
	}
	call, err := config.DeadCall(c, time.Now())
	if err != nil {
		return err
	}
	if call.Rate = c.Float64("rate"); c.IsSet("rate") && !(call.Rate > 0 && call.Rate <= tasks.MaxDeadRate) {
		return config.Usage("--rate must be over 0 and at most %d tasks a second, got %g", tasks.MaxDeadRate, call.Rate)
	}
	return sweep(c, call, "replay", func(ctx context.Context, s *session, show client.Sweep) (tasks.DeadSweep, error) {
		show.Patience = limit
		return s.client.SweepReplay(ctx, call, show)
	})
}

func replayChange(c *cli.Context) (change tasks.Replay, err error) {
	if change.Options, err = config.ReplayOptions(c); err != nil {
		return change, err
	}
	if c.IsSet("payload") {
		change.Payload, err = payload(c)
	}
	return change, err
}

// replaying replays one letter and shows the task.
func replaying(c *cli.Context, change tasks.Replay, limit time.Duration) func(context.Context, *session, string) error {
	return func(ctx context.Context, s *session, id string) error {
		t, err := s.client.ReplayDead(ctx, id, change)
		switch {
		case err != nil:
			return err
		case c.Bool("wait"):
			return s.await(ctx, t, limit, nil)
		}
		return s.show(t, func(t tasks.Task) string { return "replayed " + t.ID + "\n" })
	}
}

func deadDeleteCommand() *cli.Command {
	return &cli.Command{
		Name: "delete", Usage: "delete dead letters for good", ArgsUsage: "[ID …]",
		Description: "Give ids, or choose with a filter, or --all.",
		Flags:       flags(slices.Concat(config.DeadFilterFlags(), config.DeadCallFlags())...),
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return byIDs(c, func(ctx context.Context, s *session, id string) error {
					if err := s.client.DeleteDead(ctx, id); err != nil {
						return err
					}
					if s.json {
						return s.encode(map[string]string{"deleted": id})
					}
					return s.print("deleted " + id + "\n")
				})
			}
			call, err := config.DeadCall(c, time.Now())
			if err != nil {
				return err
			}
			return sweep(c, call, "delete", func(ctx context.Context, s *session, show client.Sweep) (tasks.DeadSweep, error) {
				return s.client.SweepDelete(ctx, call, show)
			})
		},
	}
}

// byIDs does something with the letters that the arguments name. One that
// cannot be dealt with does not keep it from the others.
func byIDs(c *cli.Context, do func(context.Context, *session, string) error) error {
	f, err := config.DeadFilter(c, time.Now())
	if err != nil {
		return err
	}
	if !f.Empty() || c.Bool("all") || c.IsSet("limit") || c.IsSet("rate") {
		return config.Usage("give ids, or a filter with --all, --limit and --rate, but not both")
	}
	return talk(c, func(ctx context.Context, s *session) error {
		var failed []error
		for _, id := range c.Args().Slice() {
			if c.Bool("dry-run") {
				failed = append(failed, s.wouldTake(ctx, id))
				continue
			}
			failed = append(failed, about(id, do(ctx, s, id)))
		}
		return errors.Join(failed...)
	})
}

// wouldTake says whether a letter is there.
func (s *session) wouldTake(ctx context.Context, id string) error {
	d, err := s.client.DeadLetter(ctx, id)
	switch {
	case err != nil:
		return about(id, err)
	case s.json:
		return s.encode(d)
	}
	return s.print("would take " + id + " (" + string(d.Error.Reason) + ")\n")
}
