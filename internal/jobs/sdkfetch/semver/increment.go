package semver

import (
	"fmt"
	"slices"
	"strings"
)

// Step says how Increment counts up.
type Step struct {
	// Release is major, minor, patch, premajor, preminor, prepatch, prerelease
	// or release.
	Release string
	// Tag is the word that a prerelease begins with, as beta or beta.x.
	Tag string
	// Base is the first number after the tag.
	Base uint64
	// Bare leaves the number away.
	Bare bool
}

// Increment returns the next version of the given kind, without build metadata.
func (v Version) Increment(s Step) (Version, error) {
	next := v
	next.Build, next.Pre = nil, slices.Clone(v.Pre)
	kind, pre := strings.CutPrefix(s.Release, "pre")
	if pre {
		if s.Tag == "" && s.Bare {
			return v, fmt.Errorf("increment to a prerelease without tag and number is %w", ErrInvalid)
		}
		if !validTag(s.Tag) {
			return v, fmt.Errorf("prerelease tag %q is %w", s.Tag, ErrInvalid)
		}
		if kind == "release" && len(next.Pre) > 0 {
			return next.nextPrerelease(s)
		}
		if kind == "release" {
			kind = "patch"
		}
		next.Pre = nil
	}
	if err := next.bump(kind); err != nil || !pre {
		return next, err
	}
	return next.nextPrerelease(s)
}

// bump finishes a prerelease of the wanted version, or goes one further.
func (v *Version) bump(kind string) error {
	unfinished := len(v.Pre) > 0
	v.Pre = nil
	switch kind {
	case "major":
		if v.Minor > 0 || v.Patch > 0 || !unfinished {
			v.Major++
		}
		v.Minor, v.Patch = 0, 0
	case "minor":
		if v.Patch > 0 || !unfinished {
			v.Minor++
		}
		v.Patch = 0
	case "patch":
		if !unfinished {
			v.Patch++
		}
	case "release":
		if !unfinished {
			return fmt.Errorf("version %s is a release already: %w", v, ErrInvalid)
		}
	default:
		return fmt.Errorf("increment %q is %w", kind, ErrInvalid)
	}
	if max(v.Major, v.Minor, v.Patch) > maxNumber {
		return fmt.Errorf("next version is %w: over %d", ErrInvalid, uint64(maxNumber))
	}
	return nil
}

// nextPrerelease counts the last number of the prerelease up, under the wanted
// tag; another tag begins anew.
func (v Version) nextPrerelease(s Step) (Version, error) {
	tag := dottedIdentifiers(s.Tag)
	same := len(v.Pre) >= len(tag) && slices.EqualFunc(v.Pre[:len(tag)], tag, func(a, b Identifier) bool { return a.compare(b) == 0 })
	if s.Bare && same && len(tag) == len(v.Pre) {
		return v, fmt.Errorf("prerelease %s exists already: %w", v, ErrInvalid)
	}
	counted := len(v.Pre) > len(tag) && v.Pre[len(tag)].Numeric
	if len(v.Pre) > 0 && (len(tag) == 0 || same && counted) {
		v.Pre = countUp(v.Pre, s.Base)
		return v, nil
	}
	v.Pre = tag
	if !s.Bare {
		v.Pre = append(v.Pre, number(s.Base))
	}
	return v, nil
}

// countUp adds one to the last number, or appends base if there is none.
func countUp(pre []Identifier, base uint64) []Identifier {
	for i := len(pre) - 1; i >= 0; i-- {
		if pre[i].Numeric {
			pre[i] = number(pre[i].Number + 1)
			return pre
		}
	}
	return append(pre, number(base))
}

func validTag(tag string) bool {
	if tag == "" {
		return true
	}
	s := scanner{rest: tag}
	_, ok := s.dotted()
	return ok && s.rest == ""
}

func dottedIdentifiers(tag string) []Identifier {
	if tag == "" {
		return nil
	}
	var out []Identifier
	for word := range strings.SplitSeq(tag, ".") {
		out = append(out, identifier(word))
	}
	return out
}

// Truncate cuts the version down to the part that a kind of release counts. A
// prerelease kind keeps everything but the build metadata.
func (v Version) Truncate(release string) (Version, error) {
	v.Build = nil
	switch release {
	case "premajor", "preminor", "prepatch", "prerelease":
		return v, nil
	case "patch":
		v.Pre = nil
	case "minor":
		v.Pre, v.Patch = nil, 0
	case "major":
		v.Pre, v.Patch, v.Minor = nil, 0, 0
	default:
		return v, fmt.Errorf("truncation to %q is %w", release, ErrInvalid)
	}
	return v, nil
}
