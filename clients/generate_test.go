package clients

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// spec is what is read of an OpenAPI document.
type spec struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

type operation struct {
	OperationID string
	Summary     string
	Parameters  []struct {
		Name, In string
		Required bool
		Schema   schema
	}
	RequestBody *struct {
		Required bool
		Content  map[string]struct{ Schema schema }
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema schema }
	}
}

type schema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Enum                 []any
	Items                *schema
	Properties           map[string]schema
	Required             []string
	AdditionalProperties json.RawMessage
	OneOf                []schema
	Description          string
}

// method is an operation as a client has it.
type method struct {
	name, verb, path, summary string
	params                    []param
	body                      string // "body", or "" if it takes none
	bodyRequired              bool
	send                      string // the runtime's way to send it: send, lines, events or bytes
	answerSchema, bodySchema  schema
}

type param struct {
	name, wire, in string
	required       bool
	schema         schema
}

var notName = regexp.MustCompile(`[^A-Za-z0-9]+`)

// camel and snake write a name in the fashion of a language.
func camel(text string) string {
	parts := notName.Split(text, -1)
	for i, p := range parts {
		if p = strings.ToLower(p); i > 0 && p != "" {
			p = strings.ToUpper(p[:1]) + p[1:]
		}
		parts[i] = p
	}
	if text = strings.Join(parts, ""); text == "class" { // a word of the language
		text += "_"
	}
	return text
}

func snake(text string) string { return strings.ToLower(notName.ReplaceAllString(text, "_")) }

func (s spec) methods() []method {
	var all []method
	for _, path := range slices.Sorted(maps.Keys(s.Paths)) {
		for _, verb := range slices.Sorted(maps.Keys(s.Paths[path])) {
			op := s.Paths[path][verb]
			m := method{name: op.OperationID, verb: strings.ToUpper(verb), path: path, summary: op.Summary}
			for _, p := range op.Parameters {
				m.params = append(m.params, param{name: p.Name, wire: p.Name, in: p.In, required: p.Required, schema: p.Schema})
			}
			slices.SortStableFunc(m.params, func(a, b param) int {
				return strings.Compare(map[bool]string{true: "0", false: "1"}[a.required], map[bool]string{true: "0", false: "1"}[b.required])
			})
			if op.RequestBody != nil {
				m.body, m.bodyRequired, m.bodySchema = "body", op.RequestBody.Required, op.RequestBody.Content["application/json"].Schema
				if _, ok := op.RequestBody.Content[octets]; ok {
					m.bodySchema = schema{Type: octets}
				}
			}
			m.send, m.answerSchema = op.answer()
			all = append(all, m)
		}
	}
	return all
}

// octets is the media type of bytes as they are, and here their type too.
const octets = "application/octet-stream"

// answer is how an answer is read, and what it is.
func (o operation) answer() (send string, is schema) {
	for _, status := range []string{"200", "201", "202"} {
		content := o.Responses[status].Content
		for media, send := range map[string]string{"application/x-ndjson": "lines", "text/event-stream": "events"} {
			if _, ok := content[media]; ok {
				return send, schema{Ref: "#/components/schemas/Task"}
			}
		}
		if _, ok := content[octets]; ok {
			return "bytes", schema{Type: octets}
		}
		if c, ok := content["application/json"]; ok {
			return "send", c.Schema
		}
	}
	return "send", schema{Type: "nothing"}
}

func (s schema) kind() (name string, null bool) {
	switch t := s.Type.(type) {
	case string:
		return t, false
	case []any:
		for _, one := range t {
			if one == "null" {
				null = true
			} else {
				name, _ = one.(string)
			}
		}
	}
	return name, null
}

// writer writes a schema as a type of a language.
type writer struct {
	ref                      func(name string) string
	names                    map[string]string
	list, dict, union, maybe func(string) string
	literal                  func(any) string
	join                     string
}

func (w writer) typeOf(s schema) string {
	if s.Ref != "" {
		return w.ref(s.Ref[strings.LastIndex(s.Ref, "/")+1:])
	}
	if len(s.OneOf) > 0 {
		var all []string
		for _, one := range s.OneOf {
			all = append(all, w.typeOf(one))
		}
		return w.union(strings.Join(all, w.join))
	}
	if len(s.Enum) > 0 {
		var all []string
		for _, v := range s.Enum {
			all = append(all, w.literal(v))
		}
		return w.union(strings.Join(all, w.join))
	}
	kind, null := s.kind()
	text := w.names[kind]
	switch {
	case kind == "array" && s.Items != nil:
		text = w.list(w.typeOf(*s.Items))
	case kind == "object":
		var value schema
		if json.Unmarshal(s.AdditionalProperties, &value) == nil && (value.Type != nil || value.Ref != "") {
			text = w.dict(w.typeOf(value))
		}
	case kind == "":
		text = w.names["any"]
	}
	if null {
		text = w.maybe(text)
	}
	return text
}

