package config

import (
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// OutputFlags say how results and logs look.
func OutputFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.BoolFlag{Name: "json", Category: outputCategory, Usage: "write JSON for programs instead of text for people"},
	}, LogFlags("info")...)
}

// LogFlags say what is logged, and how; level is the default.
func LogFlags(level string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "log-level", Category: outputCategory, Value: level, Usage: "debug, info, warn or error"},
		&cli.StringFlag{Name: "log-format", Category: outputCategory, Value: "auto", Usage: "auto (text on a terminal, else JSON), text or json"},
	}
}

// Log is what LogFlags say.
type Log struct {
	Level zerolog.Level
	// Text chooses text over JSON.
	Text  bool
	Color bool
}

// Logging reads LogFlags for logs written to w.
func Logging(c *cli.Context, w io.Writer) (Log, error) {
	t := TerminalOf(w)
	l := Log{Text: t.Is, Color: t.Color}
	switch level := c.String("log-level"); level {
	case "debug", "info", "warn", "error":
		l.Level, _ = zerolog.ParseLevel(level) // all four are known to it
	default:
		return l, Usage("--log-level must be debug, info, warn or error, got %q", clip(level, 40))
	}
	switch format := c.String("log-format"); format {
	case "auto":
	case "text", "json":
		l.Text = format == "text"
	default:
		return l, Usage("--log-format must be auto, text or json, got %q", clip(format, 40))
	}
	return l, nil
}

// Terminal is what a stream is connected to.
type Terminal struct {
	// Is tells that it is a terminal.
	Is bool
	// Color tells that colors are welcome there.
	Color bool
	// Width is its columns; 80 if unknown.
	Width int
}

// TerminalOf looks at a stream. Colors are off where NO_COLOR is set
// (no-color.org) or the terminal is dumb.
func TerminalOf(stream any) Terminal {
	t := Terminal{Width: 80}
	f, ok := stream.(*os.File)
	if !ok || !isatty.IsTerminal(f.Fd()) {
		return t
	}
	t.Is = true
	t.Color = os.Getenv("NO_COLOR") == "" && !strings.EqualFold(os.Getenv("TERM"), "dumb")
	if w, _, err := term.GetSize(int(f.Fd())); err == nil && w >= 20 {
		t.Width = w
	}
	return t
}
