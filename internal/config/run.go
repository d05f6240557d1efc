package config

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/urfave/cli/v2"
)

// Streams are where a program reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run runs a command line and returns the program's exit code. Args is without
// the program's name. Flags may stand before and behind the arguments.
func Run(ctx context.Context, program *cli.App, args []string, s Streams) int {
	prepare(program, s)
	if len(args) == 1 && (args[0] == "--version" || args[0] == "-v") {
		args = nil
		program.Action, program.Commands = showVersion, nil
	}
	err := program.RunContext(ctx, append([]string{program.Name}, arrange(program, args)...))
	if err != nil {
		// Nowhere is left to report that stderr is gone.
		_, _ = io.WriteString(s.Err, Explain(program.Name, err))
	}
	return ExitCode(err)
}

// prepare makes the library behave as our programs do: nothing but results on
// stdout, errors returned rather than printed, and no word of an argument taken
// for a flag's list or a help command.
func prepare(program *cli.App, s Streams) {
	program.Reader, program.Writer, program.ErrWriter = s.In, s.Out, s.Err
	program.HideHelpCommand, program.HideHelp, program.HideVersion = true, true, true
	program.DisableSliceFlagSeparator = true
	program.ExitErrHandler = func(*cli.Context, error) {}
	program.OnUsageError = usageError
	withVariables(program.Flags)
	program.Flags = append(program.Flags, helpFlag(), &cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "print the version", DisableDefaultText: true})
	if program.Action == nil {
		program.Action = unknownCommand
	}
	prepareCommands(program.Commands)
}

func prepareCommands(commands []*cli.Command) {
	for _, c := range commands {
		c.HideHelpCommand, c.HideHelp = true, true
		c.OnUsageError = usageError
		withVariables(c.Flags)
		c.Flags = append(c.Flags, helpFlag())
		if len(c.Subcommands) > 0 && c.Action == nil {
			c.Action = unknownSubcommand
		}
		prepareCommands(c.Subcommands)
	}
}

// helpFlag is a flag of our own, because the library's is one variable that
// every parse writes to.
func helpFlag() cli.Flag {
	return &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show this help", DisableDefaultText: true}
}

func showVersion(c *cli.Context) error {
	_, err := fmt.Fprintf(c.App.Writer, "%s %s\n", c.App.Name, c.App.Version)
	return err
}

func usageError(c *cli.Context, err error, _ bool) error { return misuse(c, err) }

// unknownCommand is what a program without an action of its own does.
func unknownCommand(c *cli.Context) error {
	if !c.Args().Present() {
		if err := cli.ShowAppHelp(c); err != nil {
			return err
		}
		return Usage("which command?")
	}
	name := c.Args().First()
	visible := slices.DeleteFunc(slices.Clone(c.App.Commands), func(k *cli.Command) bool { return k.Hidden })
	if near := cli.SuggestCommand(visible, name); near != "" {
		return Usage("there is no command %q. %s", name, near)
	}
	return Usage("there is no command %q; see %s --help", name, c.App.Name)
}

// unknownSubcommand is what a command does that only has commands below it.
func unknownSubcommand(c *cli.Context) error {
	if !c.Args().Present() {
		if err := cli.ShowSubcommandHelp(c); err != nil {
			return err
		}
		return Usage("%s: which command?", c.Command.Name)
	}
	name := c.Args().First()
	if near := cli.SuggestCommand(c.Command.Subcommands, name); near != "" {
		return Usage("there is no command %q below %s. %s", name, c.Command.Name, near)
	}
	return Usage("there is no command %q below %s; see %s --help", name, c.Command.Name, c.Command.HelpName)
}
