package semver

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrInvalid says that a text is not a version or not a range.
var ErrInvalid = errors.New("not valid")

// Version is one version. Build metadata is kept but never compared.
type Version struct {
	Major, Minor, Patch uint64
	Pre                 []Identifier
	Build               []string
}

// Identifier is one dotted part of a prerelease.
type Identifier struct {
	Text    string
	Number  uint64
	Numeric bool
}

// Parse reads a version.
func Parse(text string, o Options) (Version, error) {
	if len(text) > maxLength {
		return Version{}, fmt.Errorf("version of %d bytes is %w: over %d", len(text), ErrInvalid, maxLength)
	}
	s := scanner{rest: strings.TrimSpace(text), loose: o.Loose}
	if o.Loose {
		s.skip("v= \t")
	} else {
		s.take('v')
	}
	p, ok := s.partial()
	if !ok || s.rest != "" || p.fixed != 3 || p.wild {
		return Version{}, fmt.Errorf("version %q is %w", text, ErrInvalid)
	}
	return p.Version, nil
}

// String writes the version without its build metadata, as npm compares it.
func (v Version) String() string {
	b := make([]byte, 0, 24)
	b = strconv.AppendUint(b, v.Major, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, v.Minor, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, v.Patch, 10)
	for i, id := range v.Pre {
		b = append(b, "-."[min(i, 1)])
		b = append(b, id.Text...)
	}
	return string(b)
}

// Compare orders two versions by precedence: -1, 0 or +1.
func (v Version) Compare(w Version) int {
	if c := v.compareCore(w); c != 0 {
		return c
	}
	if len(v.Pre) == 0 || len(w.Pre) == 0 {
		// A release comes after all of its prereleases.
		return cmp.Compare(len(w.Pre), len(v.Pre))
	}
	return slices.CompareFunc(v.Pre, w.Pre, Identifier.compare)
}

func (v Version) compareCore(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch))
}

// compare puts numbers before words, numbers by value and words by bytes.
func (a Identifier) compare(b Identifier) int {
	switch {
	case a.Numeric && b.Numeric:
		return cmp.Compare(a.Number, b.Number)
	case a.Numeric:
		return -1
	case b.Numeric:
		return 1
	}
	return strings.Compare(a.Text, b.Text)
}

func number(n uint64) Identifier {
	return Identifier{Text: strconv.FormatUint(n, 10), Number: n, Numeric: true}
}

// identifier reads one part of a prerelease. Digits beyond maxNumber stay a
// word, as in npm.
func identifier(text string) Identifier {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n < maxNumber {
		return number(n)
	}
	return Identifier{Text: text}
}
