package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/jobyard/jobyard/internal/trace"
)

const (
	// flushWithin is how long the last spans may take on their way out: one that
	// stops does not wait for a collector that is away.
	flushWithin = 3 * time.Second
	// tellEvery is how often a collector that is away is logged.
	tellEvery = time.Minute
)

// Trace starts to export spans under the name jobyard-<service>, until the
// closings come to it: call it before what makes spans is opened. OpenTelemetry's
// library reads where they go from its own variables, which config has checked.
// If tracing is off the tracer is nil and nothing is started.
//
// Spans are kept in a queue of 2,048 and sent in the background; what does not
// fit, or what the collector did not take within a minute, is lost, and no task
// waits for it.
func (a *App) Trace(ctx context.Context, on bool, service string) (*trace.Tracer, error) {
	if !on {
		return nil, nil
	}
	about, err := resource.New(ctx, resource.WithHost(), resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "jobyard-"+service), attribute.String("service.version", Version()),
	), resource.WithFromEnv()) // the last one counts
	if err != nil {
		return nil, fmt.Errorf("tracing: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w; see the OTEL_EXPORTER_OTLP_ variables", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithBatcher(&told{SpanExporter: exporter, log: a.log}))
	a.OnClose("tracing", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), flushWithin) // the App's own has ended
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			a.log.Warn().Err(err).Msg("the last spans were not sent")
		}
		return nil // a stop is no failure because of them
	})
	a.log.Debug().Str("service", "jobyard-"+service).Msg("tracing is on")
	return trace.New(provider), nil
}

// told says in the log when spans cannot be sent, and when they can again,
// instead of for each try.
type told struct {
	sdk.SpanExporter
	log zerolog.Logger

	mu   sync.Mutex
	lost int
	last time.Time // when it was told last; zero while all is well
}

// ExportSpans implements sdk.SpanExporter.
func (t *told) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := t.SpanExporter.ExportSpans(ctx, spans)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil && !t.last.IsZero():
		t.log.Info().Int("lost", t.lost).Msg("spans are sent again")
		t.lost, t.last = 0, time.Time{}
	case err != nil:
		if t.lost += len(spans); time.Since(t.last) >= tellEvery {
			t.last = time.Now()
			t.log.Warn().Err(err).Int("lost", t.lost).Msg("spans cannot be sent; tasks go on")
		}
	}
	return nil // it is told; the library would write it to stderr by itself
}
