package documentparse

import (
	"strconv"
	"strings"
	"unicode"
)

// anchorSet hands out anchors that are unique in a document.
type anchorSet map[string]int

// take returns the heading's own anchor, or one made of its text as GitHub
// makes it; a second use gets -1, the third -2.
func (a anchorSet) take(own, heading string) string {
	name := own
	if name == "" {
		name = slug(heading)
	}
	if name == "" {
		name = "section"
	}
	n, used := a[name]
	if !used {
		a[name] = 0
		return name
	}
	for {
		n++
		next := name + "-" + strconv.Itoa(n)
		if _, taken := a[next]; !taken {
			a[name], a[next] = n, 0
			return next
		}
	}
}

// slug is GitHub's rule: lower case, letters, digits, _ and - stay, spaces
// become -, all else goes.
func slug(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '-':
			return '-'
		case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.M, r):
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}
