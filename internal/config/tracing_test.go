package config

import (
	"strings"
	"testing"
)

func TestTracing(t *testing.T) {
	const endpoint, protocol = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"
	for name, tt := range map[string]struct {
		env  map[string]string
		on   bool
		want string // in the error
	}{
		"nothing":              {nil, false, ""},
		"an endpoint":          {map[string]string{endpoint: "http://collector:4318"}, true, ""},
		"one of traces":        {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c.example/v1/traces"}, true, ""},
		"only the exporter":    {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		"disabled":             {map[string]string{endpoint: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, false, ""},
		"no exporter":          {map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		"JSON":                 {map[string]string{endpoint: "http://c:4318", protocol: "http/json"}, true, ""},
		"a sampler":            {map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}, true, ""},
		"gRPC":                 {map[string]string{endpoint: "http://c:4317", protocol: "grpc"}, false, protocol + " must be http/protobuf"},
		"gRPC for traces":      {map[string]string{endpoint: "http://c:4317", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, false, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"},
		"gRPC, but off":        {map[string]string{protocol: "grpc"}, false, ""},
		"another exporter":     {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, `otlp or none, got "zipkin"`},
		"no address":           {map[string]string{endpoint: "collector:4318"}, false, endpoint + " must be an address"},
		"an unknown sampler":   {map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_SAMPLER": "jaeger_remote"}, false, "OTEL_TRACES_SAMPLER must be one of"},
		"a ratio over 1":       {map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10"}, false, "OTEL_TRACES_SAMPLER_ARG"},
		"headers, no pairs":    {map[string]string{endpoint: "http://c:4318", "OTEL_EXPORTER_OTLP_HEADERS": "s3cret"}, false, "OTEL_EXPORTER_OTLP_HEADERS must be key=value"},
		"attributes, no pairs": {map[string]string{endpoint: "http://c:4318", "OTEL_RESOURCE_ATTRIBUTES": "a=1,b"}, false, "OTEL_RESOURCE_ATTRIBUTES"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			on, err := Tracing()
			text := ""
			if err != nil {
				text = err.Error()
			}
			if on != tt.on || (err != nil) != (tt.want != "") || !strings.Contains(text, tt.want) || strings.Contains(text, "s3cret") {
				t.Errorf("got %v, %v; want %v, %q", on, err, tt.on, tt.want)
			}
			if err != nil && ExitCode(err) != ExitUsage {
				t.Errorf("got code %d", ExitCode(err))
			}
		})
	}
}
