package syntax

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	yaml3 "go.yaml.in/yaml/v3"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

// awkward are strings that some reader of YAML takes for something else, or
// that are hard to write.
var awkward = []string{
	"yes", "No", "ON", "y", "n", "true", "False", "null", "NULL", "~", "", " ", "1e3", "1E3", ".inf", "-.INF", ".nan", "0x10", "0o17", "017",
	"0b11", "1_000", "08:30", "12:30:45", "190:20:30", "2020-01-01", "2001-12-14t21:59:43.10-05:00", "1.0", "+1", "-1", ".5", "1.", "=", "<<", "!!str",
	"*a", "&a", "- a", "-", "--", "---", "...", "? a", ": a", "a:", "a: b", "a #b", "#a", "%a", "@a", "`a", "|", ">", "{a}", "[a]", "a, b", "'", "\"",
	"'a'", "\"a\"", " a", "a ", "\ta", "a\t", "a\nb", "a\n", "\na", "a\n\n", " a\nb", "a\n b\n", "a \nb", "a\r\nb", "a\rb", "\x00", "\x01\x1f", "\x7f", "\u0085",
	"\u00a0", "\u2028", "\u2029", "\ufeff", "\ufeffa", "\ufffd", "\U0001f600", "é", "日本", "\\", "a\\nb", "C:\\x", "$HOME", "${X}", "{{ x }}", "15s", "512M", "5%",
	"12e", "1e", "0x", "1s\n", "a\tb", "key: |\n  x", "trailing:", "-a", "a-", "/etc/x", "./x", "../x", "http://x/y", "x=y", "null\n", "é: ü",
}

func TestEncode_strings_stay_strings(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "yaml", "toml"} {
		s, _ := Of(format)
		for _, text := range awkward {
			data := tree.New().Set("value", text).Set("list", []string{text, text}).Set("in", tree.New().Set("k"+text, text))
			out, err := s.Encode(data, nil)
			if err != nil {
				t.Errorf("%s %q: %v", format, text, err)
				continue
			}
			if again, err := s.Decode(out); err != nil || !tree.Equal(data, again) {
				t.Errorf("%s %q does not read back (%v):\n%s", format, text, err, out)
			}
		}
	}
}

// The YAML that is out there is read by other libraries as well.
func TestEncode_yaml_for_another_reader(t *testing.T) {
	t.Parallel()
	for _, text := range awkward {
		out, err := encodeYAML(tree.New().Set("value", text).Set("k"+text, "x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := yaml3.Unmarshal([]byte(out), &got); err != nil || got["value"] != text || got["k"+text] != "x" {
			t.Errorf("%q: yaml/v3 reads %#v, %v from\n%s", text, got, err, out)
		}
	}
}

func TestEncode_dotenv(t *testing.T) {
	t.Parallel()
	for _, text := range awkward {
		if strings.ContainsRune(text, 0) {
			continue
		}
		data := tree.New().Set("A", text).Set("B", "next")
		out, err := encodeDotenv(data, nil)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeDotenv(out); err != nil || !tree.Equal(data, again) {
			t.Errorf("%q does not read back (%v):\n%s", text, err, out)
		}
	}
	for _, bad := range []*tree.Object{tree.New().Set("A", "x\x00"), tree.New().Set("A B", "x"), tree.New().Set("A", 1), tree.New().Set("A\nB", "x")} {
		if out, err := encodeDotenv(bad, nil); err == nil {
			t.Errorf("got %q, want an error", out)
		}
	}
}

func TestDecode_names_the_line(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format, text string
		line         int
	}{
		{"json", "{\n  \"a\": 1,\n  \"b\": x\n}", 3},
		{"json", "{\n\"a\": 1,\n\"a\": 2}", 3},
		{"jsonc", "{ // c\n /* d\n */ \"a\" 1}", 3},
		{"yaml", "a: 1\nb:\n\t- x\n", 3},
		{"yaml", "a: 1\nb: 2\na: 3\n", 3},
		{"yaml", "a: 1\n---\nb: 1\n", 2},
		{"toml", "a = 1\nb = \n", 2},
		{"dotenv", "A=1\nB 2\n", 2},
		{"dotenv", "A='x\nB=2\n", 1},
	} {
		s, _ := Of(c.format)
		_, err := s.Decode(c.text)
		var bad *ParseError
		if !errors.As(err, &bad) {
			t.Errorf("%s %q: got %v, want a ParseError", c.format, c.text, err)
			continue
		}
		if bad.Line < c.line-1 || bad.Line > c.line+1 {
			t.Errorf("%s %q: got line %d (%v), want %d", c.format, c.text, bad.Line, bad, c.line)
		}
	}
}

func TestEditLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, wanted, want string }{
		{"", "a\nb\n", "a\nb\n"},
		{"a", "# c\na\nb\n", "a\nb\n"},
		{"# mine\r\nb\r\n", "a\nb\n", "# mine\r\nb\r\na\r\n"},
	} {
		if got := EditLines(c.text, c.wanted); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func FuzzEdit(f *testing.F) {
	formats := []string{"json", "yaml", "toml", "dotenv"}
	f.Add(uint8(0), "{\"a\": 1, // c\n}", `{"a":2,"b":[1]}`)
	f.Add(uint8(1), "a: 'x' # c\nb:\n  - 1\n\nc: {d: e}\n", `{"a":"y","b":[1,2],"c":{"d":"f","g":null}}`)
	f.Add(uint8(1), "a: &x\n  b: 1\nc: *x\nd: |\n  t\n", `{"a":{"b":2},"c":{"b":1},"d":"u"}`)
	f.Add(uint8(2), "a = 1\n[b]\nc = 'x'\n", `{"a":2,"b":{"c":"y"}}`)
	f.Add(uint8(3), "A=1 # c\nexport B='x'\n", `{"A":"2","C":"y z"}`)
	f.Fuzz(func(t *testing.T, n uint8, text, wanted string) {
		format := formats[int(n)%len(formats)]
		s, _ := Of(format)
		want, err := tree.DecodeJSON([]byte(wanted))
		if err != nil {
			return
		}
		if _, ok := want.(*tree.Object); !ok {
			return
		}
		have, err := s.Decode(text)
		if err != nil {
			return
		}
		edited, _, err := s.Edit(text, want)
		if err != nil {
			return // TOML has no null, dotenv only strings
		}
		again, err := s.Decode(edited)
		if err != nil {
			t.Fatalf("%s: the edited text does not parse: %v\n%s\nwas:\n%s", format, err, edited, text)
		}
		if format == "dotenv" { // only adds and replaces
			for _, m := range want.(*tree.Object).Members() {
				if v, _ := again.(*tree.Object).Get(m.Key); v != m.Value {
					t.Fatalf("%s is %q, want %q in\n%s", m.Key, v, m.Value, edited)
				}
			}
			return
		}
		if !tree.Equal(again, want) {
			t.Fatalf("%s: the edited text holds other data:\n%s\nwas:\n%s\nwant %s, had %s", format, edited, text, wanted, tree.IndentJSON(have, "", ""))
		}
	})
}

// Random changes of random documents: the outcome must always hold the data.
func TestEdit_random(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		have, want := randomObject(rng, 3), randomObject(rng, 3)
		for _, format := range []string{"json", "yaml", "toml"} {
			s, _ := Of(format)
			text, err := s.Encode(have, map[string]string{"": "top"})
			if err != nil {
				t.Fatal(err)
			}
			edited, _, err := s.Edit(text, want)
			if err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			if again, err := s.Decode(edited); err != nil || !tree.Equal(again, want) {
				t.Fatalf("%s: edited to\n%s(%v)\nfrom\n%s\nwant %s", format, edited, err, text, tree.EncodeJSON(want))
			}
		}
	}
}

func randomObject(rng *rand.Rand, depth int) *tree.Object {
	o := tree.New()
	for range rng.IntN(5) {
		o.Set(string(rune('a'+rng.IntN(6))), randomValue(rng, depth))
	}
	return o
}

func randomValue(rng *rand.Rand, depth int) any {
	kind := rng.IntN(7)
	if depth == 0 {
		kind %= 4
	}
	switch kind {
	case 0:
		return rng.IntN(10)
	case 1:
		return rng.IntN(2) == 0
	case 2, 3:
		return awkward[rng.IntN(len(awkward))]
	case 4:
		var list []any
		for range rng.IntN(4) {
			list = append(list, tree.From(randomValue(rng, depth-1)))
		}
		if list == nil {
			list = []any{}
		}
		return list
	}
	return randomObject(rng, depth-1)
}

func TestDecode_numbers_are_one_spelling(t *testing.T) {
	t.Parallel()
	data, err := decodeYAML("a: 0x10\nb: 1e3\nc: 1_000\nd: .inf\ne: 2020-01-01\nf: '1'\n")
	if err != nil {
		t.Fatal(err)
	}
	o := data.(*tree.Object)
	for key, want := range map[string]any{"a": json.Number("16"), "b": json.Number("1000"), "d": tree.Special{Tag: "!!float", Text: ".inf"}, "f": "1"} {
		if got, _ := o.Get(key); got != want {
			t.Errorf("%s: got %#v, want %#v", key, got, want)
		}
	}
}
