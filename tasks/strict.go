package tasks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// checkText refuses bytes that are not UTF-8: the decoder would put a
// replacement in their place, and nobody would hear of it.
func checkText(raw []byte) error {
	if utf8.Valid(raw) {
		return nil
	}
	at := 0
	for {
		r, n := utf8.DecodeRune(raw[at:])
		if r == utf8.RuneError && n == 1 {
			return Invalid("", fmt.Sprintf("must be UTF-8, found something else at byte %d", at+1))
		}
		at += n
	}
}

// checkNames refuses an object that has a name twice: the decoder would take
// the last one and drop the others. Raw must be valid JSON.
func checkNames(raw []byte) error {
	if path, found := (&names{raw: raw}).value(); found {
		return Invalid(path, "is given twice")
	}
	return nil
}

// names walks through valid JSON and looks for names that an object has twice.
// Each of its methods returns the path to the first one below its value.
type names struct {
	raw []byte
	at  int
}

func (n *names) value() (path string, found bool) {
	switch n.next() {
	case '{':
		return n.object()
	case '[':
		return n.array()
	case '"':
		n.text()
	default:
		for n.at < len(n.raw) && bytes.IndexByte([]byte(",]} \t\r\n"), n.raw[n.at]) < 0 {
			n.at++
		}
	}
	return "", false
}

// next skips what stands between two tokens and returns the byte after it.
func (n *names) next() byte {
	for n.at < len(n.raw) {
		switch c := n.raw[n.at]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			n.at++
		default:
			return c
		}
	}
	return 0
}

// few is how many names are compared one by one before a map is made.
const few = 16

func (n *names) object() (string, bool) {
	n.at++
	var seen [][]byte
	var many map[string]bool
	for n.next() == '"' {
		name := n.text()
		twice := many[string(name)]
		for i := 0; i < len(seen) && many == nil; i++ {
			twice = twice || bytes.Equal(seen[i], name)
		}
		if twice {
			return string(name), true
		}
		switch seen = append(seen, name); {
		case many != nil:
			many[string(name)] = true
		case len(seen) == few:
			many = make(map[string]bool, 2*few)
			for _, s := range seen {
				many[string(s)] = true
			}
		}
		if path, found := n.value(); found {
			return join(string(name), path), true
		}
	}
	n.at++
	return "", false
}

func (n *names) array() (string, bool) {
	n.at++
	for i := 0; ; i++ {
		if c := n.next(); c == ']' || c == 0 {
			n.at++
			return "", false
		}
		if path, found := n.value(); found {
			return join(fmt.Sprintf("[%d]", i), path), true
		}
	}
}

// text steps over a string and returns what stands in it, its escapes undone.
func (n *names) text() []byte {
	begin := n.at
	escaped := false
	for n.at++; n.at < len(n.raw) && n.raw[n.at] != '"'; n.at++ {
		if n.raw[n.at] == '\\' {
			n.at++
			escaped = true
		}
	}
	n.at++
	quoted := n.raw[begin:min(n.at, len(n.raw))]
	if escaped {
		var s string
		if json.Unmarshal(quoted, &s) == nil {
			return []byte(s)
		}
	}
	return bytes.Trim(quoted, `"`)
}

func join(parent, path string) string {
	if path == "" || path[0] == '[' {
		return parent + path
	}
	return parent + "." + path
}
