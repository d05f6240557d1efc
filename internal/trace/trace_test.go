package trace_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/jobyard/jobyard/internal/trace"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
	parent  = "00-" + traceID + "-" + spanID + "-01"
)

func TestRead(t *testing.T) {
	t.Parallel()
	long := "a=" + strings.Repeat("x", 250)
	for name, tt := range map[string]struct {
		parent, state string
		want          trace.Carried
	}{
		"a place":                  {parent, "", trace.Carried{Parent: parent}},
		"a place with a state":     {parent, "vendor=1,b=2", trace.Carried{Parent: parent, State: "vendor=1,b=2"}},
		"one that is not sampled":  {parent[:53] + "00", "", trace.Carried{Parent: parent[:53] + "00"}},
		"a later version":          {"01" + parent[2:] + "-more", "", trace.Carried{Parent: parent}},
		"a state that is bad":      {parent, "=,=", trace.Carried{Parent: parent}},
		"a state that is too long": {parent, long + "," + strings.Replace(long, "a=", "b=", 1) + "," + strings.Replace(long, "a=", "c=", 1), trace.Carried{Parent: parent}},
		"none":                     {"", "vendor=1", trace.Carried{}},
		"version 255":              {"ff" + parent[2:], "", trace.Carried{}},
		"more in version 0":        {parent + "-x", "", trace.Carried{}},
		"a zero trace":             {"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", "", trace.Carried{}},
		"a zero span":              {"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01", "", trace.Carried{}},
		"capital letters":          {strings.ToUpper(parent), "", trace.Carried{}},
		"a line of a log":          {parent[:50] + "\nlevel", "", trace.Carried{}},
		"a megabyte":               {"01" + parent[2:] + strings.Repeat("-a", 1<<19), "", trace.Carried{}},
	} {
		if got := trace.Read(tt.parent, tt.state); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestFromHTTP_TwoParentsAreNone(t *testing.T) {
	t.Parallel()
	h := http.Header{"Traceparent": {parent}, "Tracestate": {"a=1", "b=2"}}
	if got, want := trace.FromHTTP(h), (trace.Carried{Parent: parent, State: "a=1,b=2"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	h.Add("traceparent", parent)
	if got := trace.FromHTTP(h); got != (trace.Carried{}) {
		t.Errorf("got %+v of two", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(parent, "vendor=1")
	f.Add("01"+parent[2:]+"-x", "")
	f.Add("00-0-0-0", strings.Repeat("a=b,", 40))
	f.Fuzz(func(t *testing.T, parent, state string) {
		c := trace.Read(parent, state)
		if c == (trace.Carried{}) {
			return
		}
		if len(c.Parent) != 55 || len(c.State) > 512 || strings.ContainsAny(c.Parent+c.State, "\r\n\x00") {
			t.Errorf("%q, %q gave %+v", parent, state, c)
		}
		if again := trace.Here(c.In(t.Context())); again != c {
			t.Errorf("got %+v again, want %+v", again, c)
		}
	})
}

// recorded makes a tracer whose spans the test reads.
func recorded(t *testing.T) (*trace.Tracer, func() tracetest.SpanStubs) {
	t.Helper()
	in := tracetest.NewInMemoryExporter()
	p := sdk.NewTracerProvider(sdk.WithSyncer(in))
	t.Cleanup(func() { _ = p.Shutdown(context.Background()) })
	return trace.New(p), in.GetSpans
}

func TestTracer_SpansBelowAPlaceFromOutside(t *testing.T) {
	t.Parallel()
	tracer, spans := recorded(t)
	link := trace.Read("00-"+strings.Repeat("1", 32)+"-"+strings.Repeat("2", 16)+"-01", "")
	ctx, top := tracer.Begin(trace.Read(parent, "v=1").In(t.Context()), trace.Consumer, "process", "search", link)
	inner, below := trace.Start(ctx, trace.Within, "run", "")
	below.Fail("timeout", "it took too long")
	below.End()
	top.Text("empty", "")
	top.Number("n", 7)
	top.Rename("named")
	top.End()
	all := spans()
	if len(all) != 2 || all[0].Name != "run" || all[1].Name != "named" {
		t.Fatalf("got %v", all)
	}
	run, process := all[0], all[1]
	if process.Parent.SpanID().String() != spanID || process.SpanContext.TraceID().String() != traceID || len(process.Links) != 1 || len(process.Attributes) != 1 {
		t.Errorf("got %+v", process)
	}
	if run.Parent.SpanID() != process.SpanContext.SpanID() || run.Status.Code != codes.Error {
		t.Errorf("got %+v", run)
	}
	if c := trace.Here(inner); c.State != "v=1" || trace.ID(inner) != traceID {
		t.Errorf("got %+v, %s", c, trace.ID(inner))
	}
}

func TestOff_AllocatesNothing(t *testing.T) {
	ctx, headers, h := t.Context(), map[string]string{"jobyard-timeout": "30s"}, http.Header{}
	var off *trace.Tracer
	n := testing.AllocsPerRun(1000, func() {
		ctx, span := off.Begin(ctx, trace.Consumer, "process", "search", trace.Carried{})
		ctx, below := trace.Start(ctx, trace.Producer, "enqueue", "search")
		below.Text("a", "b")
		below.Number("n", 1)
		below.Seconds("s", time.Second)
		below.Fail("a", "b")
		below.End()
		span.End()
		trace.ToHTTP(ctx, h)
		ctx = trace.Read(headers[trace.ParentHeader], headers[trace.StateHeader]).In(ctx)
		if c := trace.Here(ctx); c != (trace.Carried{}) || trace.ID(ctx) != "" || len(h) > 0 {
			t.Error("something is carried")
		}
	})
	if n != 0 {
		t.Errorf("got %v allocations", n)
	}
}
