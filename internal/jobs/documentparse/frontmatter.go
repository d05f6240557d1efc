package documentparse

import (
	"fmt"
	"math"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// cutFrontMatter splits the YAML between --- lines from the body. A document
// that only begins with a rule has none.
func cutFrontMatter(src string) (front, body string) {
	rest, ok := strings.CutPrefix(src, "---\n")
	if !ok {
		return "", src
	}
	for pos := 0; pos < len(rest) && pos <= maxFrontMatter; {
		line, _, _ := strings.Cut(rest[pos:], "\n")
		if t := strings.TrimRight(line, " \t"); t == "---" || t == "..." {
			return rest[:pos], rest[min(pos+len(line)+1, len(rest)):]
		}
		pos += len(line) + 1
	}
	return "", src
}

// readFrontMatter puts the front matter into the metadata. What is no mapping
// is text: then ok is false.
func readFrontMatter(b *builder, front string) (ok bool) {
	var fields map[string]any
	if err := yaml.Unmarshal([]byte(front), &fields); err != nil {
		b.warn("front_matter", "the front matter was left out: "+clip(fold(err.Error()), 200))
		return strings.Contains(front, ":")
	}
	if fields == nil {
		return strings.TrimSpace(front) == ""
	}
	useFields(b, fields)
	return true
}

// useFields puts a document's own fields into the metadata, and takes its title
// and language from them.
func useFields(b *builder, fields map[string]any) {
	nodes := 0
	plain, fits := plainValue(fields, 0, &nodes)
	if !fits {
		b.warn("front_matter", "the front matter was left out: it is too deep or too large")
		return
	}
	values := plain.(map[string]any)
	b.metadata["front_matter"] = values
	for key, names := range map[string][]string{
		"description": {"description", "summary", "excerpt"}, "published": {"date", "published", "published_at"},
		"modified": {"lastmod", "updated", "modified", "last_updated"}, "author": {"author", "authors"},
		"keywords": {"keywords", "tags"}, "canonical": {"canonical", "canonical_url"},
	} {
		for _, name := range names {
			if v, has := values[name]; has {
				b.set(key, v)
			}
		}
	}
	b.title = fold(asText(values["title"]))
	for _, name := range []string{"lang", "language", "locale"} {
		if b.declared == "" {
			b.declared = clip(asText(values[name]), 40)
		}
	}
}

// readExport reads what an MDX page exports about itself in place of front
// matter. An object of literals is YAML too, as a flow mapping; fields that would
// have to be evaluated are left out.
func readExport(b *builder, object string) {
	var doc yaml.Node
	if object == "" || yaml.Unmarshal([]byte(object), &doc) != nil || len(doc.Content) != 1 {
		return
	}
	top := doc.Content[0]
	var literals []*yaml.Node
	for i := 0; i+1 < len(top.Content); i += 2 {
		if isLiteral(top.Content[i+1]) {
			literals = append(literals, top.Content[i], top.Content[i+1])
		}
	}
	top.Content = literals
	var fields map[string]any
	if top.Decode(&fields) == nil && len(fields) > 0 {
		useFields(b, fields)
	}
}

// isLiteral tells values from expressions: text has its quotes in JavaScript.
func isLiteral(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Tag != "!!str" && n.Tag != "!!null" || n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	case yaml.SequenceNode, yaml.MappingNode:
		for i, child := range n.Content {
			if isKey := n.Kind == yaml.MappingNode && i%2 == 0; !isKey && !isLiteral(child) {
				return false
			}
		}
		return true
	}
	return false
}

// plainValue turns decoded YAML into what JSON can hold, within 10 levels and
// 5,000 values (aliases may repeat a value many times).
func plainValue(v any, depth int, nodes *int) (any, bool) {
	if *nodes++; depth > 10 || *nodes > 5_000 {
		return nil, false
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			p, ok := plainValue(e, depth+1, nodes)
			if !ok {
				return nil, false
			}
			out[clip(k, 200)] = p
		}
		return out, true
	case map[any]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[clip(fmt.Sprint(k), 200)] = e
		}
		return plainValue(out, depth, nodes)
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			p, ok := plainValue(e, depth+1, nodes)
			if !ok {
				return nil, false
			}
			out = append(out, p)
		}
		return out, true
	}
	return plainScalar(v), true
}

func plainScalar(v any) any {
	switch v := v.(type) {
	case time.Time:
		if v.Equal(v.Truncate(24 * time.Hour)) {
			return v.Format(time.DateOnly)
		}
		return v.Format(time.RFC3339)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	case string:
		return strings.ToValidUTF8(v, "\uFFFD")
	}
	return v
}

// asText is a value's text if it has one.
func asText(v any) string {
	switch v := v.(type) {
	case nil, map[string]any, []any:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}
