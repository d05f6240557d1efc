package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// What the flag parser says of a wrong command line. It has no error types.
var (
	badFlag     = regexp.MustCompile(`(?s)^invalid (?:boolean )?value ("(?:[^"\\]|\\.)*") for (?:flag )?-+([\w-]+): (.*)$`)
	badVariable = regexp.MustCompile(`(?s)^could not parse ("(?:[^"\\]|\\.)*") .*?from environment variable "(\w+)".*? flag ([\w-]+): (.*)$`)
	noFlag      = regexp.MustCompile(`^flag provided but not defined: -+(.+)$`)
	noValue     = regexp.MustCompile(`^flag needs an argument: -+(.+)$`)
	badSyntax   = regexp.MustCompile(`^bad flag syntax: (.+)$`)
)

// misuse says in our words what is wrong with the command line, and what would
// be right: the parser's own leave that to the reader ("parse error").
func misuse(c *cli.Context, err error) error {
	known := c.App.Flags
	if c.Command != nil && len(c.Command.Flags) > 0 {
		known = c.Command.Flags
	}
	text := err.Error()
	if m := badFlag.FindStringSubmatch(text); m != nil {
		return badValue("--"+m[2], m[1], m[3], flagNamed(known, m[2]))
	}
	if m := badVariable.FindStringSubmatch(text); m != nil {
		return badValue(m[2], m[1], m[4], flagNamed(known, m[3]))
	}
	if m := noFlag.FindStringSubmatch(text); m != nil {
		return Usage("there is no flag --%s; see %s --help", clip(m[1], 60), c.Command.HelpName)
	}
	if m := noValue.FindStringSubmatch(text); m != nil {
		return Usage("--%s needs a value", m[1])
	}
	if m := badSyntax.FindStringSubmatch(text); m != nil {
		return Usage("%s is no flag; write -- before arguments that begin with a dash", clip(m[1], 60))
	}
	return wrong(err)
}

// badValue says what a flag's value must be. Where the flag checks its values
// itself, cause says so already.
func badValue(where, quoted, cause string, f cli.Flag) error {
	want := ""
	switch f.(type) {
	case *cli.DurationFlag:
		want = "a duration with a unit, as 30s, 5m or 1h30m"
	case *cli.IntFlag:
		want = "a whole number"
	case *cli.Float64Flag:
		want = "a number"
	case *cli.BoolFlag:
		want = "true or false"
	default:
		return Usage("%s %s", where, cause)
	}
	value, err := strconv.Unquote(quoted)
	if err != nil {
		value = strings.Trim(quoted, `"`)
	}
	return Usage("%s must be %s, got %s", where, want, fmt.Sprintf("%q", clip(value, 60)))
}

func flagNamed(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}
