package config

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange puts flags before arguments and behind the command that knows them,
// because the flag parser stops at the first argument: "status ID --json" and
// "--json status ID" both become "status --json ID".
func arrange(program *cli.App, args []string) []string {
	takesValue := valueFlags(program)
	var flags [][]string // each with its value
	var words, rest []string
	var path []*cli.Command // a command, and one below it
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			rest, i = args[i+1:], len(args)
		case len(a) > 1 && a[0] == '-':
			f := []string{a}
			if takesValue[flagName(a)] && !strings.Contains(a, "=") && i+1 < len(args) {
				i++
				f = append(f, args[i])
			}
			flags = append(flags, f)
		case len(words) == 0 && below(program, path, a) != nil:
			path = append(path, below(program, path, a))
		default:
			words = append(words, a)
		}
	}
	return assemble(program, path, flags, append(words, rest...))
}

// below is the command of that name among those below the path's last, or nil.
func below(program *cli.App, path []*cli.Command, name string) *cli.Command {
	all := program.Commands
	if len(path) > 0 {
		all = path[len(path)-1].Subcommands
	}
	for _, c := range all {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

func assemble(program *cli.App, path []*cli.Command, flags [][]string, words []string) []string {
	var before, behind []string
	var command *cli.Command
	if len(path) > 0 {
		command = path[len(path)-1]
	}
	for _, f := range flags {
		if command != nil && (knows(command.Flags, flagName(f[0])) || !knows(program.Flags, flagName(f[0]))) {
			behind = append(behind, f...)
		} else {
			before = append(before, f...)
		}
	}
	for _, c := range path {
		before = append(before, c.Name)
	}
	before = append(before, behind...)
	if len(words) > 0 {
		before = append(append(before, "--"), words...)
	}
	return before
}

func flagName(arg string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return name
}

func knows(flags []cli.Flag, name string) bool {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return true
		}
	}
	return false
}

// valueFlags tells which flags of the program take a value. A name means the
// same in every command.
func valueFlags(program *cli.App) map[string]bool {
	all := append([]cli.Flag{}, program.Flags...)
	for _, c := range program.Commands {
		all = append(all, c.Flags...)
		for _, sub := range c.Subcommands {
			all = append(all, sub.Flags...)
		}
	}
	takes := map[string]bool{}
	for _, f := range all {
		_, isBool := f.(*cli.BoolFlag)
		for _, n := range f.Names() {
			takes[n] = !isBool
		}
	}
	return takes
}
