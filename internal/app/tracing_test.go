package app

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/trace"
)

func TestApp_Trace_Off(t *testing.T) {
	t.Parallel()
	a, ctx := New(t.Context(), zerolog.Nop())
	tracer, err := a.Trace(ctx, false, "test")
	if tracer != nil || err != nil || len(a.closings) != 0 {
		t.Errorf("got %v, %v, %d closings", tracer, err, len(a.closings))
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// A collector that is away holds nobody up, is told once, and is no failure of
// the stop.
func TestApp_Trace_CollectorAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	var log bytes.Buffer
	a, ctx := New(t.Context(), zerolog.New(zerolog.SyncWriter(&log)))
	tracer, err := a.Trace(ctx, true, "test")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for range 10_000 { // more than the queue takes
			_, span := tracer.Begin(ctx, trace.Within, "step", "", trace.Carried{})
			span.End()
		}
		ended <- a.Close()
	}()
	patient, cancel := context.WithTimeout(t.Context(), flushWithin+time.Minute)
	defer cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the stop failed: %v", err)
		}
	case <-patient.Done():
		t.Fatal("a collector that is away holds the process up")
	}
	if n := strings.Count(log.String(), "\n"); n < 1 || n > 3 || !strings.Contains(log.String(), "sent") {
		t.Errorf("got %d lines:\n%s", n, log.String())
	}
}
