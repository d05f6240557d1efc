package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// FieldError is one fault of an input: where it is and what must change.
type FieldError struct {
	// Path leads to the field, as "payload.source.url" or "payload.include[1]".
	Path string `json:"path"`
	// Message says the rule that was broken.
	Message string `json:"message"`
}

// InvalidError lists all faults found in an input.
type InvalidError struct{ Fields []FieldError }

// Error joins the faults, the path before each.
func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Path + ": " + f.Message
	}
	return strings.Join(parts, "; ")
}

// Invalid makes an InvalidError with one fault.
func Invalid(path, message string) error {
	return &InvalidError{Fields: []FieldError{{path, message}}}
}

// faults gathers the faults of one Validate.
type faults []FieldError

func (f *faults) add(path, format string, args ...any) {
	*f = append(*f, FieldError{path, fmt.Sprintf(format, args...)})
}

// check adds the fault unless ok.
func (f *faults) check(ok bool, path, format string, args ...any) {
	if !ok {
		f.add(path, format, args...)
	}
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &InvalidError{Fields: f}
}

// prefix puts a parent before every path of an *InvalidError.
func prefix(parent string, err error) error {
	in, ok := errors.AsType[*InvalidError](err)
	if !ok {
		return err
	}
	out := make([]FieldError, len(in.Fields))
	for i, f := range in.Fields {
		out[i] = FieldError{strings.TrimSuffix(parent+"."+f.Path, "."), f.Message}
	}
	return &InvalidError{Fields: out}
}

// decodeStrict decodes exactly one JSON value and names the field at fault.
func decodeStrict(raw []byte, into any) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return Invalid("", "must be a JSON object, got nothing")
	}
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return Invalid("", "must be a JSON object, got null")
	}
	if err := checkText(raw); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, extra := dec.Token(); extra != io.EOF {
			return Invalid("", fmt.Sprintf("must be one JSON value, found more at byte %d", dec.InputOffset()))
		}
		return checkNames(raw)
	}
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	var in *InvalidError
	switch {
	case errors.As(err, &in):
		return in
	case errors.As(err, &wrong) && wrong.Type == durationType:
		return Invalid(wrong.Field, fmt.Sprintf(`must be text with a unit as "30s" or "1.5m", got %s`, clip(wrong.Value, 40)))
	case errors.As(err, &wrong):
		return Invalid(wrong.Field, fmt.Sprintf("must be %s, got %s", jsonName(wrong.Type.Kind().String()), wrong.Value))
	case errors.As(err, &syntax):
		return Invalid("", fmt.Sprintf("is not valid JSON at byte %d: %v", syntax.Offset, syntax))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Invalid("", "is not valid JSON: it ends too early")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return Invalid(strings.Trim(name, `"`), "is not a field of this object")
	}
	return Invalid("", strings.TrimPrefix(err.Error(), "json: "))
}

// jsonName says a Go kind in JSON's words.
func jsonName(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "bool":
		return "true or false"
	case kind == "slice", kind == "array":
		return "an array"
	case kind == "map", kind == "struct":
		return "an object"
	}
	return "a string"
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
