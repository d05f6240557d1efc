package client

import (
	"errors"

	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// A call that hands tasks over is a span below the one of its context, made by
// whatever made that one; attempts come below it, in whichever process they run.
// Without a span in the context nothing is traced.

// handedOver notes on a producer's span what was handed over, and why it was not.
func handedOver(span trace.Span, queue string, count int, err error) {
	span.Text("messaging.system", trace.System)
	span.Text("messaging.operation.name", "enqueue")
	span.Text("messaging.operation.type", "send")
	span.Text("messaging.destination.name", queue)
	if count != 1 {
		span.Number("messaging.batch.message_count", int64(count))
	}
	if err != nil {
		span.Fail(failure(err), "")
	}
}

// failure is the kind of error, of a closed list.
func failure(err error) string {
	var (
		invalid  *tasks.InvalidError
		full     *FullError
		memory   *MemoryError
		conflict *ConflictError
		away     *UnavailableError
	)
	switch {
	case errors.As(err, &invalid):
		return "invalid"
	case errors.As(err, &full):
		return "queue_full"
	case errors.As(err, &memory):
		return "redis_full"
	case errors.As(err, &conflict):
		return "conflict"
	case errors.As(err, &away):
		return "redis_away"
	}
	return "_OTHER" // as OpenTelemetry calls what has no name
}
