package worker

import (
	"context"

	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/internal/trace"
)

// Trace makes spans of attempts. It is called before Run; without it, or with
// nil, there are none.
func (w *Worker) Trace(t *trace.Tracer) { w.tracer = t }

// begin begins the span of an attempt: below the span that handed the task over,
// as every attempt of it, or linked to that of its batch. Without a tracer the
// context still tells the trace's id to the log.
func (w *Worker) begin(ctx context.Context, r *run) (context.Context, trace.Span) {
	above, link := results.TraceOf(r.task.Headers())
	ctx = above.In(ctx)
	if w.tracer == nil {
		return ctx, trace.Span{}
	}
	ctx, span := w.beginIn(ctx, r, link)
	if span.On() {
		span.Number("jobyard.attempt", w.attempts.Fence(r.id))
	}
	return ctx, span
}

// beginIn begins the span of an attempt below what the context holds.
func (w *Worker) beginIn(ctx context.Context, r *run, link trace.Carried) (context.Context, trace.Span) {
	ctx, span := w.tracer.Begin(ctx, trace.Consumer, "process", r.kind, link)
	if span.On() {
		span.Text("messaging.system", trace.System)
		span.Text("messaging.operation.name", "process")
		span.Text("messaging.operation.type", "process")
		span.Text("messaging.destination.name", r.queue)
		span.Text("messaging.message.id", r.id)
		span.Text("messaging.client.id", w.id)
		span.Text("jobyard.kind", r.kind)
	}
	return ctx, span
}

// note says on an attempt's span how it ended.
func note(span trace.Span, r *run, o results.Outcome) {
	if !span.On() {
		return
	}
	span.Text("jobyard.outcome", outcomeOf(r, o))
	span.Text("jobyard.cached", o.Cached)
	span.Seconds("jobyard.waited_seconds", r.waited)
	if o.PeakMemory > 0 {
		span.Number("jobyard.peak_memory_bytes", o.PeakMemory)
	}
	if o.Error != nil {
		span.Text("jobyard.reason", string(o.Error.Reason))
		span.Fail(string(o.Error.Reason), o.Error.Message)
	}
}

// end ends the span of an attempt and begins that of its way to Redis, which the
// function that it returns ends; nil where nothing is traced.
func end(ctx context.Context, span trace.Span, r *run, o results.Outcome) func(written bool) {
	if !span.On() {
		span.End()
		return nil
	}
	note(span, r, o)
	settled := settling(ctx)
	span.End()
	return settled
}

// end is end for a bundle, whose tasks have spans of their own.
func (b *bundle) end(ctx context.Context, span trace.Span, o results.Outcome) func(written bool) {
	if !span.On() {
		span.End()
		return nil
	}
	span.Text("messaging.system", trace.System)
	span.Text("messaging.operation.name", "process")
	span.Text("messaging.operation.type", "process")
	span.Text("jobyard.outcome", outcomes[o.Mode])
	if b.Bundle != nil {
		span.Number("messaging.batch.message_count", int64(len(b.Todo())))
	}
	settled := settling(ctx)
	span.End()
	return settled
}

// settling begins the span of an end's way to Redis: with others, and after the
// slot is free.
func settling(ctx context.Context) func(written bool) {
	_, span := trace.Start(ctx, trace.Client, "settle", "")
	span.Text("messaging.system", trace.System)
	span.Text("messaging.operation.name", "settle")
	span.Text("messaging.operation.type", "settle")
	return func(written bool) {
		if !written {
			span.Fail("late", "")
		}
		span.End()
	}
}
