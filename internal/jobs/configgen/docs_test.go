package configgen

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/datatest"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
	"github.com/jobyard/jobyard/tasks"
)

const manualHead = `# Templates of config_gen

This page is made from the templates' own schemas (` + "`go test ./internal/jobs/configgen -update`" + `); don't edit it.

A task names a template and gives its parameters; the answer holds the files, what was noticed about them, and the
versions that were chosen:

` + "```json" + `
{"template": "tsconfig", "parameters": {"out_dir": "dist"}, "existing": {"tsconfig.json": "{ \"compilerOptions\": {} }"}}
` + "```" + `

- **Parameters** are checked against the schema below; a fault names the field, as
  ` + "`payload.parameters.services.web.ports[0]`" + `. Faults between parts (a service that does not exist, a port used twice)
  come back as diagnostics with a JSON pointer into the file, and make ` + "`valid`" + ` false when they are errors.
- **Existing** files are changed as little as needed: comments, order and unknown keys stay. A value that the caller did
  not ask for (a default) does not replace one that is there. In package.json a version that is there stays, and a
  conflict is reported. JavaScript and unit files are replaced as a whole; lists such as .gitignore get the lines they
  lack; TOML is written anew.
- **Check** asks whether the existing files are up to date: ` + "`valid`" + ` is false if any would change.
- **What looks like a secret is not written**: by its name, or as a password in an address or key=value. It becomes a reference
  (` + "`${NAME}`" + `, ` + "`${{ secrets.NAME }}`" + `) or is left out; a diagnostic says so, and .env.example lists the names.
- The same payload always gives the same bytes. Bounds: 1 MiB of parameters, 200 files, 8 MiB in all.
`

// manual writes docs/templates.md.
func manual(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(manualHead)
	for _, info := range Templates() {
		fmt.Fprintf(&b, "\n## %s\n\n%s Version %s.", info.Name, info.Description, info.Version)
		if len(info.Formats) > 0 {
			fmt.Fprintf(&b, " Formats: %s.", strings.Join(info.Formats, ", "))
		}
		b.WriteString("\n\n| parameter | type | default | meaning |\n|---|---|---|---|\n")
		source, err := tree.DecodeJSON(info.Schema)
		if err != nil {
			t.Fatal(err)
		}
		m := manualWriter{root: source.(*tree.Object), out: &b}
		m.rows(m.root, "", 0)
		fmt.Fprintf(&b, "\n```json\n%s\n```\n", info.Example)
	}
	return b.String()
}

type manualWriter struct {
	root *tree.Object
	out  *strings.Builder
}

func (m manualWriter) rows(rule *tree.Object, parent string, depth int) {
	required, _ := rule.Get("required")
	for _, p := range rule.Object("properties").Members() {
		part := m.resolve(p.Value.(*tree.Object))
		name := parent + p.Key
		note := schemaText(part, "description")
		if list, ok := required.([]any); ok {
			for _, r := range list {
				if r == p.Key {
					note = strings.TrimSpace("**Required.** " + note)
				}
			}
		}
		if note == "" || note == "**Required.** " || note == "**Required.**" {
			note = strings.TrimSpace(note + " " + sentence(m.ruleOf(part)))
		}
		standard := ""
		if v, ok := part.Get("default"); ok && !tree.Empty(v) {
			standard = "`" + tree.IndentJSON(v, "", "") + "`"
			if len(standard) > 60 {
				standard = "see the schema"
			}
		}
		fmt.Fprintf(m.out, "| `%s` | %s | %s | %s |\n", name, m.kind(part), standard, strings.ReplaceAll(note, "|", `\|`))
		if depth < 3 {
			m.below(part, name, depth)
		}
	}
}

// below lists the parameters of an inner object, of a list's elements, and of
// objects under any name.
func (m manualWriter) below(part *tree.Object, name string, depth int) {
	if part.Object("properties") != nil {
		m.rows(part, name+".", depth+1)
	}
	if items := m.resolve(part.Object("items")); items.Object("properties") != nil {
		m.rows(items, name+"[].", depth+1)
	}
	for _, p := range part.Object("patternProperties").Members() {
		m.rows(m.resolve(p.Value.(*tree.Object)), name+".*.", depth+1)
	}
}

// resolve joins a reference with what stands beside it.
func (m manualWriter) resolve(part *tree.Object) *tree.Object {
	ref, _ := part.Get("$ref")
	name, ok := ref.(string)
	if !ok {
		return part
	}
	out := tree.Clone(m.root.Object("$defs").Object(strings.TrimPrefix(name, "#/$defs/"))).(*tree.Object)
	for _, own := range part.Members() {
		out.Set(own.Key, own.Value)
	}
	return out
}

// ruleOf is what the schema says of a value, or of a list's elements.
func (m manualWriter) ruleOf(part *tree.Object) string {
	if rule := schemaText(part, "x-rule"); rule != "" {
		return strings.TrimPrefix(rule, "must be ")
	}
	if items := m.resolve(part.Object("items")); items != nil {
		return m.ruleOf(items)
	}
	return ""
}

func sentence(s string) string {
	if s == "" || s == "one line without control characters" || s == "must not hold control characters" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

func (m manualWriter) kind(part *tree.Object) string {
	if values, ok := part.Get("enum"); ok {
		var words []string
		for _, v := range values.([]any) {
			words = append(words, fmt.Sprint(v))
		}
		return strings.Join(words, ", ")
	}
	kind, _ := part.Get("type")
	var words []string
	if list, ok := kind.([]any); ok {
		for _, k := range list {
			words = append(words, fmt.Sprint(k))
		}
	} else {
		words = append(words, fmt.Sprint(kind))
	}
	if items := m.resolve(part.Object("items")); items != nil && len(words) == 1 {
		return "list of " + m.kind(items)
	}
	return strings.Join(words, " or ")
}

func schemaText(o *tree.Object, key string) string {
	v, _ := o.Get(key)
	s, _ := v.(string)
	return s
}

func TestTemplates_manual_is_up_to_date(t *testing.T) {
	t.Parallel()
	golden(t, filepath.Join(datatest.Root(t), "docs", "templates.md"), manual(t))
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	for _, info := range Templates() {
		if info.Description == "" || info.Version == "" || !json.Valid(info.Schema) {
			t.Errorf("%s is not described: %+v", info.Name, info)
		}
		for _, format := range append([]string{""}, info.Formats...) {
			p := tasks.ConfigGenPayload{Template: info.Name, Version: info.Version, Format: format, Parameters: info.Example}
			if err := p.Validate(); err != nil {
				t.Errorf("%s: %v", info.Name, err)
			}
			r, err := j.Handle(t.Context(), p)
			if err != nil || !r.Valid {
				t.Errorf("%s as %q: %v, valid %t", info.Name, format, err, r.Valid)
			}
		}
	}
}
