package config

import (
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jobyard/jobyard/internal/trace"
)

// TracingHelp is what a program's help says of tracing.
const TracingHelp = "Spans are sent where $OTEL_EXPORTER_OTLP_ENDPOINT says, as OTLP over HTTP; unset, nothing is traced.\n" +
	"$OTEL_EXPORTER_OTLP_HEADERS, $OTEL_RESOURCE_ATTRIBUTES, $OTEL_TRACES_SAMPLER and $OTEL_TRACES_SAMPLER_ARG count, too."

// Tracing reports whether spans are to be exported, by OpenTelemetry's own
// variables. They have no flags: its library reads them for itself, and takes
// what it does not know in silence; so they are checked here.
func Tracing() (on bool, err error) {
	get := func(name string) string { return strings.TrimSpace(os.Getenv(name)) }
	endpoint, at := get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	if endpoint == "" {
		endpoint, at = get("OTEL_EXPORTER_OTLP_ENDPOINT"), "OTEL_EXPORTER_OTLP_ENDPOINT"
	}
	exporter := strings.ToLower(get("OTEL_TRACES_EXPORTER"))
	switch {
	case strings.EqualFold(get("OTEL_SDK_DISABLED"), "true"), exporter == "none", exporter == "" && endpoint == "":
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, Usage("OTEL_TRACES_EXPORTER must be otlp or none, got %q", clip(exporter, 40))
	}
	if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return false, Usage("%s must be an address as http://collector:4318", at) // which may hold a password
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
		if p := get(name); p != "" && p != "http/protobuf" && p != "http/json" {
			return false, Usage("%s must be http/protobuf or http/json, got %q: collectors take those on port 4318, and gRPC, which is not spoken here, on 4317", name, clip(p, 40))
		}
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_RESOURCE_ATTRIBUTES"} {
		if !pairs(get(name)) {
			return false, Usage("%s must be key=value pairs with commas between them", name) // which may hold a secret
		}
	}
	err = sampler(strings.ToLower(get("OTEL_TRACES_SAMPLER")), get("OTEL_TRACES_SAMPLER_ARG"))
	return err == nil, err
}

// pairs reports whether a text is key=value pairs, or empty.
func pairs(text string) bool {
	for pair := range strings.SplitSeq(text, ",") {
		key, _, ok := strings.Cut(pair, "=")
		if text != "" && (!ok || strings.TrimSpace(key) == "") {
			return false
		}
	}
	return true
}

func sampler(name, arg string) error {
	known := []string{"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"}
	if name != "" && !slices.Contains(known, name) {
		return Usage("OTEL_TRACES_SAMPLER must be one of %s, got %q", strings.Join(known, ", "), clip(name, 40))
	}
	if arg == "" || !strings.HasSuffix(name, "traceidratio") {
		return nil
	}
	if ratio, err := strconv.ParseFloat(arg, 64); err != nil || !(ratio >= 0 && ratio <= 1) { // NaN is neither
		return Usage("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, got %q", clip(arg, 40))
	}
	return nil
}

// TraceParent is the place in a trace that the caller of a command named in
// $TRACEPARENT and $TRACESTATE, as tools that trace builds do. What is malformed
// is none.
func TraceParent() trace.Carried {
	return trace.Read(os.Getenv("TRACEPARENT"), os.Getenv("TRACESTATE"))
}
