package schema

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

// maxFaults bounds the faults of one check.
const maxFaults = 20

// Fault is one broken rule.
type Fault struct {
	// Place leads to the value: keys, and the numbers of list elements.
	Place []string
	// Field is Place as a caller writes it, as services.web.ports[0].
	Field string
	// Message says the rule. It never quotes the value, which may be secret.
	Message string
}

// Pointer is the place as a JSON pointer.
func (f Fault) Pointer() string { return Pointer(f.Place...) }

// Pointer makes a JSON pointer of keys and element numbers.
func Pointer(place ...string) string {
	var b strings.Builder
	for _, p := range place {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(p))
	}
	return b.String()
}

// explain lists the leaves of a validation error.
func (s *Schema) explain(value any, root *jsonschema.ValidationError) []Fault {
	var out []Fault
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 || isChoice(e) {
			out = append(out, s.leaf(e)...)
			return
		}
		for _, c := range e.Causes {
			walk(c)
		}
	}
	walk(root)
	for i := range out {
		out[i].Field = field(value, out[i].Place)
	}
	slices.SortFunc(out, func(a, b Fault) int {
		if c := slices.Compare(a.Place, b.Place); c != 0 {
			return c
		}
		return strings.Compare(a.Message, b.Message)
	})
	out = slices.CompactFunc(out, func(a, b Fault) bool { return a.Field == b.Field && a.Message == b.Message })
	return out[:min(len(out), maxFaults)]
}

func isChoice(e *jsonschema.ValidationError) bool {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not:
		return true
	}
	return false
}

// leaf turns one error into faults: an error that names several keys becomes
// one for each.
func (s *Schema) leaf(e *jsonschema.ValidationError) []Fault {
	at := e.InstanceLocation
	below := func(keys []string, message string) []Fault {
		var out []Fault
		for _, k := range slices.Sorted(slices.Values(keys))[:min(len(keys), maxFaults)] {
			out = append(out, Fault{Place: append(slices.Clone(at), k), Message: message})
		}
		return out
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		return below(k.Missing, "must be set")
	case *kind.AdditionalProperties:
		return below(k.Properties, s.nameRule(e.SchemaURL))
	case *kind.DependentRequired:
		return below(k.Missing, fmt.Sprintf("must be set when %s is", k.Prop))
	}
	return []Fault{{Place: at, Message: s.message(e)}}
}

// message says the rule of an error that is about one value.
func (s *Schema) message(e *jsonschema.ValidationError) string {
	if rule := s.rule(e.SchemaURL); rule != "" && usesRule(e) {
		return rule
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return fmt.Sprintf("must be %s, got %s", words(k.Want), word(k.Got))
	case *kind.Enum:
		return "must be one of " + list(k.Want)
	case *kind.Const:
		return "must be " + list([]any{k.Want})
	case *kind.Pattern:
		return "must match " + k.Want
	case *kind.MinLength:
		if k.Want == 1 {
			return "must not be empty"
		}
		return fmt.Sprintf("must not be under %d characters, got %d", k.Want, k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("must not be over %d characters, got %d", k.Want, k.Got)
	case *kind.MinItems:
		return fmt.Sprintf("must not have under %d elements, got %d", k.Want, k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("must not have over %d elements, got %d", k.Want, k.Got)
	case *kind.MinProperties:
		return fmt.Sprintf("must not have under %d keys, got %d", k.Want, k.Got)
	case *kind.MaxProperties:
		return fmt.Sprintf("must not have over %d keys, got %d", k.Want, k.Got)
	case *kind.UniqueItems:
		return fmt.Sprintf("must not hold the same element twice, elements %d and %d are equal", k.Duplicates[0], k.Duplicates[1])
	case *kind.Minimum:
		return "must not be under " + k.Want.RatString()
	case *kind.Maximum:
		return "must not be over " + k.Want.RatString()
	}
	return "breaks the rule " + strings.Join(e.ErrorKind.KeywordPath(), "/")
}

func usesRule(e *jsonschema.ValidationError) bool {
	_, pattern := e.ErrorKind.(*kind.Pattern)
	return pattern || isChoice(e)
}

// rule is what the author of the schema says about a pattern or a choice in
// "x-rule".
func (s *Schema) rule(url string) string {
	v, _ := s.at(url).Get("x-rule")
	rule, _ := v.(string)
	return rule
}

// nameRule says which keys an object may have. Where any name of a form will
// do, the schema has patternProperties and says the form in "x-names";
// propertyNames is not used, because the validator (v6.0.3) reports its faults
// at a place that later checks overwrite.
func (s *Schema) nameRule(url string) string {
	rule := s.at(url)
	if form, ok := rule.Get("x-names"); ok {
		return fmt.Sprintf("has a name that is not allowed: it %v", form)
	}
	var keys []string
	for _, m := range rule.Object("properties").Members() {
		keys = append(keys, m.Key)
	}
	return "is not known here; known are " + strings.Join(keys, ", ")
}

// at finds the part of the schema that a location names.
func (s *Schema) at(url string) *tree.Object {
	_, pointer, _ := strings.Cut(url, "#")
	here := s.source
	for key := range strings.SplitSeq(pointer, "/") {
		if key == "" {
			continue
		}
		here = here.Object(strings.NewReplacer("~1", "/", "~0", "~").Replace(key))
	}
	return here
}

var plainKey = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$-]*$`)

// field writes a place as a caller would: services.web.ports[0].
func field(value any, place []string) string {
	var b strings.Builder
	for _, p := range place {
		if elements, ok := value.([]any); ok {
			fmt.Fprintf(&b, "[%s]", p)
			i, err := strconv.Atoi(p)
			if value = nil; err == nil && i < len(elements) {
				value = elements[i]
			}
			continue
		}
		b.WriteString(Key(p))
		object, _ := value.(*tree.Object)
		value, _ = object.Get(p)
	}
	return strings.TrimPrefix(b.String(), ".")
}

// Key writes one key of a field's path, with the dot before it; odd ones in
// quotes.
func Key(key string) string {
	if len(key) > 60 {
		key = strings.ToValidUTF8(key[:60], "") + "…"
	}
	if plainKey.MatchString(key) {
		return "." + key
	}
	return "[" + strconv.Quote(key) + "]"
}

func list(values []any) string {
	parts := make([]string, len(values))
	for i, v := range values {
		raw, err := json.Marshal(v)
		if err != nil {
			raw = []byte("?")
		}
		parts[i] = strings.Trim(string(raw), `"`)
	}
	return strings.Join(parts, ", ")
}

func words(types []string) string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = word(t)
	}
	return strings.Join(out, " or ")
}

func word(t string) string {
	switch t {
	case "object", "array":
		return "an " + t
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "null":
		return "null"
	}
	return "a " + t
}
