package tasks

import (
	"encoding/json"
	"path"
	"strings"
)

// ConfigGenPayload asks for the files of one template.
type ConfigGenPayload struct {
	// Template is the template's name, as expo-app or docker-compose.
	Template string `json:"template"`
	// Version chooses the template's version; empty means the newest.
	Version string `json:"version,omitempty"`
	// Parameters are checked against the template's JSON Schema.
	Parameters json.RawMessage `json:"parameters,omitempty"`
	// Format chooses between the formats that a template offers (json, yaml, toml).
	Format string `json:"format,omitempty"`
	// Existing holds files of the project by path; they are changed as little
	// as needed.
	Existing map[string]string `json:"existing,omitempty"`
	// Check asks whether Existing is up to date. The result is the same as
	// without it, contents included, but its Valid is false if any file is
	// missing or would change.
	Check bool `json:"check,omitempty"`
}

// Validate implements Payload. The parameters are checked by the template.
func (p ConfigGenPayload) Validate() error {
	var f faults
	f.check(p.Template != "", "template", "must not be empty")
	checkName(&f, "template", p.Template)
	f.check(len(p.Version) <= 64, "version", "must not be over 64 bytes, got %d", len(p.Version))
	f.check(len(p.Parameters) <= 1<<20, "parameters", "must not be over 1 MiB, got %d bytes", len(p.Parameters))
	first := strings.TrimSpace(string(p.Parameters))
	f.check(first == "" || first[0] == '{' || first == "null", "parameters", "must be an object")
	f.check(len(p.Format) <= 20, "format", "must not be over 20 bytes, got %d", len(p.Format))
	f.check(len(p.Existing) <= 100, "existing", "must not hold over 100 files, got %d", len(p.Existing))
	for name := range p.Existing {
		f.check(SafePath(name), "existing", "must hold relative paths without .. or backslash, got %q", clip(name, 60))
	}
	return f.err()
}

// SafePath reports whether p is a relative slash path that stays inside its
// root.
func SafePath(p string) bool {
	return p != "" && len(p) <= 300 && path.Clean(p) == p && !path.IsAbs(p) && p != ".." &&
		!strings.HasPrefix(p, "../") && !strings.ContainsAny(p, "\\\x00:")
}

// ConfigGenResult holds the generated files.
type ConfigGenResult struct {
	Files       []ConfigFile       `json:"files"` // sorted by path
	Diagnostics []ConfigDiagnostic `json:"diagnostics"`
	// Resolved maps each dependency that was chosen to its version or range.
	Resolved map[string]string `json:"resolved"`
	// Valid tells that every file was parsed again and passed its schema, and
	// that no diagnostic is an error; with Check, also that no file changed.
	Valid bool `json:"valid"`
}

// ConfigFile is one generated file.
type ConfigFile struct {
	Path    string `json:"path"`
	Content string `json:"content"`
	Format  string `json:"format"` // json, jsonc, yaml, toml, dotenv, js, text
	// Changed tells that Content differs from Existing, or is new.
	Changed bool `json:"changed"`
}

// ConfigDiagnostic is one remark about a file.
type ConfigDiagnostic struct {
	File string `json:"file"`
	// Path is a JSON pointer into the file's data.
	Path     string `json:"path"`
	Message  string `json:"message"`
	Severity string `json:"severity"` // error, warning, info
}
