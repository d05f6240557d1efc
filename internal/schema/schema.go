// Package schema writes the JSON Schemas of the yard's contracts from the Go
// types in package tasks, for the doors that describe themselves: the HTTP API
// and the tools for assistants.
//
// It promises that what it describes is what Request.Check reads, field for
// field; it is no second definition.
package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/jobyard/jobyard/tasks"
)

// Kind names the Go types of a kind.
type Kind struct {
	Name            string
	Payload, Result reflect.Type
}

func typesOf[P tasks.Payload, R any](k tasks.Kind[P, R]) Kind {
	return Kind{k.Name(), reflect.TypeFor[P](), reflect.TypeFor[R]()}
}

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{typesOf(tasks.Search), typesOf(tasks.SDKFetch), typesOf(tasks.ConfigGen), typesOf(tasks.DocumentParse)}
}

// Prepare teaches a registry what Go's types don't say: durations are texts,
// states and reasons are closed lists.
func Prepare(r huma.Registry) {
	r.RegisterTypeAlias(reflect.TypeFor[tasks.Duration](), reflect.TypeFor[string]())
	names(r, reflect.TypeFor[tasks.Task](), "state", tasks.States())
	names(r, reflect.TypeFor[tasks.Error](), "reason", tasks.Reasons())
	property(r, reflect.TypeFor[tasks.Task](), "cached").Description = "Where the result of an equal task was that this one was given, so that it was not run: memory, redis or disk; empty if it was run."
	property(r, reflect.TypeFor[tasks.Options](), "no_cache").Description = "Run the task even if an equal one has left its result."
}

// property is a field in a type's schema.
func property(r huma.Registry, t reflect.Type, name string) *huma.Schema {
	return r.SchemaFromRef(r.Schema(t, true, "").Ref).Properties[name]
}

// names writes a closed list of names into a type's schema.
func names[T any](r huma.Registry, t reflect.Type, field string, all []T) {
	p := property(r, t, field)
	for _, name := range all {
		p.Enum = append(p.Enum, name)
	}
}

const prefix = "#/components/schemas/"

// Of writes a type's schema as one document: what it refers to stands in its
// $defs.
func Of(t reflect.Type) (json.RawMessage, error) {
	r := huma.NewMapRegistry(prefix, huma.DefaultSchemaNamer)
	Prepare(r)
	root := r.Schema(t, true, "").Ref
	raw, err := json.Marshal(r.Map())
	if err != nil {
		return nil, fmt.Errorf("write the schema of %s: %w", t, err)
	}
	raw = []byte(strings.ReplaceAll(string(raw), prefix, "#/$defs/"))
	var defs map[string]json.RawMessage
	if err := json.Unmarshal(raw, &defs); err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", t, err)
	}
	var own map[string]json.RawMessage
	name := strings.TrimPrefix(root, prefix)
	if err := json.Unmarshal(defs[name], &own); err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", t, err)
	}
	used := reachable(name, defs)
	delete(used, name)
	if len(used) > 0 {
		if own["$defs"], err = json.Marshal(used); err != nil {
			return nil, fmt.Errorf("write the schema of %s: %w", t, err)
		}
	}
	return json.Marshal(own)
}

// reachable keeps the definitions that one refers to, itself included.
func reachable(name string, defs map[string]json.RawMessage) map[string]json.RawMessage {
	used := map[string]json.RawMessage{}
	for todo := []string{name}; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		if _, seen := used[next]; seen || defs[next] == nil {
			continue
		}
		used[next] = defs[next]
		for _, part := range strings.Split(string(defs[next]), `"#/$defs/`)[1:] {
			ref, _, _ := strings.Cut(part, `"`)
			todo = append(todo, ref)
		}
	}
	return used
}
