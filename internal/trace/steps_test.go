package trace_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/jobyard/jobyard/internal/trace"
)

// steps does something in a process that exports nothing, and returns what it
// tells of it.
func steps(do func(context.Context)) []byte {
	ctx, s := trace.Collect(context.Background(), trace.Read(parent, ""))
	do(ctx)
	return s.Told()
}

// step begins and ends a span around do.
func step(ctx context.Context, name string, do func(context.Context)) {
	ctx, span := trace.Start(ctx, trace.Within, name, "")
	do(ctx)
	span.Text("key", "a secret")
	span.End()
}

func nothing(context.Context) {}

// retold is what becomes of what a process tells, below a span from 12:00:00 to
// 12:00:10.
func retold(t *testing.T, told []byte) (above tracetest.SpanStub, below tracetest.SpanStubs) {
	t.Helper()
	tracer, spans := recorded(t)
	ctx, run := tracer.Begin(t.Context(), trace.Within, "run", "", trace.Carried{})
	trace.Retell(ctx, told, noon, noon.Add(10*time.Second))
	run.End()
	all := spans()
	return all[len(all)-1], all[:len(all)-1]
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestSteps_ToldAndRetold(t *testing.T) {
	t.Parallel()
	told := steps(func(ctx context.Context) {
		if trace.ID(ctx) != traceID || trace.Here(ctx).Parent != parent {
			t.Errorf("got %s, %+v, want the place it was given", trace.ID(ctx), trace.Here(ctx))
		}
		step(ctx, "read", func(ctx context.Context) {
			step(ctx, "decode", nothing)
			trace.Start(ctx, trace.Within, "does not end", "")
		})
		step(ctx, "write", nothing)
	})
	run, below := retold(t, told)
	if len(below) != 4 {
		t.Fatalf("got %v of %s", below, told)
	}
	ids := map[string]tracetest.SpanStub{}
	for _, s := range below {
		ids[s.Name] = s
		if s.SpanContext.TraceID() != run.SpanContext.TraceID() || s.StartTime.Before(noon) || s.EndTime.Before(s.StartTime) || s.EndTime.After(noon.Add(10*time.Second)) || len(s.Attributes) > 0 {
			t.Errorf("got %+v", s)
		}
	}
	for name, above := range map[string]tracetest.SpanStub{"read": run, "write": run, "decode": ids["read"], "does not end": ids["read"]} {
		if ids[name].Parent.SpanID() != above.SpanContext.SpanID() {
			t.Errorf("%s: got it below another span than %s", name, above.Name)
		}
	}
}

func TestSteps_Bounded(t *testing.T) {
	t.Parallel()
	told := steps(func(ctx context.Context) {
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() { step(ctx, fmt.Sprint("step ", i), nothing) })
		}
		all.Wait()
	})
	if _, below := retold(t, told); len(below) != 64 || len(told) > trace.MaxTold {
		t.Errorf("got %d spans in %d bytes", len(below), len(told))
	}
	long := steps(func(ctx context.Context) { step(ctx, strings.Repeat("x", trace.MaxTold), nothing) })
	if long != nil || steps(nothing) != nil {
		t.Errorf("got %s", long)
	}
	ctx, none := trace.Collect(t.Context(), trace.Carried{})
	if ctx != t.Context() || none.Told() != nil {
		t.Error("something is kept without a place")
	}
}

// A process that is in a stranger's hands can tell whatever it likes.
func TestRetell_BelievesNothing(t *testing.T) {
	t.Parallel()
	for _, told := range []string{
		"", "{", "null", "{}", `[{}]`, `[{"name":"a","begun":2,"ended":1}]`, `[{"name":"a","begun":-1,"ended":1}]`,
		`[{"name":"a","above":1,"ended":1}]`, `[{"name":"a","above":-1,"ended":1}]`, `[{"name":"a\nb","ended":1}]`,
		`[{"name":"<script>","ended":1}]`, `[{"name":"` + strings.Repeat("a", 61) + `","ended":1}]`,
		`[{"name":"a","ended":99999999999999999999}]`, "[" + strings.Repeat(`{"name":"a","ended":1},`, 64) + `{"name":"a","ended":1}]`,
		`[{"name":"fine","ended":1},{"name":"a","above":2,"ended":1}]`, `["` + strings.Repeat("a", trace.MaxTold) + `"]`,
	} {
		if _, below := retold(t, []byte(told)); len(below) > 0 {
			t.Errorf("%.100s: got %d spans", told, len(below))
		}
	}
	_, below := retold(t, []byte(`[{"name":"a","begun":5,"ended":9223372036854775807}]`))
	if len(below) != 1 || below[0].StartTime.Sub(noon) != 5*time.Microsecond || below[0].EndTime.Sub(noon) != 10*time.Second {
		t.Errorf("got %+v, want it to end with what it is part of", below)
	}
}

func FuzzRetell(f *testing.F) {
	f.Add([]byte(`[{"name":"a","begun":5,"ended":7},{"name":"b","above":1,"begun":5,"ended":6}]`))
	f.Fuzz(func(t *testing.T, told []byte) {
		_, below := retold(t, told)
		for _, s := range below {
			if len(s.Name) > 60 || strings.ContainsAny(s.Name, "\n\x00<") || s.StartTime.Before(noon) || s.EndTime.After(noon.Add(10*time.Second)) || s.EndTime.Before(s.StartTime) {
				t.Errorf("%q gave %+v", told, s)
			}
		}
		if len(below) > 64 {
			t.Errorf("got %d spans", len(below))
		}
	})
}
