package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

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
	r := c.Components.Schemas
	r.RegisterTypeAlias(reflect.TypeFor[tasks.Duration](), reflect.TypeFor[string]())
	names(r, reflect.TypeFor[tasks.Task](), "state", tasks.States())
	names(r, reflect.TypeFor[tasks.Error](), "reason", tasks.Reasons())
	return c
}

// names writes a closed list of names into a type's schema.
func names[T any](r huma.Registry, t reflect.Type, property string, all []T) {
	p := r.SchemaFromRef(r.Schema(t, true, "").Ref).Properties[property]
	for _, name := range all {
		p.Enum = append(p.Enum, name)
	}
}

func (s *server) schema(t reflect.Type) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(t, true, "")
}

func (s *server) taskResponse(text string) *huma.Response {
	return &huma.Response{Description: text, Content: map[string]*huma.MediaType{"application/json": {Schema: s.schema(reflect.TypeFor[tasks.Task]())}}}
}

// kindTypes are the Go types of a kind.
type kindTypes struct {
	name            string
	payload, result reflect.Type
}

func typesOf[P tasks.Payload, R any](k tasks.Kind[P, R]) kindTypes {
	return kindTypes{k.Name(), reflect.TypeFor[P](), reflect.TypeFor[R]()}
}

func allKinds() []kindTypes {
	return []kindTypes{typesOf(tasks.Search), typesOf(tasks.SDKFetch), typesOf(tasks.ConfigGen), typesOf(tasks.DocumentParse)}
}

// requestBody describes the body of POST /v1/tasks: one form a kind.
func (s *server) requestBody() *huma.RequestBody {
	body := &huma.Schema{Description: "One task: the kind decides the payload's form."}
	for _, k := range allKinds() {
		body.OneOf = append(body.OneOf, &huma.Schema{
			Type: huma.TypeObject, Title: k.name, Required: []string{"kind", "payload"}, AdditionalProperties: false,
			Properties: map[string]*huma.Schema{
				"kind":    {Type: huma.TypeString, Enum: []any{k.name}},
				"payload": s.schema(k.payload),
				"options": s.schema(reflect.TypeFor[tasks.Options]()),
			},
		})
	}
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {
		Schema: body,
		Examples: map[string]*huma.Example{"parse": {Summary: "Parse a document", Value: map[string]any{
			"kind": tasks.DocumentParse.Name(), "payload": map[string]any{"source": map[string]any{"text": "# Hello"}, "content_type": "text/markdown"},
		}}},
	}}}
}

// kinds describes the kinds and makes sure that their schemas are in the
// document.
func (s *server) kinds() []kindView {
	var all []kindView
	for _, k := range allKinds() {
		all = append(all, kindView{
			Kind: k.name, Queue: tasks.Queue(k.name), BulkQueue: tasks.BulkQueue(k.name),
			PayloadSchema: "/openapi.json" + s.schema(k.payload).Ref, ResultSchema: "/openapi.json" + s.schema(k.result).Ref,
		})
	}
	return all
}
