// Package settings is the settings template: one file of any values, in JSON,
// YAML or TOML.
//
// Strings that look like secrets are written as ${NAME}, and .env.example lists
// the names.
package settings

import (
	_ "embed"
	"path"
	"slices"
	"strconv"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

//go:embed parameters.json
var parametersSchema []byte

const example = `{
  "file": "config/app.yaml",
  "values": { "listen": ":8080", "log": { "level": "info" }, "retries": 3 }
}`

// Template describes settings.
func Template() template.Template {
	return template.Template{
		Name:        "settings",
		Version:     "1.0.0",
		Description: "One settings file of any values, as JSON, YAML or TOML.",
		Formats:     []string{"yaml", "json", "toml"},
		Parameters:  parametersSchema,
		Example:     example,
		Write:       template.Writer(write),
	}
}

type parameters struct {
	File    string        `json:"file"`
	Values  template.Data `json:"values"`
	Comment string        `json:"comment"`
}

func write(p parameters, d *template.Draft) {
	file := p.File
	if file == "" {
		file = "config." + d.Format
	}
	d.CheckPath("file", file)
	vault := &template.Vault{}
	data := hide(p.Values.Value, "", nil, func(key, value string, place []string) string {
		name := vault.Take(path.Base(file), key, value)
		d.Warn(file, place, "looks like a secret: it was written as ${%s}, which the reader of the file must replace", name)
		return "${" + name + "}"
	})
	d.Add(template.File{Path: file, Format: d.Format, Data: data, Notes: map[string]string{"": p.Comment}})
	if !vault.Empty() {
		d.Add(vault.Example(path.Join(path.Dir(file), ".env.example")))
	}
}

// hide replaces the strings that look like secrets.
func hide(v any, key string, place []string, take func(key, value string, place []string) string) any {
	switch v := v.(type) {
	case string:
		if template.Secret(key, v) {
			return take(key, v, place)
		}
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = hide(e, key, append(slices.Clip(place), strconv.Itoa(i)), take)
		}
		return out
	case *tree.Object:
		out := tree.New()
		for _, m := range v.Members() {
			out.Set(m.Key, hide(m.Value, m.Key, append(slices.Clip(place), m.Key), take))
		}
		return out
	}
	return v
}
