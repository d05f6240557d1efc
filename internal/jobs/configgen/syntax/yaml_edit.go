package syntax

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

const (
	reformatted = "spacing and blank lines were written anew; comments are kept"
	rewritten   = "the file was written anew, because a change meets an anchor that other places use: comments are lost"
)

// editYAML first tries to cut the changes into the text, which leaves every
// other byte alone, and proves by reading the outcome that they went where
// they belong. Where that cannot be done, it edits the parsed nodes and writes
// them anew: comments and order stay, spacing does not.
func editYAML(text string, want any) (string, string, error) {
	doc, have, err := parseYAML(text)
	if err != nil {
		return "", "", err
	}
	if tree.Equal(have, want) {
		return text, "", nil
	}
	if doc == nil || doc.Kind != yaml.DocumentNode || have == nil || len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
		body, err := encodeYAML(want, nil)
		if err == nil && strings.TrimSpace(text) != "" { // comments only
			body = strings.TrimRight(text, "\r\n") + "\n" + body
			if again, err := decodeYAML(body); err != nil || !tree.Equal(again, want) {
				body, err = encodeYAML(want, nil)
				return body, reformatted, err
			}
		}
		return body, "", err
	}
	s := splicer{lines: strings.SplitAfter(text, "\n"), end: newline(text)}
	if s.patch(doc.Content[0], have, want) {
		edited := s.apply()
		if again, err := decodeYAML(edited); err == nil && tree.Equal(again, want) {
			return edited, "", nil
		}
	}
	patchNode(doc.Content[0], have, want)
	edited, err := dumpYAML(doc, yamlIndent(text))
	if err != nil {
		return "", "", err
	}
	if again, err := decodeYAML(edited); err == nil && tree.Equal(again, want) {
		return edited, reformatted, nil
	}
	edited, err = encodeYAML(want, nil)
	return edited, rewritten, err
}

// yamlIndent guesses the indent of a text from its first indented key.
func yamlIndent(text string) int {
	for line := range strings.Lines(text) {
		trimmed := strings.TrimLeft(line, " ")
		if n := len(line) - len(trimmed); n >= 2 && n <= 8 && trimmed != "" && !strings.HasPrefix(trimmed, "#") {
			return n
		}
	}
	return 2
}

// patchNode changes parsed nodes so that they hold want.
func patchNode(n *yaml.Node, have, want any) {
	if tree.Equal(have, want) {
		return
	}
	switch {
	case n.Kind == yaml.MappingNode && isObject(want):
		patchMapping(n, have.(*tree.Object), want.(*tree.Object))
		return
	case n.Kind == yaml.SequenceNode && isList(want):
		had, list := have.([]any), want.([]any)
		n.Content = n.Content[:min(len(n.Content), len(list))]
		for i := range n.Content {
			patchNode(n.Content[i], had[i], list[i])
		}
		for _, v := range list[len(n.Content):] {
			n.Content = append(n.Content, yamlNode(v, "", nil))
		}
		return
	}
	fresh := yamlNode(want, "", nil)
	fresh.HeadComment, fresh.LineComment, fresh.FootComment = n.HeadComment, n.LineComment, n.FootComment
	// An anchor stays: other places may refer to it.
	fresh.Anchor = n.Anchor
	*n = *fresh
}

func patchMapping(n *yaml.Node, have, want *tree.Object) {
	seen := map[string]bool{}
	kept := n.Content[:0]
	orphan := "" // what stood above a removed key
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := keyOf(name)
		seen[key] = true
		wanted, ok := want.Get(key)
		if !ok {
			orphan = joinComments(orphan, name.HeadComment)
			continue
		}
		name.HeadComment, orphan = joinComments(orphan, name.HeadComment), ""
		old, _ := have.Get(key)
		behind := value.LineComment
		patchNode(value, old, wanted)
		if behind != "" && value.Kind != yaml.ScalarNode && len(value.Content) > 0 { // a block has no room behind it
			value.LineComment = ""
			name.HeadComment = joinComments(name.HeadComment, behind)
		}
		kept = append(kept, name, value)
	}
	n.Content = kept
	for _, m := range want.Members() {
		if !seen[m.Key] {
			n.Content = append(n.Content, yamlString(m.Key), yamlNode(m.Value, "", nil))
		}
	}
	if len(n.Content) > 0 && want.Len() > have.Len() && have.Len() == 0 {
		n.Style = 0 // an empty {} becomes a block
	}
}

func joinComments(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "\n" + b
}

func keyOf(n *yaml.Node) string {
	if n.Kind == yaml.AliasNode {
		return n.Alias.Value
	}
	return n.Value
}

func isObject(v any) bool { _, ok := v.(*tree.Object); return ok }
func isList(v any) bool   { _, ok := v.([]any); return ok }
