package schema

import (
	"strings"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

// Fill sets the schema's defaults in a valid value, in place, wherever a key
// with a default is absent. It follows properties, a single patternProperties,
// additionalProperties, items and references within the schema.
func (s *Schema) Fill(value any) { s.fill(value, s.source) }

func (s *Schema) fill(value any, rule *tree.Object) {
	rule = s.resolve(rule)
	switch v := value.(type) {
	case *tree.Object:
		known := rule.Object("properties")
		for _, m := range known.Members() {
			part, _ := m.Value.(*tree.Object)
			standard, has := s.resolve(part).Get("default")
			if own, ok := part.Get("default"); ok { // beside a $ref
				standard, has = own, true
			}
			if _, set := v.Get(m.Key); !set && has {
				v.Set(m.Key, tree.Clone(standard))
			}
		}
		for _, m := range v.Members() {
			part := known.Object(m.Key)
			if part == nil {
				part = anyName(rule)
			}
			s.fill(m.Value, part)
		}
	case []any:
		for _, element := range v {
			s.fill(element, rule.Object("items"))
		}
	}
}

// anyName is the schema of keys that are not named one by one.
func anyName(rule *tree.Object) *tree.Object {
	if patterns := rule.Object("patternProperties").Members(); len(patterns) == 1 {
		only, _ := patterns[0].Value.(*tree.Object)
		return only
	}
	return rule.Object("additionalProperties")
}

// resolve follows a reference to another part of the schema. The bound is for
// schemas that refer in a circle.
func (s *Schema) resolve(rule *tree.Object) *tree.Object {
	for range 8 {
		v, _ := rule.Get("$ref")
		ref, ok := v.(string)
		if !ok || !strings.HasPrefix(ref, "#/") {
			break
		}
		rule = s.at(ref)
	}
	return rule
}
