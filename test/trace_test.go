package test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// received are the spans that a collector was sent, each with the service that
// made it.
type received struct {
	url string

	mu    sync.Mutex
	spans []span
	bad   []string
}

type span struct {
	*otlp.Span
	service string
}

// collect starts a collector that speaks OTLP over HTTP.
func collect(t *testing.T) *received {
	t.Helper()
	r := &received{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		var in collector.ExportTraceServiceRequest
		raw, err := io.ReadAll(q.Body)
		if err == nil {
			err = proto.Unmarshal(raw, &in)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil || q.URL.Path != "/v1/traces" || q.Header.Get("X-Collector-Key") != "k" {
			r.bad = append(r.bad, fmt.Sprint(q.URL, err))
		}
		for _, of := range in.GetResourceSpans() {
			service := ""
			for _, a := range of.GetResource().GetAttributes() {
				if a.GetKey() == "service.name" {
					service = a.GetValue().GetStringValue()
				}
			}
			for _, scope := range of.GetScopeSpans() {
				for _, s := range scope.GetSpans() {
					r.spans = append(r.spans, span{s, service})
				}
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *received) env() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.url, "OTEL_EXPORTER_OTLP_HEADERS=x-collector-key=k", "OTEL_BSP_SCHEDULE_DELAY=50"}
}

// below lists the spans right below a span's id with the name.
func (r *received) below(id []byte, name string) []span {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []span
	for _, s := range r.spans {
		if s.GetName() == name && bytes.Equal(s.GetParentSpanId(), id) {
			found = append(found, s)
		}
	}
	return found
}

// one waits for the span right below a span's id with the name.
func (r *received) one(t *testing.T, id []byte, name string) span {
	t.Helper()
	brokertest.Until(t, "there is a span "+name, func() bool { return len(r.below(id, name)) > 0 })
	return r.below(id, name)[0]
}

func (s span) text(key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// place is a traceparent of its own for a test, with its two ids.
func place(t *testing.T, n int) (parent string, trace, id []byte) {
	t.Helper()
	trace, _ = hex.DecodeString(fmt.Sprintf("%032x", 0xabc0+n))
	id, _ = hex.DecodeString(fmt.Sprintf("%016x", 0xdef0+n))
	return fmt.Sprintf("00-%x-%x-01", trace, id), trace, id
}

// post hands something over and returns the answer.
func post(t *testing.T, url, body, parent string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if parent != "" {
		r.Header.Set("Traceparent", parent)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode/100 != 2 {
		t.Fatalf("got %s, %s, %v", answer.Status, raw, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

const parsed = `{"kind":"document_parse","payload":{"source":{"text":"# Tides"}}}`

// TestTrace_FromARequestToTheRunner follows one request through the real programs.
func TestTrace_FromARequestToTheRunner(t *testing.T) {
	t.Parallel()
	c := collect(t)
	y := newYard(t, append(registry(t), c.env()...)...)
	worker := y.start("worker", "--admin-listen", "127.0.0.1:0", "--log-level", "debug")
	url, _ := y.serve(http.DefaultClient, "http")

	parent, trace, id := place(t, 1)
	var task tasks.Task
	post(t, url+"/v1/tasks?wait=60s", parsed, parent, &task)
	if task.State != tasks.Completed {
		t.Fatalf("got %+v", task)
	}
	request := c.one(t, id, "POST /v1/tasks")
	enqueue := c.one(t, request.GetSpanId(), "enqueue document_parse")
	process := c.one(t, enqueue.GetSpanId(), "process document_parse")
	run := c.one(t, process.GetSpanId(), "run parse")
	c.one(t, run.GetSpanId(), "read markdown")
	c.one(t, run.GetSpanId(), "lay out")
	settle := c.one(t, process.GetSpanId(), "settle")
	for _, s := range []struct {
		span
		kind    otlp.Span_SpanKind
		service string
	}{
		{request, otlp.Span_SPAN_KIND_SERVER, "jobyard-producer"}, {enqueue, otlp.Span_SPAN_KIND_PRODUCER, "jobyard-producer"},
		{process, otlp.Span_SPAN_KIND_CONSUMER, "jobyard-worker"}, {run, otlp.Span_SPAN_KIND_INTERNAL, "jobyard-worker"},
		{settle, otlp.Span_SPAN_KIND_CLIENT, "jobyard-worker"},
	} {
		if !bytes.Equal(s.GetTraceId(), trace) || s.GetKind() != s.kind || s.service != s.span.service || s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR {
			t.Errorf("got span %s of %s: %v", s.GetName(), s.span.service, s.Span)
		}
	}
	if process.text("messaging.message.id") != task.ID || process.text("messaging.destination.name") != "document_parse" || process.text("jobyard.outcome") != "completed" {
		t.Errorf("got %v", process.Span)
	}
	if raw, err := os.ReadFile(worker.log.Name()); err != nil || !strings.Contains(string(raw), hex.EncodeToString(trace)) {
		t.Errorf("the worker's log has no trace id: %v", err)
	}

	t.Run("it asks a registry", func(t *testing.T) {
		parent, _, id := place(t, 2)
		post(t, url+"/v1/tasks?wait=60s", `{"kind":"sdk_fetch","payload":{"ecosystem":"go","name":"example.test/greeter"}}`, parent, &task)
		enqueue := c.one(t, c.one(t, id, "POST /v1/tasks").GetSpanId(), "enqueue sdk_fetch")
		if got := c.one(t, c.one(t, enqueue.GetSpanId(), "process sdk_fetch").GetSpanId(), "GET"); got.text("server.address") != "127.0.0.1" {
			t.Errorf("got %v", got.Span)
		}
	})
	t.Run("it has many tasks", func(t *testing.T) { tracedBatch(t, c, url) })
	t.Run("it names a place that is none", func(t *testing.T) {
		post(t, url+"/v1/tasks?wait=60s", parsed, "00-"+strings.Repeat("z", 32)+"-0000000000000001-01", &task)
		msg, err := y.broker().Client().HGet(t.Context(), broker.TaskKey("document_parse", task.ID), "msg").Result()
		if err != nil || strings.Contains(msg, "zz") || !strings.Contains(msg, "traceparent") {
			t.Errorf("got %q, %v; want a trace of its own", msg, err)
		}
	})
	t.Run("a command names the place", func(t *testing.T) {
		parent, _, id := place(t, 4)
		cmd := y.command(t.Context(), "producer", "enqueue", "search", "--payload", `{"query":"x"}`, "--wait")
		cmd.Env = append(cmd.Env, "TRACEPARENT="+parent)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		enqueue := c.one(t, c.one(t, id, "producer enqueue").GetSpanId(), "enqueue search")
		c.one(t, enqueue.GetSpanId(), "process search")
	})
	if len(c.bad) > 0 {
		t.Errorf("the collector was sent what it does not know: %q", c.bad)
	}
}

// tracedBatch hands over a batch whose tasks are linked to it.
func tracedBatch(t *testing.T, c *received, url string) {
	const n = 40
	parent, _, id := place(t, 3)
	list := slices.Repeat([]string{`{"kind":"search","payload":{"query":"x"}}`}, n)
	var info tasks.BatchInfo
	post(t, url+"/v1/batches", `{"tasks":[`+strings.Join(list, ",")+`]}`, parent, &info)
	batch := c.one(t, c.one(t, id, "POST /v1/batches").GetSpanId(), "enqueue batch")
	linked := func() (tasks int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range c.spans {
			for _, l := range s.GetLinks() {
				if bytes.Equal(l.GetSpanId(), batch.GetSpanId()) && s.GetName() == "process search" {
					tasks++
				}
			}
		}
		return tasks
	}
	brokertest.Until(t, "every task of the batch has a span", func() bool { return linked() == n })
}

// Without a collector nothing of a trace reaches Redis, whatever a caller sends;
// with one that is away the work is done all the same.
func TestTrace_OffOrAway(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{"off": nil, "away": {"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + address(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t, env...)
			worker := y.start("worker", "--admin-listen", "127.0.0.1:0")
			url, _ := y.serve(http.DefaultClient, "http")
			parent, _, _ := place(t, 5)
			var task tasks.Task
			for range 20 {
				post(t, url+"/v1/tasks?wait=60s", parsed, parent, &task)
				if task.State != tasks.Completed {
					t.Fatalf("got %+v", task)
				}
			}
			msg, err := y.broker().Client().HGet(t.Context(), broker.TaskKey("document_parse", task.ID), "msg").Result()
			if err != nil || strings.Contains(msg, "traceparent") == (name == "off") {
				t.Errorf("got %q, %v", msg, err)
			}
			if err := worker.stop(t); err != nil {
				t.Errorf("the worker ended with %v", err)
			}
		})
	}
	y := newYard(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
	out, err := y.command(t.Context(), "worker", "--admin-listen", "127.0.0.1:0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf") {
		t.Errorf("got %v: %s", err, out)
	}
}
