package syntax

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

// encodeYAML writes block style, two spaces an indent.
func encodeYAML(data any, notes map[string]string) (string, error) {
	body, err := dumpYAML(yamlNode(data, "", notes), 2)
	if err != nil {
		return "", err
	}
	return comment(notes[""]) + body, nil
}

func dumpYAML(node *yaml.Node, indent int) (string, error) {
	var b bytes.Buffer
	d, err := yaml.NewDumper(&b, yaml.WithV4Defaults(), yaml.WithIndent(indent), yaml.WithCompactSeqIndent(false),
		yaml.WithLineWidth(-1), yaml.WithUnicode(true))
	if err != nil {
		return "", fmt.Errorf("write YAML: %w", err)
	}
	if err := d.Dump(node); err != nil {
		return "", fmt.Errorf("write YAML: %w", err)
	}
	if err := d.Close(); err != nil {
		return "", fmt.Errorf("write YAML: %w", err)
	}
	return b.String(), nil
}

func yamlNode(v any, at string, notes map[string]string) *yaml.Node {
	switch v := v.(type) {
	case *tree.Object:
		n := &yaml.Node{Kind: yaml.MappingNode}
		if v.Len() == 0 {
			n.Style = yaml.FlowStyle
		}
		for _, m := range v.Members() {
			below := at + "/" + m.Key
			key := yamlString(m.Key)
			key.HeadComment = strings.TrimSuffix(comment(notes[below]), "\n")
			n.Content = append(n.Content, key, yamlNode(m.Value, below, notes))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		if len(v) == 0 {
			n.Style = yaml.FlowStyle
		}
		for i, e := range v {
			n.Content = append(n.Content, yamlNode(e, at+"/"+strconv.Itoa(i), notes))
		}
		return n
	case string:
		return yamlString(v)
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: string(v)}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatBool(v)}
	case tree.Special:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.Text}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: "null"}
}

var (
	// plainYAML is what may stand without quotes: it begins with a letter (or a
	// path's . or /), and holds nothing that any reader treats as a sign.
	plainYAML = regexp.MustCompile(`^(?:[A-Za-z_]|\.{0,2}/)[A-Za-z0-9_./@+=-]*(?:[ :][A-Za-z0-9_./@+=-]+)*$`)
	// unitYAML are durations and sizes, as 15s or 512M: no reader takes them for
	// numbers, and people do not quote them.
	unitYAML = regexp.MustCompile(`^[0-9]+(?:ms|us|[smhdw]|[KMG]|[KMG]B|%)$`)
	// wordYAML are the words that YAML 1.1 or 1.2 reads as something else.
	wordYAML = regexp.MustCompile(`(?i)^(?:y|yes|n|no|true|false|on|off|null|nan|inf)$`)
	// blockYAML are the texts that keep their form in a | block.
	blockYAML = regexp.MustCompile(`^[^\s][ -~\n]*$`)
)

// yamlString quotes a string unless every reader takes it for a string.
func yamlString(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
	switch {
	case unitYAML.MatchString(s), len(s) <= 200 && plainYAML.MatchString(s) && !wordYAML.MatchString(s):
		n.Style = 0
	case strings.Contains(s, "\n") && blockYAML.MatchString(s) && !strings.Contains(s, " \n"):
		n.Style = yaml.LiteralStyle
	}
	return n
}

func decodeYAML(text string) (any, error) {
	_, data, err := parseYAML(text)
	return data, err
}

// parseYAML reads one document; an empty one is an empty object.
func parseYAML(text string) (*yaml.Node, any, error) {
	if err := yamlDepth(text); err != nil {
		return nil, nil, &ParseError{Message: err.Error()}
	}
	loader, err := yaml.NewLoader(strings.NewReader(text), yaml.WithV4Defaults())
	if err != nil {
		return nil, nil, fmt.Errorf("read YAML: %w", err)
	}
	var doc, more yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) {
		return nil, tree.New(), nil
	} else if err != nil {
		return nil, nil, yamlFault(err)
	}
	if err := loader.Load(&more); err == nil {
		return nil, nil, &ParseError{more.Line, "must be one document"}
	} else if !errors.Is(err, io.EOF) {
		return nil, nil, yamlFault(err)
	}
	r := yamlReader{}
	data, err := r.value(&doc, 0)
	if data == nil && err == nil {
		data = tree.New()
	}
	return &doc, data, err
}

// yamlDepth refuses deep nesting before the parser recurses.
func yamlDepth(text string) error {
	depth := 0
	for _, c := range text {
		switch c {
		case '[', '{':
			if depth++; depth > 1000 {
				return tree.ErrTooBig
			}
		case ']', '}', '\n':
			depth = max(0, depth-1)
		}
	}
	return nil
}

func yamlFault(err error) error {
	if bad, ok := errors.AsType[*yaml.LoadError](err); ok {
		return &ParseError{bad.Mark.Line, bad.Message}
	}
	return &ParseError{Message: err.Error()}
}

type yamlReader struct{ count int }

func (r *yamlReader) value(n *yaml.Node, depth int) (any, error) {
	if r.count++; depth > tree.MaxDepth || r.count > tree.MaxValues {
		return nil, &ParseError{n.Line, tree.ErrTooBig.Error()}
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil, nil
		}
		return r.value(n.Content[0], depth)
	case yaml.AliasNode:
		return r.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			var err error
			if out[i], err = r.value(c, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case yaml.MappingNode:
		return r.mapping(n, depth)
	}
	return yamlScalar(n), nil
}

// mapping reads a mapping. A merge key (<<) stays a key like any other: it is
// the author's way of writing, and is kept as it is.
func (r *yamlReader) mapping(n *yaml.Node, depth int) (any, error) {
	out := tree.New()
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return nil, &ParseError{key.Line, "a key must be a plain value"}
		}
		if _, twice := out.Get(key.Value); twice {
			return nil, &ParseError{key.Line, fmt.Sprintf("the key %.60q stands twice in one mapping", key.Value)}
		}
		v, err := r.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		out.Set(key.Value, v)
	}
	return out, nil
}

func yamlScalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		text := strings.ReplaceAll(n.Value, "_", "")
		if i, err := strconv.ParseInt(text, 0, 64); err == nil {
			return json.Number(strconv.FormatInt(i, 10))
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			if num, err := tree.Number(text); err == nil {
				return num
			}
		}
		return tree.Special{Tag: n.ShortTag(), Text: n.Value}
	case "!!str":
		return n.Value
	}
	return tree.Special{Tag: n.ShortTag(), Text: n.Value}
}
