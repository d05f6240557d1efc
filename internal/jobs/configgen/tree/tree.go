// Package tree holds the data of configuration files: JSON's values with the
// order of their keys.
//
// A value is nil, bool, string, json.Number, []any, *Object or Special. It
// promises that numbers have one spelling (so that equal numbers are equal
// strings), that nesting and size are bounded, and that the same text always
// gives the same value.
package tree

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Special is a scalar of another format that JSON has no word for, as YAML's
// .inf: it is kept and compared, never made.
type Special struct{ Tag, Text string }

// Member is one key of an object and its value.
type Member struct {
	Key   string
	Value any
}

// Object is a JSON object that remembers the order of its keys.
type Object struct {
	members []Member
	index   map[string]int
}

// New makes an empty object.
func New() *Object { return &Object{index: map[string]int{}} }

// Set puts a value under a key: a new key goes last, a known one keeps its
// place. It returns o, so that calls can be chained. Go's plain types are
// turned into values; any other type is a programmer's error and panics.
func (o *Object) Set(key string, value any) *Object {
	value = From(value)
	if i, ok := o.index[key]; ok {
		o.members[i].Value = value
		return o
	}
	o.index[key] = len(o.members)
	o.members = append(o.members, Member{key, value})
	return o
}

// Put is Set, unless the value is nil, empty, zero or false: what a
// configuration file leaves out.
func (o *Object) Put(key string, value any) *Object {
	if Empty(From(value)) {
		return o
	}
	return o.Set(key, value)
}

// Opt is Set, unless the value is nil: an explicit false or zero is written.
func (o *Object) Opt(key string, value any) *Object {
	if value = From(value); value == nil {
		return o
	}
	return o.Set(key, value)
}

// Get returns the value of a key and whether it is there.
func (o *Object) Get(key string) (any, bool) {
	if o == nil {
		return nil, false
	}
	i, ok := o.index[key]
	if !ok {
		return nil, false
	}
	return o.members[i].Value, true
}

// Object returns the object under a key, nil if there is none.
func (o *Object) Object(key string) *Object {
	v, _ := o.Get(key)
	inner, _ := v.(*Object)
	return inner
}

// Delete removes a key.
func (o *Object) Delete(key string) {
	i, ok := o.index[key]
	if !ok {
		return
	}
	o.members = slices.Delete(o.members, i, i+1)
	delete(o.index, key)
	for j := i; j < len(o.members); j++ {
		o.index[o.members[j].Key] = j
	}
}

// Members lists the keys and values in order. The slice is not to be changed.
func (o *Object) Members() []Member {
	if o == nil {
		return nil
	}
	return o.members
}

// Len counts the keys.
func (o *Object) Len() int { return len(o.Members()) }

// Sort orders the keys by name.
func (o *Object) Sort() *Object {
	slices.SortFunc(o.members, func(a, b Member) int { return strings.Compare(a.Key, b.Key) })
	for i, m := range o.members {
		o.index[m.Key] = i
	}
	return o
}

// MarshalJSON writes the object with its keys in order.
func (o *Object) MarshalJSON() ([]byte, error) { return []byte(compact(o)), nil }

// From turns Go's plain types into values.
func From(v any) any {
	switch v := v.(type) {
	case nil, bool, string, Special:
		return v
	case json.Number:
		return v
	case int:
		return json.Number(fmt.Sprint(v))
	case float64:
		n, err := number(fmt.Sprint(v))
		if err != nil {
			panic(err)
		}
		return n
	case *Object:
		if v == nil {
			return nil
		}
		return v
	case []any:
		return v
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = s
		}
		return out
	case []*Object:
		out := make([]any, len(v))
		for i, o := range v {
			out[i] = o
		}
		return out
	case *bool:
		if v == nil {
			return nil
		}
		return *v
	case *int:
		if v == nil {
			return nil
		}
		return From(*v)
	}
	panic(fmt.Sprintf("tree: %T is not a value", v))
}

// Empty reports whether a value is nil, empty, zero or false.
func Empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case json.Number:
		return v == "0"
	case []any:
		return len(v) == 0
	case *Object:
		return v.Len() == 0
	}
	return false
}

// Equal compares two values; the order of keys does not matter.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, Equal)
	case *Object:
		b, ok := b.(*Object)
		if !ok || a.Len() != b.Len() {
			return false
		}
		for _, m := range a.Members() {
			other, ok := b.Get(m.Key)
			if !ok || !Equal(m.Value, other) {
				return false
			}
		}
		return true
	}
	return a == b
}

// Clone copies a value deeply.
func Clone(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = Clone(v[i])
		}
		return out
	case *Object:
		out := New()
		for _, m := range v.Members() {
			out.Set(m.Key, Clone(m.Value))
		}
		return out
	}
	return v
}

// Plain turns a value into maps and slices, for libraries that want them.
func Plain(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = Plain(v[i])
		}
		return out
	case *Object:
		out := make(map[string]any, v.Len())
		for _, m := range v.Members() {
			out[m.Key] = Plain(m.Value)
		}
		return out
	case Special:
		return v.Text
	}
	return v
}
