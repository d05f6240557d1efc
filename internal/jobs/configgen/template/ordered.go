package template

import (
	"encoding/json"
	"fmt"

	"github.com/jobyard/jobyard/internal/jobs/configgen/schema"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

// Entry is one key of an Ordered and its value.
type Entry[V any] struct {
	Key   string
	Value V
}

// Ordered is a parameter object of any keys, in the caller's order.
type Ordered[V any] []Entry[V]

// UnmarshalJSON implements json.Unmarshaler.
func (o *Ordered[V]) UnmarshalJSON(raw []byte) error {
	data, err := tree.DecodeJSON(raw)
	if err != nil {
		return err
	}
	object, ok := data.(*tree.Object)
	if !ok {
		return fmt.Errorf("must be an object")
	}
	*o = nil
	for _, m := range object.Members() {
		var v V
		if err := json.Unmarshal([]byte(tree.IndentJSON(m.Value, "", "")), &v); err != nil {
			return err
		}
		*o = append(*o, Entry[V]{m.Key, v})
	}
	return nil
}

// Get finds the value of a key.
func (o Ordered[V]) Get(key string) (V, bool) {
	for _, e := range o {
		if e.Key == key {
			return e.Value, true
		}
	}
	var none V
	return none, false
}

// Field is the path of one entry below a parameter, as services.web.
func Field(parent string, keys ...string) string {
	for _, k := range keys {
		parent += schema.Key(k)
	}
	return parent
}

// Data is any JSON value of a parameter, with the order of its keys.
type Data struct{ Value any }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Data) UnmarshalJSON(raw []byte) (err error) {
	d.Value, err = tree.DecodeJSON(raw)
	return err
}

// Scalar is a string, number or boolean of a parameter, as text. Null is not
// set.
type Scalar struct {
	Text string
	Set  bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Scalar) UnmarshalJSON(raw []byte) error {
	data, err := tree.DecodeJSON(raw)
	if err != nil || data == nil {
		return err
	}
	s.Set = true
	if text, ok := data.(string); ok {
		s.Text = text
	} else {
		s.Text = fmt.Sprint(data)
	}
	return nil
}

// Words is a parameter that is one string or a list of strings.
type Words struct {
	List []string
	// One tells that it was a single string.
	One bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (w *Words) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*w = Words{[]string{one}, true}
		return nil
	}
	w.One = false
	return json.Unmarshal(raw, &w.List)
}

// Value is the string or the list, as it was given; nil if it was not.
func (w Words) Value() any {
	if w.One {
		return w.List[0]
	}
	if w.List == nil {
		return nil
	}
	return w.List
}