// hidden are schemas that the runtimes have in a form of their own.
func hidden(name string) bool { return strings.HasPrefix(name, "Error") && name != "Error" }

const header = "Generated from the yard's OpenAPI description by go test ./clients -run Generated -update. Do not edit."

var typescriptWriter = writer{
	ref: func(n string) string { return n }, list: func(t string) string { return "Array<" + t + ">" },
	dict: func(t string) string { return "Record<string, " + t + ">" }, union: func(t string) string { return t }, maybe: func(t string) string { return t + " | null" },
	literal: func(v any) string { raw, _ := json.Marshal(v); return string(raw) }, join: " | ",
	names: map[string]string{"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "object": "Record<string, unknown>", "any": "any", "array": "unknown[]", octets: "Uint8Array", "nothing": "void"},
}

// typescript writes jobyard.js and jobyard.d.ts.
func typescript(s spec) (code, types string) {
	var js, ts strings.Builder
	fmt.Fprintf(&js, "// %s\nimport { Base } from \"./runtime.js\";\nexport { Problem, TaskError } from \"./runtime.js\";\n\nexport class Jobyard extends Base {\n", header)
	fmt.Fprintf(&ts, "// %s\n\n", header)
	w := typescriptWriter
	for _, name := range slices.Sorted(maps.Keys(s.Components.Schemas)) {
		if one := s.Components.Schemas[name]; !hidden(name) {
			tsType(&ts, w, name, one)
		}
	}
	ts.WriteString("export interface Field { location: string; message: string }\n" +
		"export class Problem extends Error { status: number; detail: string; fields: Field[]; requestId?: string; retryAfter?: number }\n" +
		"export class TaskError extends Error { task: Task }\n" +
		"export interface Call { signal?: AbortSignal }\n\nexport class Jobyard {\n" +
		"  constructor(config: { url: string; key?: string; patience?: number; timeout?: number; fetch?: typeof fetch });\n" +
		"  /** The task once it is final. */\n  wait(id: string, call?: Call): Promise<Task>;\n" +
		"  /** Hands a task over and gives its result; a task that failed throws TaskError. */\n" +
		"  do(kind: \"search\", payload: SearchPayload, options?: Options, call?: Call): Promise<SearchResult>;\n" +
		"  do(kind: \"sdk_fetch\", payload: SDKFetchPayload, options?: Options, call?: Call): Promise<SDKFetchResult>;\n" +
		"  do(kind: \"config_gen\", payload: ConfigGenPayload, options?: Options, call?: Call): Promise<ConfigGenResult>;\n" +
		"  do(kind: \"document_parse\", payload: DocumentParsePayload, options?: Options, call?: Call): Promise<DocumentParseResult>;\n")
	for _, m := range s.methods() {
		path, query, headers := "`"+m.path+"`", []string{}, []string{}
		var names, args []string
		for _, p := range m.params {
			name := camel(p.name)
			names = append(names, name)
			args = append(args, name+map[bool]string{true: ": ", false: "?: "}[p.required]+w.typeOf(p.schema))
			switch p.in {
			case "path":
				path = strings.ReplaceAll(path, "{"+p.wire+"}", "${encodeURIComponent("+name+")}")
			case "query":
				query = append(query, fmt.Sprintf("%q: %s", p.wire, name))
			case "header":
				headers = append(headers, fmt.Sprintf("%q: %s", p.wire, name))
			}
		}
		options := []string{"signal"}
		if len(query) > 0 {
			options = append(options, "query: { "+strings.Join(query, ", ")+" }")
		}
		if len(headers) > 0 {
			options = append(options, "headers: { "+strings.Join(headers, ", ")+" }")
		}
		if m.body != "" {
			options, names = append(options, "body"), append(names, "body")
			args = append(args, map[bool]string{true: "body: ", false: "body?: "}[m.bodyRequired]+w.typeOf(m.bodySchema))
		}
		answer := "Promise<" + w.typeOf(m.answerSchema) + ">"
		if m.send == "lines" || m.send == "events" {
			answer = "AsyncGenerator<" + w.typeOf(m.answerSchema) + ">"
		}
		first, need := "{ "+strings.Join(names, ", ")+" } = {}", "?"
		if slices.ContainsFunc(m.params, func(p param) bool { return p.required }) || m.bodyRequired {
			need = ""
		}
		fmt.Fprintf(&js, "  /** %s */\n  %s(%s, { signal } = {}) {\n    return this._%s(%q, %s, { %s });\n  }\n",
			m.summary, camel(m.name), strings.ReplaceAll(first, "{  }", "{}"), m.send, m.verb, path, strings.Join(options, ", "))
		fmt.Fprintf(&ts, "  /** %s */\n  %s(input%s: { %s }, call?: Call): %s;\n", m.summary, camel(m.name), need, strings.Join(args, "; "), answer)
	}
	js.WriteString("}\n")
	ts.WriteString("}\n")
	return js.String(), ts.String()
}

func tsType(b *strings.Builder, w writer, name string, s schema) {
	if s.OneOf != nil {
		var all []string
		for _, one := range s.OneOf {
			all = append(all, "{ "+strings.Join(tsFields(w, one), "; ")+" }")
		}
		fmt.Fprintf(b, "export type %s =\n  | %s;\n\n", name, strings.Join(all, "\n  | "))
		return
	}
	fmt.Fprintf(b, "export interface %s {\n", name)
	for _, f := range tsFields(w, s) {
		fmt.Fprintf(b, "  %s;\n", f)
	}
	b.WriteString("}\n\n")
}

func tsFields(w writer, s schema) []string {
	var all []string
	for _, p := range slices.Sorted(maps.Keys(s.Properties)) {
		all = append(all, p+map[bool]string{true: ": ", false: "?: "}[slices.Contains(s.Required, p)]+w.typeOf(s.Properties[p]))
	}
	return all
}

var pythonWriter = writer{
	ref: func(n string) string { return n }, list: func(t string) string { return "list[" + t + "]" },
	dict: func(t string) string { return "dict[str, " + t + "]" }, maybe: func(t string) string { return "Union[" + t + ", None]" },
	union: func(t string) string {
		return map[bool]string{true: "Literal[" + t + "]", false: "Union[" + t + "]"}[strings.HasPrefix(t, `"`)]
	},
	literal: func(v any) string { raw, _ := json.Marshal(v); return string(raw) }, join: ", ",
	names: map[string]string{"string": "str", "integer": "int", "number": "float", "boolean": "bool", "object": "dict[str, Any]", "any": "Any", "array": "list", octets: "bytes", "nothing": "None"},
}

// python writes jobyard.py, whose beginning is the runtime.
func python(s spec, runtime string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n%s", header, runtime)
	w := pythonWriter
	// Python's types refer to those above them; the runtime's are texts.
	for _, name := range slices.Sorted(maps.Keys(s.Components.Schemas)) {
		one := s.Components.Schemas[name]
		switch {
		case hidden(name):
		case one.OneOf != nil:
			fmt.Fprintf(&b, "\n\n%s = dict  # kind, payload, options", name)
		default:
			fmt.Fprintf(&b, "\n\n%s = TypedDict(\"%s\", {\n", name, name)
			for _, p := range slices.Sorted(maps.Keys(one.Properties)) {
				fmt.Fprintf(&b, "    %q: %q,\n", p, strings.ReplaceAll(w.typeOf(one.Properties[p]), `"`, `'`))
			}
			b.WriteString("}, total=False)")
		}
	}
	b.WriteString("\n\n\nclass Jobyard(Base):\n    \"\"\"The yard's API.\"\"\"\n")
	for _, m := range s.methods() {
		pythonMethod(&b, w, m)
	}
	return b.String()
}

func pythonMethod(b *strings.Builder, w writer, m method) {
	path, args := "f\""+m.path+"\"", []string{"self"}
	var query, headers []string
	if m.bodyRequired {
		args = append(args, "body: "+w.typeOf(m.bodySchema))
	}
	for _, p := range m.params {
		name := snake(p.name)
		if name == "from" || name == "class" { // words of the language
			name += "_"
		}
		arg := name + ": " + w.typeOf(p.schema)
		if !p.required {
			arg = name + ": Union[" + w.typeOf(p.schema) + ", None] = None"
		}
		args = append(args, arg)
		switch p.in {
		case "path":
			path = strings.ReplaceAll(path, "{"+p.wire+"}", "{urllib.parse.quote("+name+", safe='')}")
		case "query":
			query = append(query, fmt.Sprintf("%q: %s", p.wire, name))
		case "header":
			headers = append(headers, fmt.Sprintf("%q: %s", p.wire, name))
		}
	}
	if m.body != "" && !m.bodyRequired {
		args = append(args, "body: Union["+w.typeOf(m.bodySchema)+", None] = None")
	}
	call := fmt.Sprintf("%q, %s", m.verb, path)
	if len(query) > 0 {
		call += ", query={" + strings.Join(query, ", ") + "}"
	}
	if len(headers) > 0 {
		call += ", headers={" + strings.Join(headers, ", ") + "}"
	}
	if m.body != "" {
		call += ", body=body"
	}
	answer := w.typeOf(m.answerSchema)
	if m.send == "lines" || m.send == "events" {
		answer = "Iterator[" + answer + "]"
	}
	fmt.Fprintf(b, "\n    def %s(%s) -> %s:\n        \"\"\"%s.\"\"\"\n        return self._%s(%s)\n", snake(m.name), strings.Join(args, ", "), answer, m.summary, m.send, call)
}

func read(name string) (string, error) {
	raw, err := os.ReadFile(name)
	return string(raw), err
}
