package api

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/tasks"
)

func TestYard(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.ask(t, "POST", "/v1/tasks", query("x")).task(t, 202, tasks.Pending)
	var queues struct{ Queues []queueView }
	if err := json.Unmarshal([]byte(d.ask(t, "GET", "/v1/queues", "").body), &queues); err != nil || len(queues.Queues) != 8 {
		t.Fatal(queues, err)
	}
	if q := queues.Queues[0]; q.Queue != "search" || q.Counts[tasks.Pending] != 1 || q.Waiting != 1 || q.Limit != 500 {
		t.Errorf("got %+v", q)
	}
	var kinds struct{ Kinds []kindView }
	if err := json.Unmarshal([]byte(d.ask(t, "GET", "/v1/kinds", "").body), &kinds); err != nil || len(kinds.Kinds) != len(tasks.KindNames()) {
		t.Fatal(kinds, err)
	}
	for i, name := range tasks.KindNames() {
		if kinds.Kinds[i].Kind != name || kinds.Kinds[i].BulkQueue != name+":bulk" {
			t.Errorf("got %+v, want %s", kinds.Kinds[i], name)
		}
	}
	if got := d.ask(t, "GET", "/metrics", "").body; !strings.Contains(got, `jobyard_http_request_seconds_count{code="202",route="POST /v1/tasks"} 1`) {
		t.Errorf("got metrics %s", got)
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	text := d.ask(t, "GET", "/openapi.json", "").body
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Type any
					Enum []string
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatal(doc.OpenAPI, err)
	}
	for path, methods := range map[string][]string{
		"/v1/tasks": {"post"}, "/v1/tasks/{id}": {"get", "delete"}, "/v1/tasks/{id}/result": {"get"}, "/v1/queues": {"get"}, "/v1/kinds": {"get"},
		"/v1/batches": {"post"}, "/v1/batches/{id}": {"get", "delete"}, "/v1/batches/{id}/results": {"get"},
		"/healthz": {"get"}, "/readyz": {"get"},
	} {
		for _, m := range methods {
			if doc.Paths[path][m] == nil {
				t.Errorf("%s %s is not described", m, path)
			}
		}
	}
	post := string(doc.Paths["/v1/tasks"]["post"]) + text
	for _, want := range append(tasks.KindNames(), "SearchPayload", "oneOf", "Idempotency-Key", `"429"`, `"415"`, `"202"`) {
		if !strings.Contains(post, want) {
			t.Errorf("POST /v1/tasks lacks %s", want)
		}
	}
	schemas := doc.Components.Schemas
	if got := schemas["Options"].Properties["timeout"].Type; got != "string" {
		t.Errorf("durations: got type %v, want string", got)
	}
	if got := schemas["Task"].Properties["state"].Enum; len(got) != len(tasks.States()) {
		t.Errorf("states: got %v", got)
	}
	if got := schemas["Error"].Properties["reason"].Enum; len(got) != len(tasks.Reasons()) {
		t.Errorf("reasons: got %v", got)
	}
	if schemas["DocumentParseResult"].Properties == nil {
		t.Error("results are not described")
	}
}
