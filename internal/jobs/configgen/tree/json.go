package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Bounds of one value.
const (
	MaxDepth  = 64
	MaxValues = 200_000
)

// ErrTooBig says that a value is nested too deeply or has too many parts.
var ErrTooBig = fmt.Errorf("it is nested over %d deep or has over %d values", MaxDepth, MaxValues)

// SyntaxError is a fault of a text, with the byte it was found at.
type SyntaxError struct {
	Offset  int64
	Message string
}

// Error returns the message.
func (e *SyntaxError) Error() string { return e.Message }

// DecodeJSON reads one JSON value. A key that stands twice in one object is a
// fault, because readers differ in which one they take.
func DecodeJSON(raw []byte) (any, error) {
	if err := CheckDepth(raw); err != nil {
		return nil, err
	}
	var whole json.RawMessage
	if err := json.Unmarshal(raw, &whole); err != nil { // stricter than the token reader
		if s, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, &SyntaxError{s.Offset, strings.TrimPrefix(s.Error(), "json: ")}
		}
		return nil, err
	}
	d := &decoder{dec: json.NewDecoder(bytes.NewReader(raw))}
	d.dec.UseNumber()
	return d.value(0)
}

type decoder struct {
	dec   *json.Decoder
	count int
}

func (d *decoder) value(depth int) (any, error) {
	d.count++
	if depth > MaxDepth || d.count > MaxValues {
		return nil, ErrTooBig
	}
	t, err := d.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		n, err := number(string(t))
		if err != nil {
			return nil, &SyntaxError{d.dec.InputOffset(), err.Error()}
		}
		return n, nil
	case json.Delim:
		if t == '[' {
			return d.list(depth)
		}
		return d.object(depth)
	}
	return t, nil
}

func (d *decoder) list(depth int) (any, error) {
	out := []any{}
	for d.dec.More() {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := d.dec.Token()
	return out, err
}

func (d *decoder) object(depth int) (any, error) {
	out := New()
	for d.dec.More() {
		t, err := d.dec.Token()
		if err != nil {
			return nil, err
		}
		key, ok := t.(string)
		if !ok {
			return nil, io.ErrUnexpectedEOF
		}
		if _, twice := out.Get(key); twice {
			return nil, &SyntaxError{d.dec.InputOffset(), fmt.Sprintf("the key %q stands twice in one object", clip(key))}
		}
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out.Set(key, v)
	}
	_, err := d.dec.Token()
	return out, err
}

// CheckDepth refuses a JSON text (comments allowed) that is nested too deeply,
// before a recursive parser sees it.
func CheckDepth(raw []byte) error {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		case '/':
			i = skipComment(raw, i)
		case '[', '{':
			if depth++; depth > MaxDepth+1 {
				return ErrTooBig
			}
		case ']', '}':
			depth--
		}
	}
	return nil
}

// skipComment returns the last byte of the comment at i, or i if there is none.
func skipComment(raw []byte, i int) int {
	end := "\n"
	switch {
	case bytes.HasPrefix(raw[i:], []byte("//")):
	case bytes.HasPrefix(raw[i:], []byte("/*")):
		end = "*/"
	default:
		return i
	}
	n := bytes.Index(raw[i+2:], []byte(end))
	if n < 0 {
		return len(raw)
	}
	return i + 2 + n + len(end) - 1
}

// Number gives a number its one spelling: whole numbers in digits, others in
// the shortest form that reads back the same. A number that a 64-bit float
// cannot hold is a fault.
func Number(s string) (json.Number, error) { return number(s) }

func number(s string) (json.Number, error) {
	if len(s) > 400 {
		return "", fmt.Errorf("a number has over 400 digits")
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return json.Number(strconv.FormatInt(n, 10)), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return "", fmt.Errorf("the number %s is out of range", clip(s))
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return json.Number(strconv.FormatInt(int64(f), 10)), nil
	}
	out := strconv.FormatFloat(f, 'g', -1, 64)
	// YAML 1.1 takes 1e+20 for a string; with a point everybody agrees.
	if mantissa, exp, ok := strings.Cut(out, "e"); ok && !strings.Contains(mantissa, ".") {
		out = mantissa + ".0e" + exp
	}
	return json.Number(out), nil
}

// EncodeJSON writes a value as JSON, two spaces an indent, a line break at
// the end. Text for HTML is not escaped, U+2028 and U+2029 are: the output
// may stand in JavaScript.
func EncodeJSON(v any) string {
	var b strings.Builder
	writeJSON(&b, v, "\n", "  ")
	b.WriteByte('\n')
	return b.String()
}

// IndentJSON writes a value as JSON to stand behind an indent that is already
// written: every further line begins with newline (a line break and the outer
// indent) and one more indent a level. With both empty it is on one line.
func IndentJSON(v any, newline, indent string) string {
	var b strings.Builder
	writeJSON(&b, v, newline, indent)
	return b.String()
}

func compact(v any) string { return IndentJSON(v, "", "") }

func writeJSON(b *strings.Builder, v any, newline, indent string) {
	switch v := v.(type) {
	case []any:
		open, inner := "[", deeper(newline, indent)
		for _, e := range v {
			b.WriteString(open + inner)
			writeJSON(b, e, inner, indent)
			open = ","
		}
		closeJSON(b, len(v), "[]", newline)
	case *Object:
		open, colon, inner := "{", ": ", deeper(newline, indent)
		if newline == "" {
			colon = ":"
		}
		for _, m := range v.Members() {
			b.WriteString(open + inner + QuoteJSON(m.Key) + colon)
			writeJSON(b, m.Value, inner, indent)
			open = ","
		}
		closeJSON(b, v.Len(), "{}", newline)
	case string:
		b.WriteString(QuoteJSON(v))
	case json.Number:
		b.WriteString(string(v))
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case Special:
		b.WriteString(QuoteJSON(v.Text))
	default:
		b.WriteString("null")
	}
}

func deeper(newline, indent string) string {
	if newline == "" {
		return ""
	}
	return newline + indent
}

func closeJSON(b *strings.Builder, n int, brackets, newline string) {
	if n == 0 {
		b.WriteString(brackets)
		return
	}
	b.WriteString(newline + brackets[1:])
}

// QuoteJSON writes a string as a JSON literal.
func QuoteJSON(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string always encodes
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func clip(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:60], "") + "…"
}
