package trace

import (
	"context"
	"encoding/json"
	"regexp"
	"sync"
	"time"

	otel "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Bounds of what a process tells of its steps.
const (
	// MaxTold is the longest that is told, in bytes.
	MaxTold  = 8 << 10
	maxSteps = 64
)

// stepName is what a step may be called by a process that nobody trusts.
var stepName = regexp.MustCompile(`^[\w .:/-]{1,60}$`)

// Steps are the spans of a process that has no way to export them. It tells
// them to one that has, which begins and ends them anew. The nil Steps keep
// nothing. They may be used by several goroutines.
type Steps struct {
	begun time.Time

	mu   sync.Mutex
	list []step
}

// step is one span, its times in microseconds since the first could begin.
type step struct {
	Name string `json:"name"`
	// Above is the number of the step that it is part of, counted from 1; 0 is none.
	Above int   `json:"above,omitempty"`
	Begun int64 `json:"begun"`
	Ended int64 `json:"ended"` // 0 while it lasts
}

// Collect has the spans that begin below the context kept as steps, in the trace
// of the place given. Without a place the context stays as it is.
func Collect(ctx context.Context, place Carried) (context.Context, *Steps) {
	sc := place.context()
	if !sc.IsValid() {
		return ctx, nil
	}
	s := &Steps{begun: time.Now()}
	return otel.ContextWithSpan(ctx, collected{steps: s, place: sc}), s
}

// Told is the list as Retell takes it: at most MaxTold bytes, nil if there is
// nothing to tell. What has not ended ends now.
func (s *Steps) Told() []byte {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 {
		return nil
	}
	for i := range s.list {
		if s.list[i].Ended == 0 {
			s.list[i].Ended = s.since()
		}
	}
	b, err := json.Marshal(s.list)
	if err != nil || len(b) > MaxTold {
		return nil
	}
	return b
}

func (s *Steps) since() int64 { return max(1, time.Since(s.begun).Microseconds()) }

// begin notes a step and returns its number; 0 if there are too many.
func (s *Steps) begin(name string, above int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == maxSteps {
		return 0
	}
	s.list = append(s.list, step{Name: name, Above: above, Begun: s.since()})
	return len(s.list)
}

func (s *Steps) end(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number > 0 && s.list[number-1].Ended == 0 {
		s.list[number-1].Ended = s.since()
	}
}

// Retell begins and ends the steps that another process has told, below the
// span of the context, between the two times. Nothing is believed: if anything
// is wrong with them, there are none.
func Retell(ctx context.Context, told []byte, from, to time.Time) {
	var list []step
	if len(told) == 0 || len(told) > MaxTold || json.Unmarshal(told, &list) != nil || len(list) > maxSteps {
		return
	}
	for i, s := range list {
		if !stepName.MatchString(s.Name) || s.Above < 0 || s.Above > i || s.Begun < 0 || s.Ended < s.Begun {
			return
		}
	}
	tracer := otel.SpanFromContext(ctx).TracerProvider().Tracer(scope)
	within := func(µs int64) otel.SpanEventOption {
		return otel.WithTimestamp(from.Add(time.Duration(min(µs, max(0, to.Sub(from).Microseconds()))) * time.Microsecond))
	}
	above := []context.Context{ctx}
	for _, s := range list {
		below, span := tracer.Start(above[s.Above], s.Name, otel.WithSpanKind(Within), within(s.Begun))
		span.End(within(s.Ended))
		above = append(above, below)
	}
}

// collected is a step as package otel knows spans. To all below it the place in
// the trace is that of the span that will retell it.
type collected struct {
	noop.Span
	steps  *Steps
	place  otel.SpanContext
	number int // 0: the whole process
}

func (c collected) SpanContext() otel.SpanContext       { return c.place }
func (c collected) End(...otel.SpanEndOption)           { c.steps.end(c.number) }
func (c collected) TracerProvider() otel.TracerProvider { return collector{of: c} }

// collector makes such spans.
type collector struct {
	noop.TracerProvider
	of collected
}

func (c collector) Tracer(string, ...otel.TracerOption) otel.Tracer { return collecting{of: c.of} }

type collecting struct {
	noop.Tracer
	of collected
}

func (c collecting) Start(ctx context.Context, name string, _ ...otel.SpanStartOption) (context.Context, otel.Span) {
	s := c.of
	s.number = s.steps.begin(name, s.number)
	return otel.ContextWithSpan(ctx, s), s
}
