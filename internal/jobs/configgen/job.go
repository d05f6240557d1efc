// Package configgen is the config_gen job: it writes configuration files from
// a template and checks them.
//
// It is a pure function: no network, no file system, no clock. It promises
// that the same payload gives the same bytes; that parameters are checked
// against the template's JSON Schema, with faults that name the field; that
// every data file was read back and compared before it is returned; that an
// existing file is changed as little as needed; and that no value that looks
// like a secret is written. Input and output are bounded.
//
// The parts: package template is the contract of the templates, which lie
// below it; tree holds data with the order of keys; schema checks; syntax
// reads, writes and edits the formats.
package configgen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/configgen/schema"
	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// Job handles config_gen tasks. It holds the compiled schemas: each is
// compiled when it is first needed, and there are no more than the registry
// has. A Job may be used by several goroutines.
type Job struct {
	templates []template.Template
	schemas   map[string]func() (*schema.Schema, error)
}

// New makes a Job. It compiles nothing.
func New() (*Job, error) {
	j := &Job{templates: registry(), schemas: map[string]func() (*schema.Schema, error){}}
	for _, t := range j.templates {
		key := schemaKey(t, "")
		if _, twice := j.schemas[key]; twice {
			return nil, fmt.Errorf("template %s has version %s twice", t.Name, t.Version)
		}
		j.schemas[key] = compileOnce(key, t.Parameters)
		for name, raw := range t.Outputs {
			j.schemas[schemaKey(t, name)] = compileOnce(schemaKey(t, name), raw)
		}
	}
	return j, nil
}

func schemaKey(t template.Template, output string) string {
	return t.Name + "@" + t.Version + "/" + output
}

func compileOnce(name string, raw []byte) func() (*schema.Schema, error) {
	return sync.OnceValues(func() (*schema.Schema, error) { return schema.Compile(name, raw) })
}

// Generate is Handle for one payload. It compiles the schemas it needs each
// time; who generates more than once keeps a Job.
func Generate(ctx context.Context, p tasks.ConfigGenPayload) (tasks.ConfigGenResult, error) {
	j, err := New()
	if err != nil {
		return tasks.ConfigGenResult{}, err
	}
	return j.Handle(ctx, p)
}

// Handle generates the files of one payload. Its errors are *fault.Error,
// *tasks.InvalidError or the end of ctx.
func (j *Job) Handle(ctx context.Context, p tasks.ConfigGenPayload) (tasks.ConfigGenResult, error) {
	var none tasks.ConfigGenResult
	_, step := trace.Start(ctx, trace.Within, "draft", "")
	t, draft, err := j.draft(p)
	step.End()
	if err != nil {
		return none, err
	}
	ctx, step = trace.Start(ctx, trace.Within, "finish", "")
	defer step.End()
	return j.finish(ctx, t, p, draft)
}

// draft checks the payload and runs its template.
func (j *Job) draft(p tasks.ConfigGenPayload) (template.Template, *template.Draft, error) {
	var none template.Template
	if err := p.Validate(); err != nil {
		return none, nil, below("payload", err)
	}
	t, err := j.find(p.Template, p.Version)
	if err != nil {
		return none, nil, err
	}
	format, err := chooseFormat(t, p.Format)
	if err != nil {
		return none, nil, err
	}
	given, filled, err := j.parameters(t, p.Parameters)
	if err != nil {
		return none, nil, err
	}
	d := template.NewDraft(format, given)
	if err := t.Write([]byte(tree.IndentJSON(filled, "", "")), d); err != nil {
		return none, nil, fmt.Errorf("template %s: %w", t.Name, err)
	}
	if len(d.Faults) > 0 {
		return none, nil, below("payload.parameters", &tasks.InvalidError{Fields: d.Faults})
	}
	return t, d, nil
}

// find chooses a template by name and version.
func (j *Job) find(name, version string) (template.Template, error) {
	var names, versions []string
	for _, t := range j.templates {
		if len(names) == 0 || names[len(names)-1] != t.Name {
			names = append(names, t.Name)
		}
		if t.Name != name {
			continue
		}
		versions = append(versions, t.Version)
		if version == "" || version == t.Version {
			return t, nil
		}
	}
	if len(versions) == 0 {
		return template.Template{}, tasks.Invalid("payload.template", fmt.Sprintf("must be one of %s, got %.60q", strings.Join(names, ", "), name))
	}
	return template.Template{}, tasks.Invalid("payload.version",
		fmt.Sprintf("must be empty or one of %s, got %.60q", strings.Join(versions, ", "), version))
}

func chooseFormat(t template.Template, format string) (string, error) {
	if format == "" && len(t.Formats) > 0 {
		return t.Formats[0], nil
	}
	for _, f := range t.Formats {
		if f == format {
			return f, nil
		}
	}
	switch {
	case format == "":
		return "", nil
	case len(t.Formats) == 0:
		return "", tasks.Invalid("payload.format", fmt.Sprintf("must be empty: the formats of %s are fixed", t.Name))
	}
	return "", tasks.Invalid("payload.format", fmt.Sprintf("must be one of %s, got %.20q", strings.Join(t.Formats, ", "), format))
}

// parameters decodes and checks them; given is what the caller wrote, filled
// has the defaults as well.
func (j *Job) parameters(t template.Template, raw json.RawMessage) (given, filled *tree.Object, err error) {
	const at = "payload.parameters"
	if len(raw) == 0 || string(raw) == "null" {
		raw = json.RawMessage("{}")
	}
	data, err := tree.DecodeJSON(raw)
	if err != nil {
		return nil, nil, tasks.Invalid(at, "cannot be read: "+err.Error())
	}
	given, ok := data.(*tree.Object)
	if !ok {
		return nil, nil, tasks.Invalid(at, "must be an object")
	}
	s, err := j.schemas[schemaKey(t, "")]()
	if err != nil {
		return nil, nil, err
	}
	if faults := s.Check(given); len(faults) > 0 {
		in := &tasks.InvalidError{}
		for _, f := range faults {
			in.Fields = append(in.Fields, tasks.FieldError{Path: f.Field, Message: f.Message})
		}
		return nil, nil, below(at, in)
	}
	filled = tree.Clone(given).(*tree.Object)
	s.Fill(filled)
	return given, filled, nil
}

// below puts a parent before the paths of an *InvalidError.
func below(parent string, err error) error {
	var in *tasks.InvalidError
	if !errors.As(err, &in) {
		return err
	}
	out := &tasks.InvalidError{}
	for _, f := range in.Fields {
		path := parent
		switch {
		case f.Path == "":
		case f.Path[0] == '[':
			path += f.Path
		default:
			path += "." + f.Path
		}
		out.Fields = append(out.Fields, tasks.FieldError{Path: path, Message: f.Message})
	}
	return out
}

// tooLarge is the fault of a result over its bounds.
func tooLarge(format string, args ...any) error {
	return fault.PermanentError(tasks.ReasonTooLarge, format, args...)
}
