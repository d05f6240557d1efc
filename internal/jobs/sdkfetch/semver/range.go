package semver

import (
	"fmt"
	"slices"
	"strings"
)

// Range is a set of versions: alternatives, each of which is a list of
// comparators that must all hold.
type Range struct {
	sets []set
	opts Options
}

// set is one alternative. The empty set of comparators lets everything in.
type set []comparator

// ParseRange reads a range.
func ParseRange(text string, o Options) (Range, error) {
	if len(text) > maxRange {
		return Range{}, fmt.Errorf("range of %d bytes is %w: over %d", len(text), ErrInvalid, maxRange)
	}
	r := Range{opts: o}
	for part := range strings.SplitSeq(text, "||") {
		s, ok, err := parseSet(part, o)
		if err != nil {
			return Range{}, fmt.Errorf("range %q: %w", text, err)
		}
		if ok {
			r.sets = append(r.sets, s)
		}
	}
	if len(r.sets) == 0 {
		return Range{}, fmt.Errorf("range %q is %w", text, ErrInvalid)
	}
	r.sets = reduce(r.sets)
	return r, nil
}

// reduce drops the alternatives that add nothing.
func reduce(sets []set) []set {
	first := sets[0]
	sets = slices.DeleteFunc(sets, func(s set) bool { return s.isNothing() })
	if len(sets) == 0 {
		return []set{first}
	}
	if i := slices.IndexFunc(sets, func(s set) bool { return len(s) == 0 }); i >= 0 {
		return sets[i : i+1]
	}
	return sets
}

// String writes the comparators that the range stands for.
func (r Range) String() string {
	alternatives := make([]string, len(r.sets))
	for i, s := range r.sets {
		words := make([]string, len(s))
		for j, c := range s {
			words[j] = c.String()
		}
		alternatives[i] = strings.Join(words, " ")
	}
	if text := strings.Join(alternatives, "||"); text != "" {
		return text
	}
	return "*"
}

// Match reports whether the range lets the version in.
func (r Range) Match(v Version) bool {
	return slices.ContainsFunc(r.sets, func(s set) bool { return s.match(v, r.opts) })
}

// match tests one alternative. A prerelease only passes if a comparator names a
// prerelease of the same three numbers: whoever wrote >1.2.3-alpha.3 opted into
// those, not into every unfinished version above.
func (s set) match(v Version, o Options) bool {
	named := false
	for _, c := range s {
		if !c.match(v) {
			return false
		}
		named = named || len(c.Pre) > 0 && c.compareCore(v) == 0
	}
	return len(v.Pre) == 0 || o.IncludePrerelease || named
}

// isNothing reports whether no version passes, because one comparator asks for
// less than the lowest.
func (s set) isNothing() bool { return slices.ContainsFunc(s, comparator.isNothing) }
