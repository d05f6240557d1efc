package configgen

import (
	"encoding/json"
	"slices"
)

// TemplateInfo describes one version of a template to callers.
type TemplateInfo struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description"`
	// Formats are what a payload's format may be, the default first; empty
	// means the formats are fixed.
	Formats []string `json:"formats"`
	// Schema is the JSON Schema of the parameters.
	Schema json.RawMessage `json:"schema"`
	// Example is a valid payload's parameters.
	Example json.RawMessage `json:"example"`
}

// Templates lists all templates in the order they are shown, the newest
// version of each first.
func Templates() []TemplateInfo {
	var out []TemplateInfo
	for _, t := range registry() {
		out = append(out, TemplateInfo{
			Name: t.Name, Version: t.Version, Description: t.Description, Formats: append([]string{}, t.Formats...),
			Schema: slices.Clone(t.Parameters), Example: json.RawMessage(t.Example),
		})
	}
	return out
}
