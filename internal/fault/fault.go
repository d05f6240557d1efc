// Package fault is how a job says what went wrong: a verdict (permanent,
// retryable or canceled), a reason from the closed list in package tasks, and
// a message for people.
//
// An error that is none of these counts as retryable with reason unknown. The
// worker alone turns a fault into asynq's words.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/jobyard/jobyard/tasks"
)

// Verdict says whether another attempt makes sense.
type Verdict int

// The verdicts. Retryable is the zero value: the default for anything unknown.
const (
	Retryable Verdict = iota
	Permanent
	Canceled
)

// MaxMessage bounds a stored message, in bytes.
const MaxMessage = 1000

// Error is a failure with a verdict.
type Error struct {
	Verdict Verdict
	Reason  tasks.Reason
	// Message is for people: short, without paths or secrets, with a remedy.
	Message string
	// Fields names the fields at fault when Reason is invalid.
	Fields []tasks.FieldError
	// Err is the cause, for the log; it may be nil.
	Err error
}

// Error returns the message and, if there is one, the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// PermanentError makes a failure that no retry can mend.
func PermanentError(reason tasks.Reason, format string, args ...any) *Error {
	return &Error{Verdict: Permanent, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// RetryableError makes a failure that another attempt may mend.
func RetryableError(reason tasks.Reason, format string, args ...any) *Error {
	return &Error{Verdict: Retryable, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Because adds the cause and returns e.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// Of finds the fault in err: a *Error as it is, an *tasks.InvalidError and
// the ends of a context by their meaning, all else retryable and unknown. Of(nil) is nil.
func Of(err error) *Error {
	var e *Error
	var in *tasks.InvalidError
	var te *tasks.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.As(err, &in):
		return &Error{Verdict: Permanent, Reason: tasks.ReasonInvalid, Message: in.Error(), Fields: in.Fields}
	case errors.As(err, &te):
		return FromTask(te)
	case errors.Is(err, context.DeadlineExceeded):
		return RetryableError(tasks.ReasonTimeout, "the task ran over its time limit").Because(err)
	case errors.Is(err, context.Canceled):
		return RetryableError(tasks.ReasonInterrupted, "the attempt was interrupted").Because(err)
	}
	return &Error{Reason: tasks.ReasonUnknown, Message: err.Error()}
}

// FromTask turns a stored error back into a fault.
func FromTask(t *tasks.Error) *Error {
	if t == nil {
		return nil
	}
	v := Permanent
	if t.Retryable {
		v = Retryable
	}
	if t.Reason == tasks.ReasonCanceled {
		v = Canceled
	}
	return &Error{Verdict: v, Reason: t.Reason, Message: t.Message, Fields: t.Fields}
}

// Task turns the fault into what callers see: bounded, valid UTF-8, without
// control characters.
func (e *Error) Task() *tasks.Error {
	fields := e.Fields
	if len(fields) > 20 {
		fields = fields[:20]
	}
	return &tasks.Error{Reason: e.Reason, Message: Clean(e.Message, MaxMessage), Retryable: e.Verdict == Retryable, Fields: fields}
}

// Clean bounds a text for storage and logs: at most limit bytes, valid UTF-8, on
// one line.
func Clean(s string, limit int) string {
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-len("…")], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
