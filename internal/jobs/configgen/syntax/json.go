package syntax

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

func encodeJSON(data any, _ map[string]string) (string, error) { return tree.EncodeJSON(data), nil }

// decodeJSON reads JSON, with comments and trailing commas allowed.
func decodeJSON(text string) (any, error) {
	_, data, err := parseJSON(text)
	return data, err
}

func parseJSON(text string) (hujson.Value, any, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	if err := tree.CheckDepth([]byte(text)); err != nil {
		return hujson.Value{}, nil, &ParseError{Message: err.Error()}
	}
	parsed, err := hujson.Parse([]byte(text))
	if err != nil {
		return hujson.Value{}, nil, jsonFault(err)
	}
	plain := parsed.Clone()
	plain.Standardize()
	data, err := tree.DecodeJSON(plain.Pack()) // offsets stay the same
	if s, ok := errors.AsType[*tree.SyntaxError](err); ok {
		return hujson.Value{}, nil, &ParseError{lineAt(text, s.Offset), s.Message}
	}
	if err != nil {
		return hujson.Value{}, nil, &ParseError{Message: err.Error()}
	}
	return parsed, data, nil
}

var hujsonPlace = regexp.MustCompile(`^hujson: line (\d+), column \d+: (?s:(.*))$`)

// jsonFault takes the line out of hujson's message.
func jsonFault(err error) error {
	m := hujsonPlace.FindStringSubmatch(err.Error())
	if m == nil {
		return &ParseError{Message: strings.TrimPrefix(err.Error(), "hujson: ")}
	}
	line, err := strconv.Atoi(m[1])
	if err != nil {
		line = 0
	}
	return &ParseError{line, m[2]}
}

func editJSON(text string, want any) (string, string, error) {
	parsed, have, err := parseJSON(text)
	if err != nil {
		return "", "", err
	}
	if tree.Equal(have, want) {
		return text, "", nil
	}
	e := jsonEditor{end: newline(text), indent: indentOf(text)}
	e.patch(&parsed, have, want, "")
	bom := ""
	if strings.HasPrefix(text, "\ufeff") {
		bom = "\ufeff"
	}
	return bom + string(parsed.Pack()), "", nil
}

var firstIndent = regexp.MustCompile(`(?m)^([ \t]+)"`)

// indentOf is the indent of a text's first inner line.
func indentOf(text string) string {
	if m := firstIndent.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return "  "
}

type jsonEditor struct{ end, indent string }

// patch changes a parsed value so that it holds want. Outer is the indent of
// the line it begins on.
func (e jsonEditor) patch(v *hujson.Value, have, want any, outer string) {
	if tree.Equal(have, want) {
		return
	}
	switch inner := v.Value.(type) {
	case *hujson.Object:
		if want, ok := want.(*tree.Object); ok {
			e.patchObject(inner, have.(*tree.Object), want, outer)
			return
		}
	case *hujson.Array:
		if want, ok := want.([]any); ok {
			e.patchArray(inner, have.([]any), want, outer)
			return
		}
	}
	v.Value = e.fresh(want, outer)
}

// fresh parses a newly written value, indented to stand behind outer.
func (e jsonEditor) fresh(want any, outer string) hujson.ValueTrimmed {
	parsed, err := hujson.Parse([]byte(tree.IndentJSON(want, e.end+outer, e.indent)))
	if err != nil { // our own writer's JSON always parses
		panic(fmt.Sprintf("syntax: own JSON does not parse: %v", err))
	}
	return parsed.Value
}

// inline is a new value on the line it is added to.
func (jsonEditor) inline(want any) hujson.Value {
	return hujson.Value{BeforeExtra: hujson.Extra(" "), Value: jsonEditor{}.fresh(want, "")}
}

func (e jsonEditor) patchObject(o *hujson.Object, have, want *tree.Object, outer string) {
	seen := map[string]bool{}
	trailing := len(o.Members) > 0 && o.Members[len(o.Members)-1].Value.AfterExtra != nil
	o.Members = slices.DeleteFunc(o.Members, func(m hujson.ObjectMember) bool {
		key := m.Name.Value.(hujson.Literal).String()
		_, keep := want.Get(key)
		seen[key] = true
		return !keep
	})
	if n := len(o.Members); n > 0 && !trailing {
		o.Members[n-1].Value.AfterExtra = nil
	}
	inner := outer + e.indent
	for i := range o.Members {
		key := o.Members[i].Name.Value.(hujson.Literal).String()
		old, _ := have.Get(key)
		wanted, _ := want.Get(key)
		e.patch(&o.Members[i].Value, old, wanted, inner)
	}
	oneLine := len(o.Members) > 0 && !bytes.Contains(o.Members[0].Name.BeforeExtra, []byte("\n"))
	for _, m := range want.Members() {
		if seen[m.Key] {
			continue
		}
		name := hujson.Value{Value: hujson.String(m.Key)}
		if oneLine {
			name.BeforeExtra = hujson.Extra(" ")
			o.Members = append(o.Members, hujson.ObjectMember{Name: name, Value: e.inline(m.Value)})
			continue
		}
		value := hujson.Value{BeforeExtra: hujson.Extra(" "), Value: e.fresh(m.Value, inner)}
		n := len(o.Members)
		var last *hujson.Value
		if n > 0 {
			last = &o.Members[n-1].Value
		}
		name.BeforeExtra, value.AfterExtra = e.seam(last, &o.AfterExtra, inner, outer)
		o.Members = append(o.Members, hujson.ObjectMember{Name: name, Value: value})
	}
}

func (e jsonEditor) patchArray(a *hujson.Array, have, want []any, outer string) {
	inner := outer + e.indent
	trailing := len(a.Elements) > 0 && a.Elements[len(a.Elements)-1].AfterExtra != nil
	a.Elements = a.Elements[:min(len(a.Elements), len(want))]
	if n := len(a.Elements); n > 0 && !trailing {
		a.Elements[n-1].AfterExtra = nil // no comma where there was none
	}
	for i := range a.Elements {
		e.patch(&a.Elements[i], have[i], want[i], inner)
	}
	oneLine := len(a.Elements) > 0 && !bytes.Contains(a.Elements[len(a.Elements)-1].BeforeExtra, []byte("\n"))
	for _, w := range want[len(a.Elements):] {
		if oneLine {
			a.Elements = append(a.Elements, e.inline(w))
			continue
		}
		var last *hujson.Value
		if n := len(a.Elements); n > 0 {
			last = &a.Elements[n-1]
		}
		v := hujson.Value{Value: e.fresh(w, inner)}
		v.BeforeExtra, v.AfterExtra = e.seam(last, &a.AfterExtra, inner, outer)
		a.Elements = append(a.Elements, v)
	}
}

// seam prepares the end of an object or array for one more member: it returns
// the text before the new one and, if the last one had a trailing comma, the
// mark of one. A comment behind the last member stays behind it.
func (e jsonEditor) seam(last *hujson.Value, closing *hujson.Extra, inner, outer string) (before, after hujson.Extra) {
	if last != nil && last.AfterExtra != nil {
		after = hujson.Extra{}
	}
	lead := bytes.TrimRight(*closing, " \t\r\n")
	before = append(slices.Clone(lead), e.end+inner...)
	*closing = hujson.Extra(e.end + outer)
	return before, after
}
