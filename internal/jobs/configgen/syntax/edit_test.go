package syntax

import (
	"testing"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

// Each edit leaves every byte alone that need not change.
func TestEdit_changes_little(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, format, text, data, want, remark string }{
		{"a value", "json", "{\n\t\"a\" : 1, // one\n\t/* b */ \"b\":[1,2]\n}", `{"a":2,"b":[1,2]}`, "{\n\t\"a\" : 2, // one\n\t/* b */ \"b\":[1,2]\n}", ""},
		{"nothing but order", "json", "{ \"b\": 1,\n \"a\": 2 }\n", `{"a":2,"b":1}`, "{ \"b\": 1,\n \"a\": 2 }\n", ""},
		{"a new key behind a comment", "json", "{\n    \"a\": 1 // one\n}\n", `{"a":1,"b":{"c":2}}`, "{\n    \"a\": 1, // one\n    \"b\": {\n        \"c\": 2\n    }\n}\n", ""},
		{"a new key after a trailing comma", "json", "{\n  \"a\": 1,\n  // end\n}\n", `{"a":1,"b":2}`, "{\n  \"a\": 1,\n  // end\n  \"b\": 2,\n}\n", ""},
		{"a new key in an empty object", "json", "{\n  \"a\": {}\n}\n", `{"a":{"b":1}}`, "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n", ""},
		{"a new key on one line", "json", "{\"a\": {\"b\": 1}}", `{"a":{"b":1,"c":[2]}}`, "{\"a\": {\"b\": 1, \"c\": [2]}}", ""},
		{"a new element on one line", "json", "{\"a\": [1, 2]}", `{"a":[1,2,3]}`, "{\"a\": [1, 2, 3]}", ""},
		{"a new element on its line", "json", "{\n  \"a\": [\n    1\n  ]\n}", `{"a":[1,2]}`, "{\n  \"a\": [\n    1,\n    2\n  ]\n}", ""},
		{"fewer elements", "json", "{\"a\": [1, 2, 3]}", `{"a":[1]}`, "{\"a\": [1]}", ""},
		{"a removed key", "json", "{\"a\": 1, \"b\": 2}", `{"a":1}`, "{\"a\": 1}", ""},
		{"CRLF and a BOM", "json", "\ufeff{\r\n  \"a\": 1\r\n}\r\n", `{"a":1,"b":2}`, "\ufeff{\r\n  \"a\": 1,\r\n  \"b\": 2\r\n}\r\n", ""},

		{"a plain value", "yaml", "a:   1   # one\n\n\nb: [x]\n", `{"a":2,"b":["x"]}`, "a:   2   # one\n\n\nb: [x]\n", ""},
		{"a single-quoted value", "yaml", "a: 'it''s'  # one\n", `{"a":"1e3"}`, "a: '1e3'  # one\n", ""},
		{"a double-quoted value", "yaml", "a: \"x\\\"y\"  # one\n", `{"a":"no"}`, "a: \"no\"  # one\n", ""},
		{"a value after wide letters", "yaml", "日本: {é: 1, b: 2}\n", `{"日本":{"é":1,"b":3}}`, "日本: {é: 1, b: 3}\n", ""},
		{"two values on one line", "yaml", "a: {b: 1, c: 2} # d\n", `{"a":{"b":10,"c":20}}`, "a: {b: 10, c: 20} # d\n", ""},
		{"a new key in a block", "yaml", "a:\n    b: 1 # x\n\n# end\nc: 2\n", `{"a":{"b":1,"d":{"e":[1]}},"c":2}`, "a:\n    b: 1 # x\n    d:\n      e:\n        - 1\n\n# end\nc: 2\n", ""},
		{"new keys in two blocks that end together", "yaml", "a:\n  b:\n    c: 1\n", `{"a":{"b":{"c":1,"d":2},"e":3},"f":4}`, "a:\n  b:\n    c: 1\n    d: 2\n  e: 3\nf: 4\n", ""},
		{"a new element", "yaml", "a:\n- x # one\n\nb: 1\n", `{"a":["x","y"],"b":1}`, "a:\n- x # one\n- \"y\"\n\nb: 1\n", ""},
		{"a new element of objects", "yaml", "a:\n  - k: 1\n    m: 2\nb: 1\n", `{"a":[{"k":1,"m":2},{"k":2}],"b":1}`, "a:\n  - k: 1\n    m: 2\n  - k: 2\nb: 1\n", ""},
		{"a new key after a block of text", "yaml", "a:\n  t: |\n    one\n    two\nb: 1\n", `{"a":{"t":"one\ntwo\n","u":1},"b":1}`, "a:\n  t: |\n    one\n    two\n  u: 1\nb: 1\n", ""},
		{"a new key at the end without a line break", "yaml", "a: 1", `{"a":1,"b":2}`, "a: 1\nb: 2\n", ""},
		{"CRLF", "yaml", "a: 1\r\nb: 2\r\n", `{"a":3,"b":2,"c":4}`, "a: 3\r\nb: 2\r\nc: 4\r\n", ""},
		{"an anchor that stays", "yaml", "x: &x\n  a: 1\ny:\n  <<: *x\n  b: 1\n", `{"x":{"a":1},"y":{"<<":{"a":1},"b":2}}`, "x: &x\n  a: 1\ny:\n  <<: *x\n  b: 2\n", ""},
		{"a comment alone", "yaml", "# only\n", `{"a":1}`, "# only\na: 1\n", ""},
		{"an empty file", "yaml", "", `{"a":1}`, "a: 1\n", ""},
		{"a removed key", "yaml", "# top\na: 1 # one\n\nb: 2\n", `{"b":2}`, "# top\nb: 2\n", reformatted},
		{"a scalar that becomes a block", "yaml", "a: 1 # one\nb: 2 # two\n", `{"a":{"c":1},"b":2}`, "# one\na:\n  c: 1\nb: 2 # two\n", reformatted},

		{"a dotenv value", "dotenv", "# c\nexport A='x y' \nB=1\n", `{"A":"z"}`, "# c\nA=z\nB=1\n", ""},
		{"a new dotenv value", "dotenv", "A=1", `{"B":"$x"}`, "A=1\nB='$x'\n", ""},
		{"a TOML value", "toml", "# c\na = 1\n", `{"a":2}`, "a = 2\n", "the file was written anew: comments and the order of keys are lost"},
		{"an unchanged TOML file", "toml", "# c\na   = 1\n", `{"a":1}`, "# c\na   = 1\n", ""},
	} {
		t.Run(c.format+" "+c.name, func(t *testing.T) {
			t.Parallel()
			data, err := tree.DecodeJSON([]byte(c.data))
			if err != nil {
				t.Fatal(err)
			}
			s, _ := Of(c.format)
			got, remark, err := s.Edit(c.text, data)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
			if remark != c.remark {
				t.Errorf("got remark %q, want %q", remark, c.remark)
			}
		})
	}
}

// A change that meets an anchor must not change the other places that use it.
func TestEdit_shared_anchor(t *testing.T) {
	t.Parallel()
	text := "a: &x {b: 1}\nc: *x\n"
	for _, want := range []string{`{"a":{"b":2},"c":{"b":1}}`, `{"a":{"b":1},"c":{"b":2}}`} {
		data, err := tree.DecodeJSON([]byte(want))
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := editYAML(text, data)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeYAML(got); err != nil || !tree.Equal(again, data) {
			t.Errorf("want %s, got %v\n%s", want, err, got)
		}
	}
}
