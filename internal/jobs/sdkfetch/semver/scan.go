package semver

import "strings"

// scanner reads versions and parts of ranges from the front of rest.
type scanner struct {
	rest  string
	loose bool
}

// partial is a version of which trailing parts may be absent or wild.
type partial struct {
	Version
	// fixed counts the leading numbers: 3 in 1.2.3, 1 in 1.x and in 1.
	fixed int
	// wild tells that an x, X or * was written, odd that a number follows one,
	// as in 1.x.5: it says nothing, and only some operators bear it.
	wild, odd bool
}

func (s *scanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) skip(set string) { s.rest = strings.TrimLeft(s.rest, set) }

// partial reads up to three dotted parts, a prerelease and build metadata. What
// follows stays in rest.
func (s *scanner) partial() (p partial, ok bool) {
	parts := [3]*uint64{&p.Major, &p.Minor, &p.Patch}
	n := 0
	for ; n < 3 && (n == 0 || s.take('.')); n++ {
		if s.take('x') || s.take('X') || s.take('*') {
			p.wild = true
			continue
		}
		var part uint64
		if !s.number(&part) {
			return p, false
		}
		if p.wild {
			p.odd = true
			continue
		}
		*parts[n] = part
		p.fixed++
	}
	if n == 3 && !s.prerelease(&p) {
		return p, false
	}
	ok = s.build(&p)
	return p, ok
}

func (s *scanner) number(into *uint64) bool {
	digits := s.while(isDigit)
	if digits == "" || (!s.loose && len(digits) > 1 && digits[0] == '0') {
		return false
	}
	for _, c := range []byte(digits) {
		*into = *into*10 + uint64(c-'0')
		if *into > maxNumber {
			return false
		}
	}
	return true
}

// prerelease reads -a.b; loose allows the hyphen to be absent.
func (s *scanner) prerelease(p *partial) bool {
	if !s.take('-') && (!s.loose || s.rest == "" || !isWord(s.rest[0])) {
		return true
	}
	ids, ok := s.dotted()
	for _, text := range ids {
		id := identifier(text)
		if !s.loose && text[0] == '0' && len(text) > 1 && isNumber(text) {
			return false
		}
		p.Pre = append(p.Pre, id)
	}
	return ok
}

func (s *scanner) build(p *partial) (ok bool) {
	if !s.take('+') {
		return true
	}
	p.Build, ok = s.dotted()
	return ok
}

// dotted reads one or more dotted words.
func (s *scanner) dotted() ([]string, bool) {
	var words []string
	for {
		w := s.while(isWord)
		if w == "" {
			return nil, false
		}
		words = append(words, w)
		if !s.take('.') {
			return words, true
		}
	}
}

func (s *scanner) while(in func(byte) bool) string {
	n := 0
	for n < len(s.rest) && in(s.rest[n]) {
		n++
	}
	word := s.rest[:n]
	s.rest = s.rest[n:]
	return word
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-'
}

func isNumber(s string) bool { return strings.Trim(s, "0123456789") == "" }
