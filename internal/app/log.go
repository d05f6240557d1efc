package app

import (
	"io"
	"time"

	"github.com/rs/zerolog"
)

// LogConfig says what is logged, and how.
type LogConfig struct {
	Level zerolog.Level
	Text  bool // text for people instead of JSON
	Color bool
}

// NewLogger returns a logger on w. Text writes one short line with the time of
// day; JSON the full time, for machines. The parts of a process log at the same
// time, each line in one write after the other, so w need not be safe for that.
func NewLogger(w io.Writer, cfg LogConfig) zerolog.Logger {
	if cfg.Text {
		w = zerolog.ConsoleWriter{Out: w, NoColor: !cfg.Color, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(zerolog.SyncWriter(w)).Level(cfg.Level).With().Timestamp().Logger()
}
