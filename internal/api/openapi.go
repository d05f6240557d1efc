package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/jobyard/jobyard/internal/schema"
	"github.com/jobyard/jobyard/tasks"
)

// description begins the OpenAPI document. The library's own pages are off: its
// documentation page loads a script from another host, and its lazy copies of
// the document are written without a lock.
func description(version string) huma.Config {
	c := huma.DefaultConfig("Jobyard", version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil // adds $schema to every answer
	c.Info.Description = "Hand tasks to the yard and get their results. Errors are problem+json (RFC 9457) with " +
		"`errors: [{location, message}]`; location is the field's path, as payload.source.url."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"key": {
		Type: "http", Scheme: "bearer", Description: "A key made with producer keys add. While none was ever made, this machine needs none.",
	}}
	c.Security = []map[string][]string{{"key": {}}, {}}
	c.Transformers = append(c.Transformers, withRequestID)
	r := c.Components.Schemas
	schema.Prepare(r)
	problem := r.SchemaFromRef(r.Schema(reflect.TypeFor[huma.ErrorModel](), true, "").Ref)
	problem.Properties["request_id"] = &huma.Schema{Type: huma.TypeString, Description: "Under which id the server's log knows this request: X-Request-Id."}
	return c
}

func (s *server) schema(t reflect.Type) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(t, true, "")
}

func (s *server) taskResponse(text string) *huma.Response {
	return &huma.Response{Description: text, Content: map[string]*huma.MediaType{"application/json": {Schema: s.schema(reflect.TypeFor[tasks.Task]())}}}
}

func (s *server) batchResponse(text string) *huma.Response {
	return &huma.Response{Description: text, Content: map[string]*huma.MediaType{"application/json": {Schema: s.schema(reflect.TypeFor[tasks.BatchInfo]())}}}
}

// requestSchema describes one request to run a task: one form a kind.
func (s *server) requestSchema() *huma.Schema {
	one := &huma.Schema{Description: "One task: the kind decides the payload's form."}
	for _, k := range schema.Kinds() {
		one.OneOf = append(one.OneOf, &huma.Schema{
			Type: huma.TypeObject, Title: k.Name, Required: []string{"kind", "payload"}, AdditionalProperties: false,
			Properties: map[string]*huma.Schema{
				"kind":    {Type: huma.TypeString, Enum: []any{k.Name}},
				"payload": s.schema(k.Payload),
				"options": s.schema(reflect.TypeFor[tasks.Options]()),
			},
		})
	}
	return one
}

// register keeps a schema under a name of its own.
func (s *server) register(name string, one *huma.Schema) *huma.Schema {
	s.api.OpenAPI().Components.Schemas.Map()[name] = one
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

func exampleTask() map[string]any {
	return map[string]any{
		"kind": tasks.DocumentParse.Name(), "payload": map[string]any{"source": map[string]any{"text": "# Hello"}, "content_type": "text/markdown"},
	}
}

// taskBody describes the body of POST /v1/tasks.
func (s *server) taskBody() *huma.RequestBody {
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {
		Schema:   s.register("Request", s.requestSchema()),
		Examples: map[string]*huma.Example{"parse": {Summary: "Parse a document", Value: exampleTask()}},
	}}}
}

// batchBody describes the body of POST /v1/batches.
func (s *server) batchBody() *huma.RequestBody {
	request := &huma.Schema{Ref: "#/components/schemas/Request"}
	most := tasks.MaxBatchTasks
	batch := s.register("Batch", &huma.Schema{
		Type: huma.TypeObject, Required: []string{"tasks"}, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{
			"id":       {Type: huma.TypeString, Description: "Makes the call idempotent; the tasks have the ids \"<id>.<n>\", n from 0."},
			"tasks":    {Type: huma.TypeArray, Items: request, MaxItems: &most},
			"callback": request,
			"webhook":  {Type: huma.TypeString, Description: "The endpoint that is called once every task is final."},
		},
	})
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: batch, Examples: map[string]*huma.Example{"two": {
			Summary: "Two documents", Value: map[string]any{"tasks": []any{exampleTask(), exampleTask()}},
		}}},
		"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString, Description: "A task a line; Idempotency-Key is the batch's id."}},
	}}
}

// kinds describes the kinds and makes sure that their schemas are in the
// document.
func (s *server) kinds() ([]kindView, error) {
	var all []kindView
	for _, k := range schema.Kinds() {
		v := kindView{
			Kind: k.Name, Queue: tasks.Queue(k.Name), BulkQueue: tasks.BulkQueue(k.Name),
			PayloadSchema: "/openapi.json" + s.schema(k.Payload).Ref, ResultSchema: "/openapi.json" + s.schema(k.Result).Ref,
		}
		var err error
		if v.Payload, err = schema.Of(k.Payload); err != nil {
			return nil, err
		}
		if v.Result, err = schema.Of(k.Result); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// describeRefusals adds to every route what the doors before it may answer, and
// takes away what the library assumes: that a route without input may find
// fault with it.
func (s *server) describeRefusals() {
	refusal := &huma.Response{Description: "A problem (RFC 9457).", Content: map[string]*huma.MediaType{
		"application/problem+json": {Schema: s.schema(reflect.TypeFor[huma.ErrorModel]())},
	}}
	for path, item := range s.api.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Delete} {
			if op == nil {
				continue
			}
			if openPath(path) {
				op.Security = []map[string][]string{{}}
			} else {
				for _, status := range []string{"401", "403", "429", "503"} {
					op.Responses[status] = refusal
				}
			}
			checked := op.RequestBody != nil
			for _, p := range op.Parameters {
				checked = checked || p.In == "query" || p.Schema != nil && p.Schema.Pattern != ""
			}
			if !checked {
				delete(op.Responses, "422")
			}
		}
	}
}
