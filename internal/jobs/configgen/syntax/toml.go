package syntax

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

// encodeTOML writes a table; keys of one table are sorted, plain values
// before tables, as TOML wants it.
func encodeTOML(data any, notes map[string]string) (string, error) {
	plain, err := tomlValue(data, "")
	if err != nil {
		return "", err
	}
	if _, ok := plain.(map[string]any); !ok {
		return "", errors.New("a TOML file must be an object")
	}
	out, err := toml.Marshal(plain)
	if err != nil {
		return "", fmt.Errorf("write TOML: %w", err)
	}
	return comment(notes[""]) + string(out), nil
}

func tomlValue(v any, at string) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, fmt.Errorf("TOML has no null, which stands at %s", at)
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n, nil
		}
		return v.Float64()
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = tomlValue(v[i], fmt.Sprintf("%s/%d", at, i)); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *tree.Object:
		out := map[string]any{}
		for _, m := range v.Members() {
			var err error
			if out[m.Key], err = tomlValue(m.Value, at+"/"+m.Key); err != nil {
				return nil, err
			}
		}
		return out, nil
	case tree.Special:
		return v.Text, nil
	}
	return v, nil
}

func decodeTOML(text string) (any, error) {
	if err := tree.CheckDepth([]byte(text)); err != nil {
		return nil, &ParseError{Message: err.Error()}
	}
	var plain map[string]any
	err := toml.Unmarshal([]byte(text), &plain)
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := bad.Position()
		return nil, &ParseError{line, strings.TrimPrefix(bad.Error(), "toml: ")}
	}
	if err != nil {
		return nil, &ParseError{Message: err.Error()}
	}
	count := 0
	return fromTOML(plain, 0, &count)
}

func fromTOML(v any, depth int, count *int) (any, error) {
	if *count++; depth > tree.MaxDepth || *count > tree.MaxValues {
		return nil, &ParseError{Message: tree.ErrTooBig.Error()}
	}
	switch v := v.(type) {
	case map[string]any:
		out := tree.New()
		for _, key := range sortedKeys(v) {
			inner, err := fromTOML(v[key], depth+1, count)
			if err != nil {
				return nil, err
			}
			out.Set(key, inner)
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = fromTOML(v[i], depth+1, count); err != nil {
				return nil, err
			}
		}
		return out, nil
	case int64, float64:
		if n, err := tree.Number(fmt.Sprint(v)); err == nil {
			return n, nil
		}
		return tree.Special{Tag: "float", Text: fmt.Sprint(v)}, nil // inf and nan
	case string, bool:
		return v, nil
	}
	return tree.Special{Tag: "time", Text: fmt.Sprint(v)}, nil
}

// editTOML writes the file anew: no library edits TOML in place.
func editTOML(text string, want any) (string, string, error) {
	have, err := decodeTOML(text)
	if err != nil {
		return "", "", err
	}
	if tree.Equal(have, want) {
		return text, "", nil
	}
	if hasSpecial(want) {
		return "", "", errors.New("a TOML file that holds dates, inf or nan cannot be edited")
	}
	out, err := encodeTOML(want, nil)
	return out, "the file was written anew: comments and the order of keys are lost", err
}

func hasSpecial(v any) bool {
	switch v := v.(type) {
	case tree.Special:
		return true
	case []any:
		return slices.ContainsFunc(v, hasSpecial)
	case *tree.Object:
		return slices.ContainsFunc(v.Members(), func(m tree.Member) bool { return hasSpecial(m.Value) })
	}
	return false
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// comment writes a text as # lines.
func comment(text string) string {
	if text == "" {
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight("# "+strings.TrimRight(line, "\r\n"), " ") + "\n")
	}
	return b.String()
}
