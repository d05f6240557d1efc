package documentparse

import (
	"maps"
	"slices"
	"strings"
)

// resolve follows a reference inside the document, a few steps far; what is no
// reference is returned as it is, what cannot be followed as nil.
func (w *apiWriter) resolve(v any) map[string]any {
	m := asMap(v)
	for range 10 {
		ref, ok := m["$ref"].(string)
		if !ok {
			return m
		}
		path, local := strings.CutPrefix(ref, "#/")
		if !local {
			w.b.warn("external_ref_skipped", "a reference leads out of the document and was not followed: "+clip(fold(ref), 200))
			return nil
		}
		var at any = w.root
		for part := range strings.SplitSeq(path, "/") {
			at = asMap(at)[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
		}
		m = asMap(at)
	}
	return nil
}

// typeOf says a schema in a few words; references stay names.
func (w *apiWriter) typeOf(schema map[string]any, depth int) string {
	if ref := asText(schema["$ref"]); ref != "" {
		if !strings.HasPrefix(ref, "#") {
			w.resolve(schema) // for its warning
		}
		return fold(ref[strings.LastIndexByte(ref, '/')+1:])
	}
	if depth > 4 || schema == nil {
		return ""
	}
	for _, join := range []struct{ key, word string }{{"oneOf", " or "}, {"anyOf", " or "}, {"allOf", " and "}} {
		var names []string
		list := asList(schema[join.key])
		for _, v := range list[:min(len(list), 20)] {
			if name := w.typeOf(asMap(v), depth+1); name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			return strings.Join(names, join.word)
		}
	}
	name := plainType(schema["type"])
	if items := asMap(schema["items"]); items != nil {
		name = strings.TrimSpace("array of " + w.typeOf(items, depth+1))
	}
	if format := asText(schema["format"]); format != "" {
		name += " (" + fold(format) + ")"
	}
	return strings.TrimSpace(name + enumOf(schema))
}

// plainType is a type's name; version 3.1 allows a list of them.
func plainType(v any) string {
	var names []string
	for _, t := range asList(v) {
		names = append(names, asText(t))
	}
	if len(names) > 0 {
		return strings.Join(names, " or ")
	}
	return asText(v)
}

func enumOf(schema map[string]any) string {
	list := asList(schema["enum"])
	var values []string
	for _, v := range list[:min(len(list), 30)] {
		values = append(values, fold(asText(v)))
	}
	if len(values) == 0 {
		return ""
	}
	return ": " + strings.Join(values, ", ")
}

// schema writes one named schema.
func (w *apiWriter) schema(schema map[string]any, level int) {
	w.description(schema["description"], level)
	if name := w.typeOf(schema, 0); name != "" && asMap(schema["properties"]) == nil {
		w.line("Type: %s\n", escapeMarkdown(name))
	}
	w.properties(schema)
}

// properties writes the properties of an object, those of allOf included.
func (w *apiWriter) properties(schema map[string]any) {
	all := map[string]any{}
	required := map[string]bool{}
	w.gather(schema, all, required, 0)
	if len(all) == 0 {
		if items := asMap(schema["items"]); items != nil && items["$ref"] == nil {
			w.gather(items, all, required, 0)
		}
	}
	if len(all) == 0 {
		return
	}
	w.line("| Property | Type | Required | Description |\n|---|---|---|---|")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p := asMap(all[name])
		w.row(name, w.typeOf(p, 0), yes(required[name]), asText(p["description"]))
	}
	w.line("")
}

// gather merges the properties of a schema and of the parts of its allOf.
func (w *apiWriter) gather(schema map[string]any, into map[string]any, required map[string]bool, depth int) {
	if depth > 4 {
		return
	}
	list := asList(schema["allOf"])
	for _, part := range list[:min(len(list), 20)] {
		w.gather(w.resolve(part), into, required, depth+1)
	}
	maps.Copy(into, asMap(schema["properties"]))
	for _, name := range asList(schema["required"]) {
		required[asText(name)] = true
	}
}

func yes(v any) string {
	if v == true {
		return "yes"
	}
	return "no"
}

// codeSpan writes text as inline code, whatever it holds.
func codeSpan(s string) string {
	if strings.Contains(s, "`") {
		return escapeMarkdown(s)
	}
	return "`" + s + "`"
}
