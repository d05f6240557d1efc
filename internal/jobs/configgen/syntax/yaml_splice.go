package syntax

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

// splicer gathers changes of single lines. Each patch method returns false
// where it cannot make the change safely.
type splicer struct {
	lines []string
	end   string
	cuts  []cut
	adds  []addition
}

// cut replaces bytes of one line.
type cut struct {
	line, from, to int
	text           string
}

// addition stands after a line (counted from 1).
type addition struct {
	after int
	text  string
}

func (s *splicer) patch(n *yaml.Node, have, want any) bool {
	if tree.Equal(have, want) {
		return true
	}
	switch {
	case n.Kind == yaml.MappingNode && isObject(want):
		return s.mapping(n, have.(*tree.Object), want.(*tree.Object))
	case n.Kind == yaml.SequenceNode && isList(want):
		return s.sequence(n, have.([]any), want.([]any))
	case n.Kind == yaml.ScalarNode && !isObject(want) && !isList(want):
		return s.scalar(n, want)
	}
	return false
}

func (s *splicer) mapping(n *yaml.Node, have, want *tree.Object) bool {
	for _, m := range have.Members() {
		if _, ok := want.Get(m.Key); !ok {
			return false
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := keyOf(n.Content[i])
		old, _ := have.Get(key)
		wanted, _ := want.Get(key)
		if !s.patch(n.Content[i+1], old, wanted) {
			return false
		}
	}
	added := tree.New()
	for _, m := range want.Members() {
		if _, ok := have.Get(m.Key); !ok {
			added.Set(m.Key, m.Value)
		}
	}
	return added.Len() == 0 || s.add(n, added)
}

func (s *splicer) sequence(n *yaml.Node, have, want []any) bool {
	if len(want) < len(have) {
		return false
	}
	for i, c := range n.Content {
		if !s.patch(c, have[i], want[i]) {
			return false
		}
	}
	return len(want) == len(have) || s.add(n, want[len(have):])
}

// add writes new members behind the last line of a block.
func (s *splicer) add(n *yaml.Node, members any) bool {
	if n.Style&yaml.FlowStyle != 0 || len(n.Content) == 0 {
		return false
	}
	body, err := encodeYAML(members, nil)
	if err != nil {
		return false
	}
	indent := strings.Repeat(" ", n.Content[0].Column-1)
	if n.Kind == yaml.SequenceNode {
		line := s.lines[n.Content[0].Line-1]
		dash := strings.Index(line, "-")
		if dash < 0 || strings.TrimSpace(line[:dash]) != "" {
			return false
		}
		indent = line[:dash]
	}
	var b strings.Builder
	for line := range strings.Lines(body) {
		b.WriteString(indent + strings.TrimSuffix(line, "\n") + s.end)
	}
	s.adds = append(s.adds, addition{lastLine(n), b.String()})
	return true
}

// lastLine is the last line on which something of the node begins.
func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, c := range n.Content {
		last = max(last, lastLine(c))
	}
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		last += strings.Count(strings.TrimSuffix(n.Value, "\n"), "\n") + 1
	}
	return last
}

// scalar replaces a value that stands on one line.
func (s *splicer) scalar(n *yaml.Node, want any) bool {
	if n.Line < 1 || n.Line > len(s.lines) || n.Anchor != "" {
		return false
	}
	line := s.lines[n.Line-1]
	from := byteColumn(line, n.Column)
	to := from + tokenLength(line[from:], n)
	if to == from {
		return false
	}
	fresh, err := dumpYAML(yamlNode(want, "", nil), 2)
	fresh = strings.TrimSuffix(fresh, "\n")
	if err != nil || strings.Contains(fresh, "\n") {
		return false
	}
	if text, ok := want.(string); ok && n.Style&yaml.SingleQuotedStyle != 0 && !strings.ContainsAny(text, "'\\") && fresh[0] == '"' {
		fresh = "'" + strings.Trim(fresh, `"`) + "'" // as the author quotes
	}
	s.cuts = append(s.cuts, cut{n.Line, from, to, fresh})
	return true
}

// byteColumn turns a column, counted in runes from 1, into a byte offset.
func byteColumn(line string, column int) int {
	at := 0
	for i := range line {
		if at++; at == column {
			return i
		}
	}
	return len(line)
}

// tokenLength is how many bytes a scalar takes in its line, 0 if that is not
// plain to see.
func tokenLength(s string, n *yaml.Node) int {
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) != 0 || s == "" {
		return 0
	}
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
		if n.Value == "" || !strings.HasPrefix(s, n.Value) {
			return 0
		}
		return len(n.Value)
	}
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote == '"':
			i++
		case s[i] == quote && quote == '\'' && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return 0
}

// apply makes the changes from the end of the text to its beginning.
func (s *splicer) apply() string {
	slices.SortStableFunc(s.cuts, func(a, b cut) int {
		if a.line != b.line {
			return b.line - a.line
		}
		return b.from - a.from
	})
	for _, c := range s.cuts {
		line := s.lines[c.line-1]
		s.lines[c.line-1] = line[:c.from] + c.text + line[c.to:]
	}
	// Of two additions after one line, the inner block's comes first.
	for _, a := range s.adds {
		i := min(a.after, len(s.lines)) - 1
		line := s.lines[i]
		if !strings.HasSuffix(line, "\n") && line != "" {
			line += s.end
		}
		s.lines[i] = line + a.text
	}
	return strings.Join(s.lines, "")
}
