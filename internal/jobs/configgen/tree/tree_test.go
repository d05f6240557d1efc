package tree

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestNumber(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]json.Number{
		"1": "1", "-0": "0", "1.0": "1", "1e3": "1000", "0.5": "0.5", "1e20": "1.0e+20", "1e-7": "1.0e-07", "1.5e300": "1.5e+300",
		"9223372036854775807": "9223372036854775807", "-12": "-12",
	} {
		if got, err := Number(in); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
		if again, err := Number(string(want)); err != nil || again != want {
			t.Errorf("%s is not stable: got %s, %v", want, again, err)
		}
	}
	for _, in := range []string{"1e999", "nan", "inf", "", strings.Repeat("9", 500)} {
		if got, err := Number(in); err == nil {
			t.Errorf("%q: got %s, want an error", in, got)
		}
	}
}

func TestDecodeJSON_refuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"a key twice":   `{"a":1,"a":2}`,
		"more behind":   `{} {}`,
		"deep nesting":  strings.Repeat("[", MaxDepth+2) + strings.Repeat("]", MaxDepth+2),
		"many values":   "[" + strings.Repeat("1,", MaxValues) + "1]",
		"a comma":       `[1,]`,
		"a bare string": `abc`,
		"nothing":       ``,
	} {
		if got, err := DecodeJSON([]byte(in)); err == nil {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
}

func TestObject_keeps_order(t *testing.T) {
	t.Parallel()
	o := New().Set("b", 1).Set("a", []string{"x"}).Put("none", "").Set("c", New()).Set("b", 2)
	o.Delete("c")
	o.Set("d", nil)
	if got, want := IndentJSON(o, "", ""), `{"b":2,"a":["x"],"d":null}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if v, ok := o.Get("d"); !ok || v != nil {
		t.Errorf("got %v, %t for d", v, ok)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,-3e7,"x\u2028",null,true,{}],"b":{}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := DecodeJSON(raw)
		if err != nil {
			return
		}
		for _, text := range []string{EncodeJSON(v), IndentJSON(v, "", "")} {
			again, err := DecodeJSON([]byte(text))
			if err != nil || !Equal(v, again) {
				t.Fatalf("%q does not read back: %v", text, err)
			}
		}
		if c := Clone(v); !Equal(v, c) {
			t.Fatal("a clone differs")
		}
	})
}
