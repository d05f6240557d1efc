package documentparse

import (
	"regexp"
	"strings"
)

// scanLimit bounds how far one tag or expression is followed.
const scanLimit = 64 << 10

// jsxTag is one tag of MDX.
type jsxTag struct {
	name    string // empty for a fragment
	closing bool
	alone   bool // <Name/>
	attrs   map[string]string
	end     int // just behind the >
}

var jsxName = regexp.MustCompile(`^[A-Za-z][\w.:-]*`)

// scanTag reads the tag at src[at], which is a <. Values that are no plain
// strings are skipped: nothing is evaluated.
func scanTag(src string, at int) (jsxTag, bool) {
	src = src[:min(len(src), at+scanLimit)]
	t := jsxTag{attrs: map[string]string{}}
	i := at + 1
	if strings.HasPrefix(src[i:], "/") {
		t.closing = true
		i++
	}
	t.name = jsxName.FindString(src[i:])
	i += len(t.name)
	if t.name == "" && !strings.HasPrefix(src[i:], ">") {
		return t, false
	}
	for {
		i += len(src[i:]) - len(strings.TrimLeft(src[i:], " \t\n"))
		switch {
		case i >= len(src):
			return t, false
		case src[i] == '>':
			t.end = i + 1
			return t, true
		case strings.HasPrefix(src[i:], "/>"):
			t.alone, t.end = true, i+2
			return t, true
		case src[i] == '{':
			end := matchBrace(src, i)
			if end < 0 {
				return t, false
			}
			i = end
		default:
			next, ok := scanAttr(src, i, t.attrs)
			if !ok {
				return t, false
			}
			i = next
		}
	}
}

var attrName = regexp.MustCompile(`^[A-Za-z_$@:][\w$@:.-]*`)

// scanAttr reads one attribute and keeps it if its value is a string.
func scanAttr(src string, i int, attrs map[string]string) (next int, ok bool) {
	name := attrName.FindString(src[i:])
	if name == "" {
		return 0, false
	}
	i += len(name)
	rest := strings.TrimLeft(src[i:], " \t\n")
	if !strings.HasPrefix(rest, "=") {
		attrs[name] = ""
		return i, true
	}
	rest = strings.TrimLeft(rest[1:], " \t\n")
	i = len(src) - len(rest)
	if rest == "" {
		return 0, false
	}
	switch quote := rest[0]; quote {
	case '"', '\'':
		n := strings.IndexByte(rest[1:], quote)
		if n < 0 {
			return 0, false
		}
		attrs[name] = rest[1 : n+1]
		return i + n + 2, true
	case '{':
		end := matchBrace(src, i)
		if end < 0 {
			return 0, false
		}
		if s, isString := stringLiteral(src[i+1 : end-1]); isString {
			attrs[name] = s
		}
		return end, true
	}
	return 0, false
}

// stringLiteral is the text of an expression that is nothing but a string.
func stringLiteral(expr string) (string, bool) {
	expr = strings.TrimSpace(expr)
	if len(expr) < 2 || strings.IndexByte("'\"`", expr[0]) < 0 || expr[len(expr)-1] != expr[0] {
		return "", false
	}
	inner := expr[1 : len(expr)-1]
	if strings.IndexByte(inner, expr[0]) >= 0 || expr[0] == '`' && strings.Contains(inner, "${") {
		return "", false
	}
	return strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\`, "").Replace(inner), true
}

// matchBrace returns the index behind the brace that closes the one at
// src[at], or -1. It knows strings, templates and comments.
func matchBrace(src string, at int) int {
	src = src[:min(len(src), at+scanLimit)]
	// Open braces and templates: '{' for code, '`' for a template's text.
	stack := []byte{}
	for i := at; i < len(src); i++ {
		c := src[i]
		if len(stack) > 0 && stack[len(stack)-1] == '`' {
			switch {
			case c == '\\':
				i++
			case c == '`':
				stack = stack[:len(stack)-1]
			case c == '$' && strings.HasPrefix(src[i:], "${"):
				stack = append(stack, '{')
				i++
			}
			continue
		}
		switch c {
		case '{', '`':
			stack = append(stack, c)
		case '}':
			if stack = stack[:len(stack)-1]; len(stack) == 0 {
				return i + 1
			}
		case '"', '\'':
			i = skipString(src, i)
		case '/':
			i = skipComment(src, i)
		}
	}
	return -1
}

// skipString returns the index of the quote that ends the string at src[i]. A
// string ends with its line: then the quote was an apostrophe in text, and i
// stays.
func skipString(src string, i int) int {
	for j := i + 1; j < len(src) && src[j] != '\n'; j++ {
		switch src[j] {
		case '\\':
			j++
		case src[i]:
			return j
		}
	}
	return i
}

// skipComment returns the index of a comment's last byte, or i if there is
// none.
func skipComment(src string, i int) int {
	switch {
	case strings.HasPrefix(src[i:], "/*"):
		if n := strings.Index(src[i+2:], "*/"); n >= 0 {
			return i + 2 + n + 1
		}
	case strings.HasPrefix(src[i:], "//") && (i == 0 || src[i-1] != ':'): // no https://
		if n := strings.IndexByte(src[i:], '\n'); n >= 0 {
			return i + n
		}
	}
	return i
}
