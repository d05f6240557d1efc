package schema

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// matchTimeout bounds one match of an expression that may backtrack. It is
// time on the wall, so it is generous: on a machine under load a match may wait
// for its turn longer than it runs, and a value must not become invalid by that.
const matchTimeout = 2 * time.Second

// compileRegexp compiles an expression as JSON Schema means it, in
// ECMAScript's grammar. Where Go's own engine reads it in the same way, that
// is taken: it needs no timeout.
func compileRegexp(pattern string) (jsonschema.Regexp, error) {
	if linear(pattern) {
		return regexp.Compile(pattern)
	}
	re, err := regexp2.Compile(pattern, regexp2.ECMAScript|regexp2.Unicode)
	if err != nil {
		return nil, err
	}
	re.MatchTimeout = matchTimeout
	return ecma{re}, nil
}

// linear reports whether Go's engine knows the pattern and means the same by
// it as ECMAScript does. The two differ in what blanks (\s), word ends (\b)
// and a point are, and in the marks after (?.
func linear(pattern string) bool {
	for _, odd := range []string{`\s`, `\S`, `\b`, `\B`, `\p`, `\P`, `\Q`, `\A`, `\z`, `\C`, `\c`, `\u`, `[[:`} {
		if strings.Contains(pattern, odd) {
			return false
		}
	}
	if strings.Count(pattern, "(?") != strings.Count(pattern, "(?:") {
		return false
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	return err == nil && !hasPoint(parsed)
}

func hasPoint(re *syntax.Regexp) bool {
	return re.Op == syntax.OpAnyChar || re.Op == syntax.OpAnyCharNotNL || slices.ContainsFunc(re.Sub, hasPoint)
}

// ecma is an expression for the backtracking engine.
type ecma struct{ re *regexp2.Regexp }

// MatchString implements jsonschema.Regexp. A match that takes too long is no
// match: the value is refused.
func (e ecma) MatchString(s string) bool {
	ok, err := e.re.MatchString(s)
	return err == nil && ok
}

// String returns the pattern.
func (e ecma) String() string { return e.re.String() }
