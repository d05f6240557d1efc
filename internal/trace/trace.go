// Package trace follows a task through the processes that it passes, in the
// words of OpenTelemetry and W3C Trace Context.
//
// A span begins below the one that its context holds, with whatever made that
// one: so no room needs to be told whether anything is recorded, and a Go
// service that hands over tasks gets its spans from its own tracing. Only the
// doors, where no span is above, are given a Tracer.
//
// It promises that without a span in the context nothing is done, nothing is
// allocated and nothing is carried on; and that what comes from outside is
// checked, bounded and, if it is malformed, forgotten. The package exports
// nothing: package app does, where somebody wants it.
package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"
)

// Role is what a span does in its trace.
type Role = otel.SpanKind

// The roles.
const (
	Within   = otel.SpanKindInternal // a part of what this process does
	Server   = otel.SpanKindServer   // answers a request
	Client   = otel.SpanKindClient   // waits for an answer of another service
	Producer = otel.SpanKindProducer // hands a task over
	Consumer = otel.SpanKindConsumer // does a task
)

// System is what spans call us where they tell of messages.
const System = "jobyard"

// scope names us among those whose spans are in a trace.
const scope = "github.com/jobyard/jobyard"

// Tracer begins spans at the doors. A nil one begins none.
type Tracer struct{ provider otel.TracerProvider }

// New returns a tracer whose spans the provider makes.
func New(p otel.TracerProvider) *Tracer { return &Tracer{p} }

// Begin begins a span, below what the context holds if it holds anything. Its
// name is the two words, or the first one. A link, if there is one, is to what
// led to the span without being above it.
func (t *Tracer) Begin(ctx context.Context, role Role, do, what string, link Carried) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return begin(ctx, t.provider, role, words(do, what), link)
}

// Start begins a span below the one of the context. Where there is none it does
// nothing.
func Start(ctx context.Context, role Role, do, what string) (context.Context, Span) {
	above := otel.SpanFromContext(ctx)
	if !above.SpanContext().IsValid() {
		return ctx, Span{}
	}
	return begin(ctx, above.TracerProvider(), role, words(do, what), Carried{})
}

func words(do, what string) string {
	if what == "" {
		return do
	}
	return do + " " + what
}

func begin(ctx context.Context, p otel.TracerProvider, role Role, name string, link Carried) (context.Context, Span) {
	opts := []otel.SpanStartOption{otel.WithSpanKind(role)}
	if sc := link.context(); sc.IsValid() {
		opts = append(opts, otel.WithLinks(otel.Link{SpanContext: sc}))
	}
	ctx, s := p.Tracer(scope).Start(ctx, name, opts...)
	return ctx, Span{s}
}

// ID is the id of the trace that the context is part of, for a log; "" if it is
// part of none.
func ID(ctx context.Context) string {
	if sc := otel.SpanContextFromContext(ctx); sc.HasTraceID() {
		return sc.TraceID().String()
	}
	return ""
}

// Span is a step of a trace. The zero value records nothing.
type Span struct{ span otel.Span }

// On reports whether what is noted of the span is recorded, for whoever has to
// work for it.
func (s Span) On() bool { return s.span != nil && s.span.IsRecording() }

// Rename gives the span another name, once more is known.
func (s Span) Rename(name string) {
	if s.On() {
		s.span.SetName(name)
	}
}

// Text notes a word, unless it is empty.
func (s Span) Text(key, value string) {
	if value != "" && s.On() {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// Number notes a number.
func (s Span) Number(key string, n int64) {
	if s.On() {
		s.span.SetAttributes(attribute.Int64(key, n))
	}
}

// Seconds notes a length of time.
func (s Span) Seconds(key string, d time.Duration) {
	if s.On() {
		s.span.SetAttributes(attribute.Float64(key, d.Seconds()))
	}
}

// Fail notes that the step failed: the kind of error, of a closed list, and a
// text that holds no secret.
func (s Span) Fail(kind, text string) {
	if s.On() {
		s.span.SetAttributes(attribute.String("error.type", kind))
		s.span.SetStatus(codes.Error, text)
	}
}

// End ends the span. What is noted later is lost.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}
