// Package schema checks values against JSON Schemas (draft 2020-12) and says
// in plain words what is wrong and where.
//
// It promises never to fetch anything (a reference to another document is a
// fault of the schema), to bound each regular expression in time, and to list
// faults in the same order on every run. A compiled Schema may be used by
// several goroutines.
package schema

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

// Schema is a compiled JSON Schema.
type Schema struct {
	compiled *jsonschema.Schema
	source   *tree.Object
}

// Compile compiles a schema; name is only used in errors.
func Compile(name string, raw []byte) (*Schema, error) {
	source, err := tree.DecodeJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("read schema %s: %w", name, err)
	}
	object, ok := source.(*tree.Object)
	if !ok {
		return nil, fmt.Errorf("read schema %s: must be an object", name)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read schema %s: %w", name, err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(offline{})
	c.UseRegexpEngine(compileRegexp)
	const location = "schema:///root.json"
	if err := c.AddResource(location, doc); err != nil {
		return nil, fmt.Errorf("add schema %s: %w", name, err)
	}
	compiled, err := c.Compile(location)
	if err != nil {
		return nil, fmt.Errorf("compile schema %s: %w", name, err)
	}
	return &Schema{compiled, object}, nil
}

// Check returns the faults of a value, sorted by place; none means it is
// valid.
func (s *Schema) Check(value any) []Fault {
	err := s.compiled.Validate(tree.Plain(value))
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []Fault{{Message: "cannot be checked: " + err.Error()}}
	}
	return s.explain(value, invalid)
}

// offline refuses to load any document.
type offline struct{}

// Load implements jsonschema.URLLoader.
func (offline) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is another document, and none is fetched", url)
}
