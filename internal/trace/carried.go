package trace

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	otel "go.opentelemetry.io/otel/trace"
)

// Names of the W3C headers, which are those of a task's message too.
const (
	ParentHeader = "traceparent"
	StateHeader  = "tracestate"
)

// Bounds of what is taken from outside. A traceparent has 55 bytes; later
// versions may append to it. The standard asks to pass on a tracestate of 512.
const (
	maxParent = 128
	maxState  = 512
)

// Carried is a place in a trace as it travels beside a task or a request. The
// zero value is none.
type Carried struct {
	// Parent is a traceparent of version 00, State a tracestate or "".
	Parent, State string
}

// Read reads a place that came from outside. What is malformed or too large is
// none: a bad tracestate alone is left out.
func Read(parent, state string) Carried {
	if parent == "" || len(parent) > maxParent {
		return Carried{}
	}
	if len(state) > maxState {
		state = ""
	}
	in := propagation.MapCarrier{ParentHeader: parent, StateHeader: state}
	return Here(propagation.TraceContext{}.Extract(context.Background(), in)) // holds nothing else
}

// FromHTTP reads the place that a request names. Several traceparents are none.
func FromHTTP(h http.Header) Carried {
	parents := h.Values(ParentHeader)
	if len(parents) != 1 {
		return Carried{}
	}
	return Read(parents[0], strings.Join(h.Values(StateHeader), ","))
}

// ToHTTP names the place of the context in a request, if it has one.
func ToHTTP(ctx context.Context, h http.Header) {
	c := Here(ctx)
	if c.Parent == "" {
		return
	}
	h.Set(ParentHeader, c.Parent)
	if c.State != "" {
		h.Set(StateHeader, c.State)
	}
}

// Here is the place of the context, or none.
func Here(ctx context.Context) Carried {
	if !otel.SpanContextFromContext(ctx).IsValid() {
		return Carried{}
	}
	out := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, out)
	c := Carried{out[ParentHeader], out[StateHeader]}
	if len(c.State) > maxState {
		c.State = ""
	}
	return c
}

// In returns a context in which spans begin below the place. It is ctx if there
// is none.
func (c Carried) In(ctx context.Context) context.Context {
	if sc := c.context(); sc.IsValid() {
		return otel.ContextWithRemoteSpanContext(ctx, sc)
	}
	return ctx
}

// context trusts nothing either: what Redis keeps, anybody can have written.
func (c Carried) context() otel.SpanContext {
	if c.Parent == "" || len(c.Parent) > maxParent || len(c.State) > maxState {
		return otel.SpanContext{}
	}
	in := propagation.MapCarrier{ParentHeader: c.Parent, StateHeader: c.State}
	return otel.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), in))
}
