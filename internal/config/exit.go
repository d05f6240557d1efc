package config

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/library"
	"github.com/jobyard/jobyard/tasks"
)

// The exit codes of every program.
const (
	ExitOK       = 0
	ExitFailed   = 1 // the task failed
	ExitUsage    = 2 // wrong usage or input
	ExitNoAnswer = 3 // Redis away, or a wait timed out
	ExitFull     = 4 // queue full
)

// UsageError tells that the command line or an input is wrong.
type UsageError struct{ Err error }

// Error returns the cause's text.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UsageError) Unwrap() error { return e.Err }

// Usage makes a UsageError.
func Usage(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

// wrong makes a UsageError of err; nil stays nil.
func wrong(err error) error {
	if err == nil {
		return nil
	}
	return &UsageError{err}
}

// NoAnswerError tells that an answer did not come in time.
type NoAnswerError struct{ Message string }

// Error returns the message.
func (e *NoAnswerError) Error() string { return e.Message }

// FailedError tells that a task failed and that this has been shown already:
// it sets the exit code and says nothing more.
type FailedError struct{ Count int }

// Error counts the tasks.
func (e *FailedError) Error() string {
	if e.Count == 1 {
		return "the task failed"
	}
	return fmt.Sprintf("%d tasks failed", e.Count)
}

// ExitCode says which code an error ends the program with.
func ExitCode(err error) int {
	var (
		usage    *UsageError
		invalid  *tasks.InvalidError
		conflict *client.ConflictError
		folder   *blob.DirectoryError
		index    *library.FolderError
		full     *client.FullError
		memory   *client.MemoryError
		away     *client.UnavailableError
		silent   *NoAnswerError
	)
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage), errors.As(err, &invalid), errors.As(err, &conflict), errors.As(err, &folder), errors.As(err, &index),
		errors.Is(err, client.ErrNotFound), errors.Is(err, client.ErrFinal), errors.Is(err, client.ErrNotDead):
		return ExitUsage
	case errors.As(err, &full), errors.As(err, &memory):
		return ExitFull
	case errors.As(err, &away), errors.As(err, &silent), errors.Is(err, client.ErrTooManyWaits),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return ExitNoAnswer
	}
	return ExitFailed
}

// Explain writes an error for people: a sentence, and a line for each field at
// fault. A FailedError has nothing to add.
func Explain(program string, err error) string {
	if _, ok := errors.AsType[*FailedError](err); ok {
		return ""
	}
	var invalid *tasks.InvalidError
	if !errors.As(err, &invalid) || len(invalid.Fields) == 0 {
		return program + ": " + err.Error() + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: the input is not valid\n", program)
	for _, f := range invalid.Fields {
		path := f.Path
		if path == "" {
			path = "input"
		}
		fmt.Fprintf(&b, "  %s: %s\n", path, f.Message)
	}
	return b.String()
}
