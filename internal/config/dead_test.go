package config

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/tasks"
)

// nested is a program with a command below a command.
func nested(do cli.ActionFunc) *cli.App {
	return &cli.App{Name: "yard", Commands: []*cli.Command{
		{Name: "dead", Subcommands: []*cli.Command{
			{Name: "list", Action: do, Flags: append(DeadFilterFlags(), append(DeadCallFlags(), ReplayFlags()...)...)},
			{Name: "show", Action: do},
		}},
		{Name: "list", Action: do},
	}}
}

func TestRun_CommandsBelowCommands(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"dead list --kind search a":    "dead list search a",
		"--kind search dead list a":    "dead list search a",
		"dead --kind=search list a -b": "there is no flag --b",
		"dead list a --kind search":    "dead list search a",
		"dead list -- --kind":          "dead list  --kind",
		"dead show a list":             "dead show  a list",
		"list dead":                    "list  dead",
		"dead":                         "dead: which command?",
		"dead lits":                    `there is no command "lits" below dead`,
		"dead --help":                  "",
		"dead list --limit x":          "--limit must be a whole number",
	} {
		var out, errs bytes.Buffer
		got := ""
		program := nested(func(c *cli.Context) error {
			got = strings.TrimPrefix(c.Command.HelpName, "yard ") + " " + c.String("kind") + " " + strings.Join(c.Args().Slice(), " ")
			return nil
		})
		code := Run(t.Context(), program, strings.Fields(line), Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
		switch {
		case got != "" && (got != want || code != 0):
			t.Errorf("%s: got %q, %d, want %q", line, got, code, want)
		case got == "" && want == "" && (code != 0 || !strings.Contains(out.String(), "COMMANDS")):
			t.Errorf("%s: got %d %q, want the help", line, code, out.String())
		case got == "" && want != "" && (code != 2 || !strings.Contains(errs.String(), want)):
			t.Errorf("%s: got %d %q, want %q", line, code, errs.String(), want)
		}
	}
}

func TestDeadCall(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for line, want := range map[string]tasks.DeadCall{
		"--all":                                    {All: true},
		"--kind search --limit 5 --dry-run":        {DeadFilter: tasks.DeadFilter{Kind: "search"}, Limit: 5, DryRun: true},
		"--since 90m":                              {DeadFilter: tasks.DeadFilter{Since: ago(90 * time.Minute)}},
		"--before 3d --reason oom":                 {DeadFilter: tasks.DeadFilter{Before: ago(72 * time.Hour), Reason: "oom"}},
		"--since 2026-03-01T00:00:00Z":             {DeadFilter: tasks.DeadFilter{Since: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}},
		"--queue search:bulk --group 0123456789ab": {DeadFilter: tasks.DeadFilter{Queue: "search:bulk", Group: "0123456789ab"}},
	} {
		got, err := deadCall(t, line, now)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", line, got, err, want)
		}
	}
	for line, want := range map[string]string{
		"": "which dead letters?", "--dry-run": "which dead letters?", "--limit 3": "which dead letters?", "--all --kind search": "leave it out",
		"--all --limit 0": "--limit must be", "--since yesterday": "--since must be", "--since -2h": "--since must be", "--before 99999999d": "--before must be",
		"--kind x": "kind", "--reason x": "reason", "--since 1h --before 2h": "before",
	} {
		_, err := deadCall(t, line, now)
		var usage *UsageError
		var in *tasks.InvalidError
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &usage) && !errors.As(err, &in) {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
	}
}

func deadCall(t *testing.T, line string, now time.Time) (call tasks.DeadCall, err error) {
	t.Helper()
	program := nested(func(c *cli.Context) error {
		call, err = DeadCall(c, now)
		return nil
	})
	Run(t.Context(), program, append([]string{"dead", "list"}, strings.Fields(line)...), Streams{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
	return call, err
}
