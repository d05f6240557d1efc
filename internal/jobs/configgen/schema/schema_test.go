package schema

import (
	"strings"
	"testing"
	"time"

	"github.com/dlclark/regexp2"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

func compile(t *testing.T, raw string) *Schema {
	t.Helper()
	s, err := Compile("test", []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func decode(t *testing.T, raw string) any {
	t.Helper()
	v, err := tree.DecodeJSON([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSchema_Check_messages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ schema, value, want string }{
		{`{"type":["string","integer"]}`, `true`, ": must be a whole number or a string, got true or false"},
		{`{"properties":{"a":{"enum":["x",1,null]}}}`, `{"a":2}`, "a: must be one of x, 1, null"},
		{`{"properties":{"a":{"const":"x"}}}`, `{"a":2}`, "a: must be x"},
		{`{"items":{"minLength":1}}`, `["x",""]`, "[1]: must not be empty"},
		{`{"items":{"maxLength":1}}`, `["xx"]`, "[0]: must not be over 1 characters, got 2"},
		{`{"properties":{"a":{"pattern":"^x$","x-rule":"must be x alone"}}}`, `{"a":"secret-value"}`, "a: must be x alone"},
		{`{"pattern":"^x$"}`, `"x\n"`, ": must match ^x$"},
		{`{"required":["b","a"]}`, `{}`, "a: must be set; b: must be set"},
		{`{"properties":{"a":{}},"additionalProperties":false}`, `{"a b":1,"c":2}`, `["a b"]: is not known here; known are a; c: is not known here; known are a`},
		{`{"maxItems":1,"uniqueItems":true}`, `[1,1]`, ": must not have over 1 elements, got 2; : must not hold the same element twice, elements 0 and 1 are equal"},
		{`{"minimum":1.5}`, `1`, ": must not be under 3/2"},
		{`{"oneOf":[{"required":["a"]},{"required":["b"]}],"x-rule":"must have a or b"}`, `{}`, ": must have a or b"},
		{`{"properties":{"a/b":{"properties":{"c":{"type":"string"}}}}}`, `{"a/b":{"c":1}}`, `["a/b"].c: must be a string, got a number`},
	} {
		var got []string
		for _, f := range compile(t, c.schema).Check(decode(t, c.value)) {
			got = append(got, f.Field+": "+f.Message)
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s on %s:\ngot  %s\nwant %s", c.schema, c.value, strings.Join(got, "; "), c.want)
		}
	}
}

func TestFault_Pointer(t *testing.T) {
	t.Parallel()
	faults := compile(t, `{"additionalProperties":{"type":"string"}}`).Check(decode(t, `{"a/b~":1}`))
	if len(faults) != 1 || faults[0].Pointer() != "/a~1b~0" {
		t.Errorf("got %+v", faults)
	}
}

func TestSchema_Fill(t *testing.T) {
	t.Parallel()
	s := compile(t, `{
		"properties": {
			"a": {"default": 1},
			"b": {"type": "object", "default": {}, "properties": {"c": {"default": [1]}}},
			"d": {"additionalProperties": {"$ref": "#/$defs/x"}},
			"e": {"items": {"$ref": "#/$defs/x"}},
			"f": {"patternProperties": {"^y": {"$ref": "#/$defs/x"}}, "additionalProperties": false},
			"g": {"$ref": "#/$defs/x", "default": {"x": 2}},
			"loop": {"$ref": "#/properties/loop"}
		},
		"$defs": {"x": {"type": "object", "properties": {"x": {"default": "y"}}}}
	}`)
	v := decode(t, `{"d":{"k":{}},"e":[{},{"x":"z"}],"f":{"y":{}},"loop":{}}`)
	s.Fill(v)
	want := decode(t, `{"a":1,"b":{"c":[1]},"d":{"k":{"x":"y"}},"e":[{"x":"y"},{"x":"z"}],"f":{"y":{"x":"y"}},"g":{"x":2},"loop":{}}`)
	if !tree.Equal(v, want) {
		t.Errorf("got %s", tree.EncodeJSON(v))
	}
}

func TestCompile_fetches_nothing(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"http://127.0.0.1:1/x.json", "file:///etc/passwd", "other.json"} {
		if _, err := Compile("test", []byte(`{"$ref":"`+ref+`"}`)); err == nil || !strings.Contains(err.Error(), "none is fetched") {
			t.Errorf("%s: got %v", ref, err)
		}
	}
}

func TestSchema_Check_bounds_a_match(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"pattern":"^(?!b)(a+)+$"}`)
	timer := time.AfterFunc(60*time.Second, func() { panic("the match does not end") })
	defer timer.Stop()
	if faults := s.Check(strings.Repeat("a", 60) + "!"); len(faults) != 1 {
		t.Errorf("got %v", faults)
	}
}

// Both engines give the same answer wherever Go's is taken.
func TestCompileRegexp_engines_agree(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		`^[a-z]+$`, `^[^\x00-\x1f\x7f]*$`, `^(?:a|b){1,3}$`, `^\d+$|^\w$`, `a`, `^[A-Za-z_][A-Za-z0-9_]{0,199}$`, `^$`, `[\-.]`, `^\$`,
	} {
		if !linear(pattern) {
			t.Errorf("%s is not taken for linear", pattern)
		}
		own, err := compileRegexp(pattern)
		if err != nil {
			t.Fatal(err)
		}
		other := ecma{regexp2.MustCompile(pattern, regexp2.ECMAScript|regexp2.Unicode)}
		for _, s := range []string{"", "a", "ab", "ab\n", "\n", "é", "1", "١", "_", "-", ".", "$", "a\u2028", "\x00", "\u00a0", "abba"} {
			if got, want := own.MatchString(s), other.MatchString(s); got != want {
				t.Errorf("%s on %q: got %t, want %t", pattern, s, got, want)
			}
		}
	}
	for _, pattern := range []string{`^(?!a)`, `a.b`, `\s`, `\bx`, `(a)\1`, `\u0041`} {
		if linear(pattern) {
			t.Errorf("%s is taken for linear", pattern)
		}
	}
}

func FuzzCheck(f *testing.F) {
	s, err := Compile("test", []byte(`{"type":"object","properties":{"a":{"type":["string","array"],"items":{"type":"integer"}},"b":{"$ref":"#"}},"additionalProperties":false}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"a":[1,"x"],"b":{"c":1,"b":{"a":2}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := tree.DecodeJSON(raw)
		if err != nil {
			return
		}
		for _, fault := range s.Check(v) {
			if fault.Message == "" {
				t.Errorf("an empty message at %s", fault.Field)
			}
		}
		s.Fill(v)
	})
}
