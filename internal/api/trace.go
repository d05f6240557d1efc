package api

import (
	"net/http"
	"strings"

	"github.com/jobyard/jobyard/internal/trace"
)

// traced begins the span of a request, below the place that the request names.
// Probes and scrapes have none.
func traced(tracer *trace.Tracer, r *http.Request) (*http.Request, trace.Span) {
	if tracer == nil || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.URL.Path == "/metrics" {
		return r, trace.Span{}
	}
	ctx, span := tracer.Begin(trace.FromHTTP(r.Header).In(r.Context()), trace.Server, method(r.Method), "", trace.Carried{})
	if !span.On() {
		return r.WithContext(ctx), span
	}
	span.Text("jobyard.request_id", callOf(ctx).id)
	span.Text("url.scheme", scheme(r))
	return r.WithContext(ctx), span
}

// answered ends the span of a request.
func answered(span trace.Span, of, route string, status int) {
	if span.On() {
		if _, path, ok := strings.Cut(route, " "); ok {
			span.Rename(method(of) + " " + path)
			span.Text("http.route", path)
		}
		span.Text("http.request.method", method(of))
		span.Number("http.response.status_code", int64(status))
		if status >= http.StatusInternalServerError {
			span.Fail(http.StatusText(status), "")
		}
	}
	span.End()
}

// method is a request's method, or what OpenTelemetry calls those that nobody
// knows: a name of a span is not for a stranger to choose.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch:
		return m
	}
	return "_OTHER"
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}
