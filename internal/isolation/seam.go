package isolation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// Func is a pure function that may run in a runner: its input and output can be
// written as JSON, and it needs nothing else.
type Func[I, O any] func(context.Context, I) (O, error)

// Inline is the pool that is none: Remote then runs its function in this
// process. Every method of a Pool that reports may be called on it.
func Inline() *Pool { return nil }

// Remote is f, run by a runner of p. The runner finds it by name in the Table
// that it serves. Faults and tasks.InvalidError that f returns come back as
// they were, their causes as text.
func Remote[I, O any](p *Pool, name string, f Func[I, O]) Func[I, O] {
	if p == nil {
		return f
	}
	return func(ctx context.Context, in I) (O, error) {
		var out O
		payload, err := json.Marshal(in)
		if err != nil {
			return out, fault.PermanentError(tasks.ReasonUnknown, "the input of %s cannot be written as JSON", name).Because(err)
		}
		reply, err := p.Do(ctx, Call{Func: name, Payload: payload})
		if err != nil {
			return out, err
		}
		if err := json.Unmarshal(reply.Payload, &out); err != nil {
			return out, fault.RetryableError(tasks.ReasonUnknown, "the output of %s cannot be read", name).Because(err)
		}
		return out, nil
	}
}

// Entry is a function as a runner calls it: bytes in, bytes out.
type Entry struct {
	call func(ctx context.Context, payload []byte) ([]byte, error)
	warm []func() error
}

// Table holds what a runner can do, by name.
type Table map[string]Entry

// Handle makes f an entry of a Table. The warm functions run before the runner
// locks itself in: whatever f needs to read, map or compile, it must do there.
func Handle[I, O any](f Func[I, O], warm ...func() error) Entry {
	return Entry{warm: warm, call: func(ctx context.Context, payload []byte) ([]byte, error) {
		var in I
		if err := json.Unmarshal(payload, &in); err != nil {
			return nil, fault.PermanentError(tasks.ReasonUnknown, "the input cannot be read").Because(err)
		}
		out, err := f(ctx, in)
		if err != nil {
			return nil, err
		}
		b, err := json.Marshal(out)
		if err != nil {
			return nil, fault.PermanentError(tasks.ReasonUnknown, "the output cannot be written as JSON").Because(err)
		}
		return b, nil
	}}
}

// HandleBytes makes an entry of a function that takes and gives bytes as they
// are.
func HandleBytes(f func(ctx context.Context, payload []byte) ([]byte, error)) Entry {
	return Entry{call: f}
}

// remoteFault is a fault on its way to the parent.
type remoteFault struct {
	Verdict fault.Verdict      `json:"verdict"`
	Reason  tasks.Reason       `json:"reason"`
	Message string             `json:"message"`
	Fields  []tasks.FieldError `json:"fields,omitempty"`
	Cause   string             `json:"cause,omitempty"`
	// Invalid says that it was a tasks.InvalidError.
	Invalid bool `json:"invalid,omitempty"`
}

// The bounds of a fault's parts.
const (
	maxCause  = 4000
	maxFields = 100
	maxFault  = 1 << 20
)

func encodeFault(err error) []byte {
	f := fault.Of(err)
	r := remoteFault{
		Verdict: f.Verdict, Reason: f.Reason, Fields: f.Fields[:min(len(f.Fields), maxFields)],
		Message: fault.Clean(f.Message, fault.MaxMessage),
	}
	if f.Err != nil {
		r.Cause = fmt.Sprintf("%.*s", maxCause, f.Err.Error())
	}
	var own *fault.Error
	r.Invalid = !errors.As(err, &own) && f.Reason == tasks.ReasonInvalid
	b, err := json.Marshal(r)
	if err != nil || len(b) > maxFault { // long field names
		r.Fields = nil
		b, _ = json.Marshal(r)
	}
	return b
}

// decodeFault trusts nothing: a runner may be in a stranger's hands. That a
// task was interrupted or canceled is not for it to say, since such attempts
// are not counted.
func decodeFault(b []byte) (error, error) {
	var r remoteFault
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%w: a fault: %w", errCorrupt, err)
	}
	r.Fields = r.Fields[:min(len(r.Fields), maxFields)]
	if r.Invalid && len(r.Fields) > 0 {
		return &tasks.InvalidError{Fields: r.Fields}, nil
	}
	uncounted := r.Reason == tasks.ReasonInterrupted || r.Reason == tasks.ReasonCanceled
	if uncounted || !slices.Contains(tasks.Reasons(), r.Reason) {
		r.Reason = tasks.ReasonUnknown
	}
	if r.Verdict != fault.Permanent {
		r.Verdict = fault.Retryable
	}
	f := &fault.Error{Verdict: r.Verdict, Reason: r.Reason, Fields: r.Fields, Message: fault.Clean(r.Message, fault.MaxMessage)}
	if r.Cause != "" {
		f.Err = errors.New(r.Cause)
	}
	return f, nil
}
