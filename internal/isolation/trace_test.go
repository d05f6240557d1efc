package isolation

import (
	"context"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// stepped does its work in two steps, returns the trace that it is part of, and
// fails if it is asked to.
func stepped(ctx context.Context, in echo) (echo, error) {
	_, first := trace.Start(ctx, trace.Within, "first", "")
	first.End()
	_, second := trace.Start(ctx, trace.Within, "second", "")
	defer second.End()
	if in.Text == "fail" {
		return in, fault.PermanentError(tasks.ReasonRejected, "no")
	}
	return echo{trace.ID(ctx)}, nil
}

// What a runner does is in the trace of its task, and where nothing is recorded
// it knows of none.
func TestPool_traced(t *testing.T) {
	t.Parallel()
	p := newPool(t, testConfig())
	job := Remote[echo, echo](p, "stepped", nil)
	if out, err := job(t.Context(), echo{}); err != nil || out.Text != "" {
		t.Errorf("got trace %q, %v, want none", out.Text, err)
	}
	in := tracetest.NewInMemoryExporter()
	ctx, root := trace.New(sdk.NewTracerProvider(sdk.WithSyncer(in))).Begin(t.Context(), trace.Consumer, "process", "", trace.Carried{})
	defer root.End()
	for _, text := range []string{"", "fail"} {
		in.Reset()
		out, err := job(ctx, echo{text})
		if (err != nil) != (text == "fail") || err == nil && out.Text != trace.ID(ctx) {
			t.Errorf("%q: got trace %q, %v, want %s", text, out.Text, err, trace.ID(ctx))
		}
		names, spans := []string{}, in.GetSpans()
		run := spans[len(spans)-1]
		for _, s := range spans {
			names = append(names, s.Name)
			if s.Name != run.Name && (s.Parent.SpanID() != run.SpanContext.SpanID() || s.StartTime.Before(run.StartTime) || s.EndTime.After(run.EndTime)) {
				t.Errorf("%q: got %+v outside of its run", text, s)
			}
		}
		if got := strings.Join(names, ", "); got != "first, second, run stepped" {
			t.Errorf("%q: got the spans %s", text, got)
		}
	}
}
