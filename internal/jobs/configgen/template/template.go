// Package template is the contract between the config_gen job and its
// templates: what a template says of itself, and the draft it writes into.
//
// A template is a pure function of its parameters. It makes data and fixed
// texts; writing, merging with existing files and checking are the job's.
package template

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jobyard/jobyard/internal/jobs/configgen/schema"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
	"github.com/jobyard/jobyard/tasks"
)

// Template is one version of one template.
type Template struct {
	Name        string
	Version     string
	Description string
	// Formats are the formats a caller may choose from, the default first.
	// Nil means the formats are fixed by the files themselves.
	Formats []string
	// Parameters is the JSON Schema of the parameters, with defaults.
	Parameters []byte
	// Outputs are the JSON Schemas of generated files, by the names that files
	// refer to.
	Outputs map[string][]byte
	// Example holds parameters for the manual; it must be valid.
	Example string
	// Write makes the files. Its parameters are valid and their defaults set.
	Write func(parameters json.RawMessage, d *Draft) error
}

// Writer turns a function over a parameter type into a Template's Write.
func Writer[P any](write func(p P, d *Draft)) func(json.RawMessage, *Draft) error {
	return func(raw json.RawMessage, d *Draft) error {
		var p P
		if err := json.Unmarshal(raw, &p); err != nil {
			return fmt.Errorf("decode parameters: %w", err)
		}
		write(p, d)
		return nil
	}
}

// File is one file to write.
type File struct {
	Path   string
	Format string // json, jsonc, yaml, toml, dotenv, js, text
	// Data is what a file of a data format holds.
	Data any
	// Notes are comments by JSON pointer, "" for the top of the file.
	Notes map[string]string
	// Text is the content of js and text files.
	Text string
	// Lines tells that a text file is a list: an existing one is kept, and
	// gets the lines it lacks.
	Lines bool
	// Schema names the schema in Outputs that Data must pass, if any.
	Schema string
	Merge  Merge
	// Check looks at the data as they will be written, existing ones included,
	// and adds remarks.
	Check func(data *tree.Object, d *Draft)
}

// Merge says how data meets an existing file. By default the template's value
// replaces a different one, objects are merged key by key, and lists are
// replaced. Places are patterns of keys, with "*" for any key.
type Merge struct {
	// Keep are places where an existing value wins, with a remark.
	Keep [][]string
	// Union are lists to which only missing elements are added.
	Union [][]string
	// ByKey are lists of objects that are matched by the value of one key.
	ByKey []ListKey
	// Prepare may change the wanted data in the light of the existing ones.
	Prepare func(existing, wanted *tree.Object, d *Draft)
}

// ListKey names the key that tells the objects of a list apart.
type ListKey struct {
	Place []string
	Key   string
}

// Draft gathers what a template makes.
type Draft struct {
	// Format is the chosen one of the template's Formats.
	Format      string
	Files       []File
	Diagnostics []tasks.ConfigDiagnostic
	Resolved    map[string]string
	// Faults are parameters that the schema could not judge.
	Faults []tasks.FieldError
	given  *tree.Object
}

// NewDraft makes an empty draft; given are the parameters as the caller wrote
// them, before defaults.
func NewDraft(format string, given *tree.Object) *Draft {
	return &Draft{Format: format, Resolved: map[string]string{}, given: given}
}

// Given reports whether the caller wrote the parameter at this place.
func (d *Draft) Given(place ...string) bool {
	var here any = d.given
	for _, key := range place {
		object, _ := here.(*tree.Object)
		inner, ok := object.Get(key)
		if !ok {
			return false
		}
		here = inner
	}
	return true
}

// KeepDefault lists those places of a file whose parameter the caller did not
// write: a default does not replace a value that somebody chose. Each pair is
// a parameter, as ios.supports_tablet, and the place its value goes to.
func (d *Draft) KeepDefault(pairs map[string][]string) [][]string {
	var keep [][]string
	for name, place := range pairs {
		if !d.Given(strings.Split(name, ".")...) {
			keep = append(keep, place)
		}
	}
	slices.SortFunc(keep, slices.Compare)
	return keep
}

// Add adds a file.
func (d *Draft) Add(f File) { d.Files = append(d.Files, f) }

// Resolve records the version or range chosen for a dependency.
func (d *Draft) Resolve(name, version string) { d.Resolved[name] = version }

// Refuse says that a parameter is invalid. Field is its path below the
// parameters, as services.web.ports[0].
func (d *Draft) Refuse(field, format string, args ...any) {
	d.Faults = append(d.Faults, tasks.FieldError{Path: field, Message: fmt.Sprintf(format, args...)})
}

// CheckPath refuses a parameter that is not a relative path inside the project.
func (d *Draft) CheckPath(field, path string) {
	if !tasks.SafePath(path) {
		d.Refuse(field, "must be a relative path with / and without .. or backslash")
	}
}

// Error adds a remark about something that will not work.
func (d *Draft) Error(file string, place []string, format string, args ...any) {
	d.remark("error", file, place, format, args...)
}

// Warn adds a remark about something that is likely wrong.
func (d *Draft) Warn(file string, place []string, format string, args ...any) {
	d.remark("warning", file, place, format, args...)
}

// Info adds a remark that is good to know.
func (d *Draft) Info(file string, place []string, format string, args ...any) {
	d.remark("info", file, place, format, args...)
}

func (d *Draft) remark(severity, file string, place []string, format string, args ...any) {
	d.Diagnostics = append(d.Diagnostics, tasks.ConfigDiagnostic{
		File: file, Path: schema.Pointer(place...), Message: fmt.Sprintf(format, args...), Severity: severity,
	})
}
