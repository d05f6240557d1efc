package semver

import (
	"fmt"
	"slices"
	"strings"
)

// parseSet reads one alternative. ok is false if it holds nothing that could be
// read, which only loose lets pass.
func parseSet(text string, o Options) (s set, ok bool, err error) {
	fields := strings.Fields(text)
	if i := slices.Index(fields, "-"); i >= 0 {
		apart := !o.Loose && len(fields) != 3 // a v apart from its version is loose
		s, ok = hyphen(strings.Join(fields[:i], ""), strings.Join(fields[i+1:], ""), o)
		if !ok || apart {
			return nil, false, fmt.Errorf("hyphen range %q is %w", text, ErrInvalid)
		}
		return s.normal(o), true, nil
	}
	ok = len(fields) == 0
	for token := ""; len(fields) > 0; {
		token, fields = token+fields[0], fields[1:]
		if isOperator(token, o) && len(fields) > 0 {
			continue // an operator apart from its version
		}
		cs, read := expand(token, o)
		if !read && !o.Loose {
			return nil, false, fmt.Errorf("comparator %q is %w", token, ErrInvalid)
		}
		ok = ok || read
		s, token = append(s, cs...), ""
	}
	return s.normal(o), ok, nil
}

func isOperator(token string, o Options) bool {
	if o.Loose {
		token = strings.TrimRight(token, "v")
	}
	return strings.Trim(token, "<>=~^") == ""
}

// normal drops repeated comparators and those that let everything in, and
// shortens a set that lets nothing in.
func (s set) normal(o Options) set {
	if s.isNothing() {
		return set{nothing()}
	}
	var out set
	for _, c := range s {
		same := func(d comparator) bool { return d.op == c.op && d.Compare(c.Version) == 0 }
		if !c.isEverything(o) && !slices.ContainsFunc(out, same) {
			out = append(out, c)
		}
	}
	return out
}

// expand turns one token into the comparators that it stands for.
func expand(token string, o Options) (set, bool) {
	s := scanner{rest: token, loose: o.Loose}
	op := s.operator()
	before := s.rest
	s.skip("v=")
	prefix := before[:len(before)-len(s.rest)]
	p, ok := s.partial()
	if !ok || s.rest != "" {
		return nil, false
	}
	var out set
	switch {
	case op == "~":
		out = tilde(p, o)
	case op == "^":
		out = caret(p, o)
	case p.odd:
		return nil, false
	case p.fixed < 3:
		out = xrange(operator(op), p, o)
	case !o.Loose && prefix != "" && prefix != "v":
		return nil, false
	default:
		out = set{{operator(op), p.Version}}
	}
	return out, out.representable()
}

// operator reads the relation: ~ and ~> are the same, = is nothing.
func (s *scanner) operator() string {
	switch {
	case s.take('^'):
		return "^"
	case s.take('~'):
		s.take('>')
		return "~"
	case s.take('<'):
		return "<" + s.equals()
	case s.take('>'):
		return ">" + s.equals()
	}
	s.take('=')
	return ""
}

func (s *scanner) equals() string {
	if s.take('=') {
		return "="
	}
	return ""
}

// representable reports whether the next version up did not run out of numbers.
func (s set) representable() bool {
	return !slices.ContainsFunc(s, func(c comparator) bool { return max(c.Major, c.Minor, c.Patch) > maxNumber })
}

// from is the inclusive lower end at a partial version. A wild part begins at
// its first prerelease if those count.
func from(p partial, o Options) comparator {
	v := Version{Major: p.Major, Minor: p.Minor, Patch: p.Patch, Pre: p.Pre}
	if p.fixed < 3 {
		v.Pre = nil
		if o.IncludePrerelease {
			v.Pre = lowest().Pre
		}
	}
	return comparator{greaterEqual, v}
}

// below is the exclusive upper end before the next change of the n-th number.
// It lies before the prereleases of that version too.
func below(p partial, n int) comparator {
	v := Version{Major: p.Major, Pre: lowest().Pre}
	switch n {
	case 1:
		v.Major++
	case 2:
		v.Minor = p.Minor + 1
	default:
		v.Minor, v.Patch = p.Minor, p.Patch+1
	}
	return comparator{less, v}
}

// tilde allows patches, or minors if no minor is written.
func tilde(p partial, o Options) set {
	if p.fixed == 0 {
		return nil
	}
	return set{from(p, o), below(p, min(p.fixed, 2))}
}

// caret allows what does not change the leftmost number that is not zero.
func caret(p partial, o Options) set {
	if p.fixed == 0 {
		return nil
	}
	n := 1
	if p.Major == 0 && p.fixed > 1 {
		n = 2
		if p.Minor == 0 && p.fixed > 2 {
			n = 3
		}
	}
	return set{from(p, o), below(p, n)}
}

// xrange reads a partial version with an ordinary operator: 1.x, >1.2, <=2.
func xrange(op operator, p partial, o Options) set {
	if p.fixed == 0 {
		if op == less || op == greater {
			return set{nothing()}
		}
		return nil
	}
	next := below(p, p.fixed)
	switch op {
	case less:
		c := from(p, Options{IncludePrerelease: true})
		return set{{less, c.Version}}
	case lessEqual:
		return set{next}
	case greater:
		if !o.IncludePrerelease {
			next.Pre = nil
		}
		return set{{greaterEqual, next.Version}}
	case greaterEqual:
		return set{from(p, o)}
	}
	return set{from(p, o), next}
}

// hyphen reads the inclusive range between two partial versions.
func hyphen(low, high string, o Options) (set, bool) {
	var ends [2]partial
	for i, text := range []string{low, high} {
		s := scanner{rest: text, loose: o.Loose}
		s.skip("v=")
		p, ok := s.partial()
		if !ok || s.rest != "" {
			return nil, false
		}
		ends[i] = p
	}
	var out set
	lo, hi := ends[0], ends[1]
	if lo.fixed > 0 {
		c := from(lo, o)
		if o.IncludePrerelease && len(c.Pre) == 0 {
			c.Pre = lowest().Pre
		}
		out = append(out, c)
	}
	switch {
	case hi.fixed == 0:
	case hi.fixed == 3 && (len(hi.Pre) > 0 || !o.IncludePrerelease):
		out = append(out, comparator{lessEqual, hi.Version})
	default:
		out = append(out, below(hi, hi.fixed))
	}
	return out, out.representable()
}
