package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jobyard/jobyard/tasks"
)

func TestOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		err     error
		verdict Verdict
		reason  tasks.Reason
	}{
		{"an unknown error", errors.New("x"), Retryable, tasks.ReasonUnknown},
		{"a wrapped fault", fmt.Errorf("fetch: %w", PermanentError(tasks.ReasonIntegrity, "x")), Permanent, tasks.ReasonIntegrity},
		{"bad input", tasks.Invalid("payload.query", "x"), Permanent, tasks.ReasonInvalid},
		{"a deadline", context.DeadlineExceeded, Retryable, tasks.ReasonTimeout},
		{"an interruption", context.Canceled, Retryable, tasks.ReasonInterrupted},
		{"a stored error", &tasks.Error{Reason: tasks.ReasonUpstream, Retryable: true}, Retryable, tasks.ReasonUpstream},
		{"a stored cancel", &tasks.Error{Reason: tasks.ReasonCanceled}, Canceled, tasks.ReasonCanceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if f := Of(tt.err); f.Verdict != tt.verdict || f.Reason != tt.reason {
				t.Errorf("got %v %s, want %v %s", f.Verdict, f.Reason, tt.verdict, tt.reason)
			}
		})
	}
	if Of(nil) != nil {
		t.Error("no error gave a fault")
	}
}

func TestError_TaskIsBounded(t *testing.T) {
	t.Parallel()
	e := PermanentError(tasks.ReasonInvalid, "a\nb\x00\x1b[31m%s", strings.Repeat("é", 2000))
	e.Fields = make([]tasks.FieldError, 50)
	got := e.Task()
	if len(got.Message) > MaxMessage || !utf8.ValidString(got.Message) || strings.ContainsAny(got.Message, "\n\x00\x1b") || len(got.Fields) != 20 {
		t.Errorf("got %d bytes, %d fields: %q", len(got.Message), len(got.Fields), got.Message[:40])
	}
}

func TestError_KeepsItsCauseOutOfTheMessage(t *testing.T) {
	t.Parallel()
	cause := errors.New("secret detail")
	e := RetryableError(tasks.ReasonUpstream, "the registry failed").Because(cause)
	if !errors.Is(e, cause) || strings.Contains(e.Task().Message, "secret") {
		t.Errorf("got %v and %q", e, e.Task().Message)
	}
}
