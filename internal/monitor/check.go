package monitor

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
)

// Check looks at the yard once and writes one line: how it is, and what is
// wrong first. It returns how bad it is; the error tells that Redis did not
// answer or w could not be written.
func Check(ctx context.Context, cfg Config, b *broker.Broker, w io.Writer) (Level, error) {
	if err := cfg.Validate(); err != nil {
		return Bad, err
	}
	l := newLookout(cfg, b, zerolog.Nop())
	l.rules.hasty = true
	o, err := l.look(ctx, nil)
	if err != nil {
		return Bad, err
	}
	if _, err := fmt.Fprintf(w, "%s: %s\n", o.Verdict.Level, o.Verdict.Text); err != nil {
		return o.Verdict.Level, fmt.Errorf("write the check: %w", err)
	}
	return o.Verdict.Level, nil
}

// WriteWhy writes why a task waits for people.
func WriteWhy(w io.Writer, why Why) error {
	var text strings.Builder
	fmt.Fprintln(&text, why.Text)
	for _, b := range why.Blocks {
		line := b.Text
		if b.Remedy != "" {
			line += "; " + b.Remedy
		}
		fmt.Fprintf(&text, "  %s\n", line)
	}
	_, err := io.WriteString(w, text.String())
	return err
}
