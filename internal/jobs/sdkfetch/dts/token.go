package dts

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind byte

const (
	punct tokenKind = iota
	word
	text // a string or template literal
	number
)

// token is a piece of the source: src[start:end].
type token struct {
	kind       tokenKind
	newline    bool // a line ends before it
	start, end int
	// doc is where the JSDoc comment right before it lies; 0,0 if there is none.
	docStart, docEnd int
}

// lexer cuts a declaration file into tokens.
type lexer struct {
	src string
	at  int
	out []token
	// references are the paths of /// <reference path="…" />.
	references []string
}

func scan(src string) ([]token, []string) {
	l := lexer{src: src, out: make([]token, 0, len(src)/6)}
	for l.next() {
	}
	return l.out, l.references
}

// next adds one token; false at the end.
func (l *lexer) next() bool {
	t := token{}
	if !l.blank(&t) {
		return false
	}
	t.start = l.at
	c := l.src[l.at]
	switch {
	case c == '"' || c == '\'':
		t.kind = text
		l.quoted(c)
	case c == '`':
		t.kind = text
		l.template(0)
	case '0' <= c && c <= '9':
		t.kind = number
		l.word()
	case c == '#' || l.word() > 0:
		t.kind = word
		if c == '#' {
			l.at++
			l.word()
		}
	case strings.HasPrefix(l.src[l.at:], "=>"):
		l.at += 2
	case strings.HasPrefix(l.src[l.at:], "..."):
		l.at += 3
	default:
		_, n := utf8.DecodeRuneInString(l.src[l.at:])
		l.at += n
	}
	t.end = l.at
	l.out = append(l.out, t)
	return true
}

// blank skips white space and comments and notes what they say.
func (l *lexer) blank(t *token) bool {
	for l.at < len(l.src) {
		rest := l.src[l.at:]
		switch {
		case rest[0] == '\n':
			t.newline = true
			l.at++
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r':
			l.at++
		case strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.reference(rest[:n])
			l.at += n
		case strings.HasPrefix(rest, "/*"):
			n := len(rest)
			if i := strings.Index(rest[2:], "*/"); i >= 0 {
				n = i + 4
			}
			if strings.HasPrefix(rest, "/**") && n > 4 {
				t.docStart, t.docEnd = l.at, l.at+n
			}
			t.newline = t.newline || strings.Contains(rest[:n], "\n")
			l.at += n
		default:
			r, n := utf8.DecodeRuneInString(rest)
			if !unicode.IsSpace(r) && r != '\uFEFF' {
				return true
			}
			l.at += n
		}
	}
	return false
}

// reference notes a triple-slash reference to another file.
func (l *lexer) reference(line string) {
	body, ok := strings.CutPrefix(line, "///")
	if !ok || !strings.Contains(body, "<reference") {
		return
	}
	_, after, ok := strings.Cut(body, "path=")
	if !ok || after == "" || len(l.references) >= maxFiles {
		return
	}
	if end := strings.IndexByte(after[1:], after[0]); end >= 0 {
		l.references = append(l.references, after[1:end+1])
	}
}

func (l *lexer) quoted(quote byte) {
	for l.at++; l.at < len(l.src); l.at++ {
		switch l.src[l.at] {
		case '\\':
			l.at++
		case quote, '\n':
			l.at++
			return
		}
	}
	l.at = len(l.src)
}

// template skips a template literal, whose placeholders may hold more of them.
func (l *lexer) template(depth int) {
	for l.at++; l.at < len(l.src); l.at++ {
		switch {
		case l.src[l.at] == '\\':
			l.at++
		case l.src[l.at] == '`':
			l.at++
			return
		case strings.HasPrefix(l.src[l.at:], "${") && depth < maxNesting:
			l.at += 2
			l.placeholder(depth + 1)
		}
	}
	l.at = len(l.src)
}

// placeholder skips to its closing brace and stops on it.
func (l *lexer) placeholder(depth int) {
	for open := 1; l.at < len(l.src); {
		switch c := l.src[l.at]; c {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return
			}
		case '`':
			l.template(depth)
			continue
		case '"', '\'':
			l.quoted(c)
			continue
		}
		l.at++
	}
}

// word skips an identifier and returns its length.
func (l *lexer) word() int {
	from := l.at
	for l.at < len(l.src) {
		r, n := utf8.DecodeRuneInString(l.src[l.at:])
		if r != '_' && r != '$' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r) {
			break
		}
		l.at += n
	}
	return l.at - from
}
