package documentparse

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readOpenAPI reads an OpenAPI 3 or Swagger 2 description: it writes one section
// of Markdown for each operation and schema and reads that. References are
// followed inside the document only; what is elsewhere is named, never fetched.
func readOpenAPI(ctx context.Context, b *builder, src string) error {
	isJSON := strings.HasPrefix(strings.TrimSpace(src), "{")
	root, err := decodeData(src, isJSON)
	if err != nil {
		b.warn("malformed", "it was read as code: "+clip(fold(err.Error()), 200))
		readCode(b, src, dataLanguage(isJSON))
		return nil
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	b.media = "application/openapi+" + dataLanguage(isJSON)
	w := apiWriter{b: b, root: root}
	w.document()
	b.markdown = w.out.String()
	return readBlocks(ctx, b, b.markdown, false)
}

func dataLanguage(isJSON bool) string {
	if isJSON {
		return "json"
	}
	return "yaml"
}

func decodeData(src string, isJSON bool) (map[string]any, error) {
	limit, decode := maxYAML, yaml.Unmarshal
	if isJSON {
		limit, decode = maxJSON, json.Unmarshal
	}
	if len(src) > limit {
		return nil, fmt.Errorf("the description is over %d bytes", limit)
	}
	var v any
	if err := decode([]byte(src), &v); err != nil {
		return nil, err
	}
	if root := asMap(v); root != nil {
		return root, nil
	}
	return nil, fmt.Errorf("it is no object")
}

// asMap is v as an object, or nil. YAML has keys that are no strings, as the
// status codes of responses.
func asMap(v any) map[string]any {
	switch v := v.(type) {
	case map[string]any:
		return v
	case map[any]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[fmt.Sprint(k)] = e
		}
		return out
	}
	return nil
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

// apiWriter writes a description as Markdown, up to maxMarkdown.
type apiWriter struct {
	b    *builder
	root map[string]any
	out  strings.Builder
}

func (w *apiWriter) line(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); w.out.Len()+len(s) < maxMarkdown {
		w.out.WriteString(s + "\n")
	} else {
		w.b.warn("truncated", "the description is too long; its last sections were left out")
	}
}

var apiMethods = []string{"get", "post", "put", "patch", "delete", "head", "options", "trace"}

func (w *apiWriter) document() {
	info := asMap(w.root["info"])
	w.b.title = fold(asText(info["title"]))
	w.b.set("version", asText(info["version"]))
	for _, key := range []string{"openapi", "swagger"} {
		w.b.set("specification", strings.TrimSpace(key+" "+asText(w.root[key])))
		if w.root[key] != nil {
			break
		}
	}
	w.line("# %s\n", escapeMarkdown(w.b.title))
	w.description(info["description"], 1)
	w.servers()
	paths := asMap(w.root["paths"])
	operations := 0
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := w.resolve(paths[path])
		for _, method := range apiMethods {
			if op := asMap(item[method]); op != nil {
				w.operation(strings.ToUpper(method)+" "+path, item, op)
				operations++
			}
		}
	}
	w.b.set("operations", operations)
	schemas := asMap(asMap(w.root["components"])["schemas"])
	if schemas == nil {
		schemas = asMap(w.root["definitions"])
	}
	if len(schemas) > 0 {
		w.line("## Schemas\n")
	}
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		w.line("### %s\n", escapeMarkdown(fold(name)))
		w.schema(asMap(schemas[name]), 3)
	}
}

func (w *apiWriter) servers() {
	for _, v := range asList(w.root["servers"]) {
		s := asMap(v)
		w.line("- Server: %s %s", escapeMarkdown(fold(asText(s["url"]))), escapeMarkdown(fold(asText(s["description"]))))
	}
	if host := asText(w.root["host"]); host != "" {
		w.line("- Server: %s", escapeMarkdown(fold(host+asText(w.root["basePath"]))))
	}
	w.line("")
}

func (w *apiWriter) operation(name string, item, op map[string]any) {
	w.line("## %s\n", escapeMarkdown(fold(name)))
	if summary := fold(asText(op["summary"])); summary != "" {
		w.line("**%s**\n", escapeMarkdown(summary))
	}
	if op["deprecated"] == true {
		w.line("Deprecated.\n")
	}
	w.description(op["description"], 2)
	if id := fold(asText(op["operationId"])); id != "" {
		w.line("Operation: %s\n", codeSpan(id))
	}
	w.parameters(append(slices.Clone(asList(item["parameters"])), asList(op["parameters"])...))
	if body := w.resolve(op["requestBody"]); body != nil {
		w.line("Request body%s:\n", requiredWord(body))
		w.description(body["description"], 2)
		w.content(body)
	}
	w.responses(asMap(op["responses"]))
}

func requiredWord(v map[string]any) string {
	if v["required"] == true {
		return " (required)"
	}
	return ""
}

func (w *apiWriter) parameters(list []any) {
	if len(list) == 0 {
		return
	}
	w.line("| Parameter | In | Type | Required | Description |\n|---|---|---|---|---|")
	for _, v := range list {
		p := w.resolve(v)
		if p == nil {
			continue
		}
		schema := asMap(p["schema"])
		if schema == nil {
			schema = p // Swagger 2 has the type right here
		}
		w.row(asText(p["name"]), asText(p["in"]), w.typeOf(schema, 0), yes(p["required"]), asText(p["description"]))
	}
	w.line("")
}

// content writes the media types of a body or response and their schemas.
func (w *apiWriter) content(body map[string]any) {
	content := asMap(body["content"])
	for _, media := range slices.Sorted(maps.Keys(content)) {
		schema := asMap(asMap(content[media])["schema"])
		w.line("%s: %s\n", codeSpan(media), escapeMarkdown(w.typeOf(schema, 0)))
		if schema["$ref"] == nil {
			w.properties(schema)
		}
	}
}

func (w *apiWriter) responses(responses map[string]any) {
	if len(responses) == 0 {
		return
	}
	w.line("| Status | Description | Type |\n|---|---|---|")
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		r := w.resolve(responses[status])
		var types []string
		content := asMap(r["content"])
		for _, media := range slices.Sorted(maps.Keys(content)) {
			if name := w.typeOf(asMap(asMap(content[media])["schema"]), 0); !slices.Contains(types, name) {
				types = append(types, name)
			}
		}
		if schema := asMap(r["schema"]); schema != nil {
			types = append(types, w.typeOf(schema, 0))
		}
		w.row(status, asText(r["description"]), strings.Join(types, " or "))
	}
	w.line("")
}

// row writes one row of a table; cells are one line each.
func (w *apiWriter) row(cells ...string) {
	for i, c := range cells {
		cells[i] = escapeMarkdown(fold(c))
	}
	w.line("| %s |", strings.Join(cells, " | "))
}

// description writes a text that is Markdown of its own; its headings go below
// the section that it stands in.
func (w *apiWriter) description(v any, level int) {
	text := strings.TrimSpace(asText(v))
	if text == "" {
		return
	}
	var s strings.Builder
	fence := ""
	for line := range strings.Lines(text) {
		opened, _ := openingFence(line)
		switch {
		case fence == "" && opened != "":
			fence = opened
		case fence != "" && closesFence(line, fence):
			fence = ""
		case fence == "":
			if n, heading := atxHeading(strings.TrimRight(line, "\n")); n > 0 {
				line = strings.Repeat("#", min(n+level, 6)) + " " + heading + "\n"
			}
		}
		s.WriteString(line)
	}
	if fence != "" { // or it would take what follows
		s.WriteString("\n" + fence)
	}
	w.line("%s\n", s.String())
}
