// Package npm speaks to npm registries: it reads .npmrc, packuments and
// package.json, finds the version that a range or tag means, and checks a
// tarball against the integrity that its packument states.
//
// It promises to ask only the configured registry: a tarball's address in a
// packument is taken as a path on that registry, whatever host it names. It
// runs no script of any package. A field that a registry leaves out counts as
// unknown, never as false.
package npm

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/jobyard/jobyard/tasks"
)

// namePart is one half of a name. Capitals and ~'!()* are from the time before
// npm ruled them out.
var namePart = regexp.MustCompile(`^[A-Za-z0-9~'!()*-][A-Za-z0-9~'!()*._-]*$`)

// CheckName refuses what cannot be a package's name.
func CheckName(name string) error {
	scope, rest := "", name
	if strings.HasPrefix(name, "@") {
		var ok bool
		if scope, rest, ok = strings.Cut(name[1:], "/"); !ok || !namePart.MatchString(scope) {
			return tasks.Invalid("name", fmt.Sprintf("must be name or @scope/name, got %.80q", name))
		}
	}
	switch {
	case len(name) > 214:
		return tasks.Invalid("name", fmt.Sprintf("must not be over 214 bytes, got %d", len(name)))
	case !namePart.MatchString(rest):
		return tasks.Invalid("name", fmt.Sprintf("must begin with a letter or digit and hold only letters, digits and . _ -, got %.80q", name))
	case rest == "node_modules" || rest == "favicon.ico":
		return tasks.Invalid("name", fmt.Sprintf("must not be %q, which npm reserves", rest))
	}
	return nil
}

// scopeOf returns "@scope", or nothing.
func scopeOf(name string) string {
	if scope, _, ok := strings.Cut(name, "/"); ok {
		return scope
	}
	return ""
}
