package tasks

import (
	"errors"
	"fmt"
	"time"
)

// Bounds of a batch.
const (
	MaxBatchTasks = 50_000
	// MaxBatchBytes bounds the payloads of a batch together.
	MaxBatchBytes = 64 << 20
	// MaxBatchID leaves room for the number that ends the id of each task.
	MaxBatchID = 100
	// MinBatchRetention is the shortest that tasks of a batch are kept: whoever
	// reads their results in order may still be at an earlier one.
	MinBatchRetention = 10 * time.Minute
	// maxBatchFaults bounds how many faults of a batch are told.
	maxBatchFaults = 20
)

// Batch is many requests to hand over as one: what the body of
// POST /v1/batches holds. Its tasks run in their kinds' bulk queues and have
// the ids "<batch>.<n>", n from 0.
type Batch struct {
	// ID makes the call idempotent, as a task's does; empty means a new one.
	ID       string    `json:"id,omitempty"`
	Requests []Request `json:"tasks"`
	// Callback is enqueued once every task is final, under the id
	// "<batch>.done"; so it can tell which batch has ended.
	Callback *Request `json:"callback,omitempty"`
	// Webhook names the endpoint that is called once every task is final.
	Webhook string `json:"webhook,omitempty"`
}

// BatchInfo is how far a batch is.
type BatchInfo struct {
	ID    string `json:"id"`
	Total int    `json:"total"`
	// Kinds are the kinds of its tasks.
	Kinds []string `json:"kinds,omitempty"`
	// Counts are the tasks by state. A task that ended counts as it ended
	// first, also if its dead letter was replayed since.
	Counts    map[State]int `json:"counts"`
	CreatedAt time.Time     `json:"created_at"`
	// FinishedAt is when the last task became final; zero before.
	FinishedAt time.Time `json:"finished_at,omitzero"`
	// Callback is the id of the callback's task; empty if none was asked for.
	Callback string `json:"callback,omitempty"`
}

// Finished reports whether every task of the batch is final.
func (i BatchInfo) Finished() bool { return !i.FinishedAt.IsZero() }

// DecodeBatch reads a Batch strictly; errors are *InvalidError. What it
// returns has not been checked yet.
func DecodeBatch(raw []byte) (Batch, error) {
	var b Batch
	err := decodeStrict(raw, &b)
	return b, err
}

// Check validates the whole batch and returns it with every request checked,
// as Request.Check does. Errors are *InvalidError; their paths begin with
// "tasks[3]" for a fault of the fourth request.
func (b Batch) Check(now time.Time) (Batch, error) {
	var f faults
	f.check(b.ID == "" || ValidID(b.ID) && len(b.ID) <= MaxBatchID, "id",
		"must be 1 to %d letters, digits or . _ : - and begin with a letter or digit, got %q", MaxBatchID, clip(b.ID, 60))
	f.check(len(b.Webhook) <= maxWebhook, "webhook", "must be the name of an endpoint, at most %d bytes", maxWebhook)
	f.check(len(b.Requests) >= 1 && len(b.Requests) <= MaxBatchTasks, "tasks", "must be 1 to %d, got %d", MaxBatchTasks, len(b.Requests))
	if len(f) > 0 {
		return b, f.err()
	}
	checked := make([]Request, len(b.Requests))
	bytes := 0
	for i, r := range b.Requests {
		var err error
		if checked[i], err = checkBatched(r, now); err != nil {
			f.append(fmt.Sprintf("tasks[%d]", i), err)
		}
		bytes += len(checked[i].Payload)
		if len(f) >= maxBatchFaults {
			return b, f[:maxBatchFaults].err()
		}
	}
	f.check(bytes <= MaxBatchBytes, "tasks", "must not have over %d bytes of payload together, got %d; hand them over in several batches",
		MaxBatchBytes, bytes)
	b.Requests = checked
	if b.Callback != nil {
		callback, err := b.Callback.Check(now)
		if err == nil && callback.Options.Webhook != "" {
			err = Invalid("options.webhook", "must be empty: name the webhook of the whole batch")
		}
		if err == nil && callback.Options.ID != "" {
			err = Invalid("options.id", "must be empty: the callback has the id of its batch and \".done\"")
		}
		f.append("callback", err)
		callback.Options.Retention = max(callback.Options.Retention, Duration(MinBatchRetention))
		b.Callback = &callback
	}
	return b, f.err()
}

// checkBatched checks a request of a batch.
func checkBatched(r Request, now time.Time) (Request, error) {
	if r.Options.Queue == "" {
		r.Options.Queue = "bulk"
	}
	r, err := r.Check(now)
	if err != nil {
		return r, err
	}
	var f faults
	f.check(r.Options.Webhook == "", "options.webhook", "must be empty: name the webhook of the whole batch")
	f.check(r.Options.ID == "", "options.id", "must be empty: tasks of a batch have its id and their number")
	f.check(r.Options.Queue == BulkQueue(r.Kind), "options.queue", "must be %q in a batch, got %q", BulkQueue(r.Kind), r.Options.Queue)
	r.Options.Retention = max(r.Options.Retention, Duration(MinBatchRetention))
	return r, f.err()
}

// append adds the faults of err below a parent.
func (f *faults) append(parent string, err error) {
	if in, ok := errors.AsType[*InvalidError](prefix(parent, err)); ok {
		*f = append(*f, in.Fields...)
	}
}
