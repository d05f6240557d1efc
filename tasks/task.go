package tasks

import (
	"encoding/json"
	"fmt"
	"time"
)

// State is where a task is in its life. The names are asynq's, and canceled.
type State string

// The states of a task.
const (
	Pending   State = "pending"   // waits for a slot
	Scheduled State = "scheduled" // waits for its time
	Active    State = "active"    // an attempt runs
	Retry     State = "retry"     // an attempt failed; the next one is due later
	Completed State = "completed" // has its result
	Archived  State = "archived"  // failed for good: a dead letter
	Canceled  State = "canceled"  // withdrawn by a caller
)

// States lists all states, in the order of a task's life.
func States() []State {
	return []State{Pending, Scheduled, Active, Retry, Completed, Archived, Canceled}
}

// Final reports whether the task will not change any more.
func (s State) Final() bool { return s == Completed || s == Archived || s == Canceled }

// Reason is why a task failed: a closed list, which is also a metric label.
type Reason string

// The reasons.
const (
	ReasonInvalid     Reason = "invalid"     // the input breaks a rule
	ReasonNotFound    Reason = "not_found"   // what it asks for does not exist
	ReasonRejected    Reason = "rejected"    // refused by policy
	ReasonTooLarge    Reason = "too_large"   // input or output over a limit
	ReasonIntegrity   Reason = "integrity"   // a checksum does not match
	ReasonUpstream    Reason = "upstream"    // another service failed
	ReasonBusy        Reason = "busy"        // no capacity now
	ReasonTimeout     Reason = "timeout"     // over its wall-clock limit
	ReasonCPU         Reason = "cpu"         // over its CPU limit
	ReasonOOM         Reason = "oom"         // over its memory limit
	ReasonCrash       Reason = "crash"       // its process died
	ReasonPanic       Reason = "panic"       // its code panicked
	ReasonInterrupted Reason = "interrupted" // the worker was shut down
	ReasonCanceled    Reason = "canceled"    // withdrawn by a caller
	ReasonExpired     Reason = "expired"     // too late to be of use
	ReasonUnknown     Reason = "unknown"     // none of these
)

// Reasons lists the closed list.
func Reasons() []Reason {
	return []Reason{
		ReasonInvalid, ReasonNotFound, ReasonRejected, ReasonTooLarge, ReasonIntegrity, ReasonUpstream, ReasonBusy,
		ReasonTimeout, ReasonCPU, ReasonOOM, ReasonCrash, ReasonPanic, ReasonInterrupted, ReasonCanceled, ReasonExpired, ReasonUnknown,
	}
}

// Error is why a task has no result.
type Error struct {
	Reason  Reason `json:"reason"`
	Message string `json:"message"`
	// Retryable tells whether the same request may succeed later.
	Retryable bool `json:"retryable"`
	// Fields names the fields at fault when Reason is invalid.
	Fields []FieldError `json:"fields,omitempty"`
}

// Error returns the reason and the message.
func (e *Error) Error() string { return string(e.Reason) + ": " + e.Message }

// Task is one unit of work as every door shows it.
type Task struct {
	ID         string          `json:"id"`
	Kind       string          `json:"kind"`
	Queue      string          `json:"queue"`
	State      State           `json:"state"`
	Attempts   int             `json:"attempts"`
	EnqueuedAt time.Time       `json:"enqueued_at,omitzero"`
	StartedAt  time.Time       `json:"started_at,omitzero"`
	FinishedAt time.Time       `json:"finished_at,omitzero"`
	Cached     string          `json:"cached"` // memory, redis, disk, or empty
	Node       string          `json:"node,omitempty"`
	PeakMemory int64           `json:"peak_memory_bytes,omitempty"`
	Progress   *Progress       `json:"progress,omitempty"`
	Replayed   *Replayed       `json:"replayed,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
	Error      *Error          `json:"error,omitempty"`
}

// Stamp changes whenever the task's state, its attempts or its progress does.
func (t Task) Stamp() string {
	replays, moved := 0, int64(0)
	if t.Replayed != nil {
		replays = t.Replayed.Times
	}
	if t.Progress != nil {
		moved = t.Progress.At.UnixMilli()
	}
	return fmt.Sprintf("%d-%d-%s-%d", replays, t.Attempts, t.State, moved)
}
