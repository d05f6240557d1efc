// Package dotenv is the dotenv template: .env with values and .env.example for
// the repository. Secrets are left empty in both.
package dotenv

import (
	_ "embed"
	"fmt"
	"path"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

//go:embed parameters.json
var parametersSchema []byte

const example = `{
  "variables": [
    { "name": "PORT", "value": 8080, "description": "Where the server listens." },
    { "name": "GREETING", "value": "it's 5 o'clock" },
    { "name": "API_TOKEN", "description": "From the provider's console." }
  ]
}`

// Template describes dotenv.
func Template() template.Template {
	return template.Template{
		Name:        "dotenv",
		Version:     "1.0.0",
		Description: ".env and .env.example; secrets are left empty.",
		Parameters:  parametersSchema,
		Example:     example,
		Write:       template.Writer(write),
	}
}

type parameters struct {
	Directory string     `json:"directory"`
	Variables []variable `json:"variables"`
}

type variable struct {
	Name        string          `json:"name"`
	Value       template.Scalar `json:"value"`
	Example     string          `json:"example"`
	Description string          `json:"description"`
	Secret      *bool           `json:"secret"`
}

// hidden tells whether the value must not be written. A caller may say that a
// name only looks like a secret's, but an address with a password in it or a
// private key stays one.
func (v variable) hidden() bool {
	if v.Secret == nil {
		return template.Secret(v.Name, v.Value.Text)
	}
	return *v.Secret || template.Secret("", v.Value.Text)
}

func write(p parameters, d *template.Draft) {
	env, sample := path.Join(p.Directory, ".env"), path.Join(p.Directory, ".env.example")
	if p.Directory != "." {
		d.CheckPath("directory", p.Directory)
	}
	values, examples := tree.New(), tree.New()
	notes := map[string]string{"": "Local settings. Never commit this file."}
	sampleNotes := map[string]string{"": "Copy to .env and fill in."}
	for i, v := range p.Variables {
		if _, twice := values.Get(v.Name); twice {
			d.Refuse(fmt.Sprintf("variables[%d].name", i), "stands twice: %s", v.Name)
			continue
		}
		value, shown := v.Value.Text, v.Example
		if v.hidden() {
			value = ""
			d.Warn(env, []string{v.Name}, "is a secret and was left empty: set it in .env by hand")
		}
		if template.Secret(v.Name, shown) {
			shown = ""
		}
		if shown == "" {
			shown = value
		}
		values.Set(v.Name, value)
		examples.Set(v.Name, shown)
		if v.Description != "" {
			notes["/"+v.Name], sampleNotes["/"+v.Name] = v.Description, v.Description
		}
	}
	// What stands in an .env is somebody's setting, so it wins.
	keep := template.Merge{Keep: [][]string{{"*"}}}
	d.Add(template.File{Path: env, Format: "dotenv", Data: values, Notes: notes, Merge: keep})
	d.Add(template.File{Path: sample, Format: "dotenv", Data: examples, Notes: sampleNotes, Merge: keep})
}
