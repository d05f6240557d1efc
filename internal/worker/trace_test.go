package worker

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// Each attempt of a task is a span of its own below the one that handed it over.
func TestWorker_Trace_RetriesShareTheProducersSpan(t *testing.T) {
	t.Parallel()
	in := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(in))
	tracer := trace.New(provider)
	b := brokertest.Start(t)
	var tried atomic.Int32
	jobs := searching(func(context.Context, string) (string, error) {
		if tried.Add(1) == 1 {
			return "", fault.RetryableError(tasks.ReasonUpstream, "it is away")
		}
		return "", nil
	})
	cfg := DefaultConfig()
	cfg.Slots = map[string]int{"search": 1}
	w, err := New(cfg, b, &Registry{Jobs: jobs}, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	w.Trace(tracer)
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(running) }()
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx, root := tracer.Begin(patience(t), trace.Within, "caller", "", trace.Carried{})
	task, err := c.Do(ctx, request("x"))
	root.End()
	stop()
	if err := <-ended; err != nil || c.Close() != nil {
		t.Error(err)
	}
	if err != nil || task.State != tasks.Completed {
		t.Fatalf("got %+v, %v", task, err)
	}
	producers, attempts := named(in.GetSpans(), "enqueue search"), named(in.GetSpans(), "process search")
	if len(producers) != 1 || len(attempts) != 2 {
		t.Fatalf("got %d producers and %d attempts", len(producers), len(attempts))
	}
	for i, a := range attempts {
		if a.Parent.SpanID() != producers[0].SpanContext.SpanID() || value(a, "jobyard.attempt").AsInt64() != int64(i+1) {
			t.Errorf("attempt %d: got %+v", i+1, a)
		}
	}
	if value(attempts[0], "jobyard.reason").AsString() != "upstream" || value(attempts[0], "jobyard.outcome").AsString() != "retry" ||
		value(attempts[1], "jobyard.outcome").AsString() != "completed" {
		t.Errorf("got %v and %v", attempts[0].Attributes, attempts[1].Attributes)
	}
	if n := len(named(in.GetSpans(), "settle")); n != 2 {
		t.Errorf("got %d settlements", n)
	}
}

func named(all tracetest.SpanStubs, name string) (found tracetest.SpanStubs) {
	for _, s := range all {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

func value(s tracetest.SpanStub, key attribute.Key) attribute.Value {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return attribute.Value{}
}
