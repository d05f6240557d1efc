package mcp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// dispensable are fields that say again what others say, by kind: the first to
// go.
func dispensable(kind string) []string {
	switch kind {
	case "document_parse":
		return []string{"text", "chunks", "sections", "metadata", "links"}
	case "sdk_fetch":
		return []string{"versions", "tags", "sources", "files"}
	}
	return nil
}

// cuts are ever shorter texts and lists.
func cuts() [][2]int {
	return [][2]int{{8000, 200}, {4000, 100}, {2000, 50}, {1000, 25}, {500, 15}, {250, 10}, {120, 5}, {60, 3}, {30, 1}}
}

// Trim writes a result in at most so many bytes. It stays valid JSON: first
// repetitions go, then long texts and lists are cut, each with a word of how
// much is missing, and "trimmed" says that it was done.
func Trim(kind string, result json.RawMessage, most int) (string, error) {
	if len(result) <= most {
		return string(result), nil
	}
	var full map[string]any
	d := json.NewDecoder(bytes.NewReader(result))
	d.UseNumber()
	if err := d.Decode(&full); err != nil {
		return "", fmt.Errorf("read a result to trim: %w", err)
	}
	var gone []string
	for _, name := range dispensable(kind) {
		if _, ok := full[name]; !ok {
			continue
		}
		delete(full, name)
		gone = append(gone, name)
		if text, fits := write(full, gone, most); fits {
			return text, nil
		}
	}
	for _, c := range cuts() {
		if text, fits := write(cut(full, c[0], c[1]), gone, most); fits {
			return text, nil
		}
	}
	// What is left has very many fields: their names are the answer.
	names := fmt.Sprintf("the result has %d fields and does not fit: ask with a larger max_tokens", len(full))
	raw, err := json.Marshal(map[string]string{"trimmed": names})
	return string(raw), err
}

func write(v any, gone []string, most int) (string, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return "", false
	}
	why := "long texts and lists are cut"
	if len(gone) > 0 {
		why += "; left out: " + strings.Join(gone, ", ")
	}
	m["trimmed"] = why + "; a larger max_tokens gives more"
	defer delete(m, "trimmed")
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return "", false
	}
	text := strings.TrimSuffix(b.String(), "\n")
	return text, len(text) <= most
}

// cut copies a value with every text and list shortened.
func cut(v any, text, list int) any {
	switch v := v.(type) {
	case string:
		if len(v) <= text+32 {
			return v
		}
		end := text
		for end > 0 && !utf8.RuneStart(v[end]) {
			end--
		}
		return fmt.Sprintf("%s… (%d more bytes)", v[:end], len(v)-end)
	case []any:
		n := min(len(v), list)
		short := make([]any, 0, n+1)
		for _, one := range v[:n] {
			short = append(short, cut(one, text, list))
		}
		if n < len(v) {
			short = append(short, fmt.Sprintf("… (%d more)", len(v)-n))
		}
		return short
	case map[string]any:
		short := make(map[string]any, len(v))
		for name, one := range v {
			short[name] = cut(one, text, list)
		}
		return short
	}
	return v
}
