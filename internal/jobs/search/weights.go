package search

import (
	"regexp"

	"github.com/jobyard/jobyard/internal/library"
)

// codePattern tells what in a query is code rather than language: camelCase or
// PascalCase, a dot, underscore or :: between letters, a call, a scoped package, a flag.
var codePattern = regexp.MustCompile(
	`[a-z0-9][A-Z]|[A-Z][A-Z][a-z]|\pL[._]\pL|::|\w\(|@[\w-]+/[\w-]|(^|\s)--?[a-z]`)

// weights chooses how much a match counts by field, as measured on titles and
// link texts. In plain language code beyond 0.3 pulls the answer away from the
// page about the matter; in code-like queries 1 is best, and 2.5 too much.
func weights(query string) library.Weights {
	w := library.Weights{Title: 3, Heading: 1.5, Body: 1, Code: 0.3}
	if codePattern.MatchString(query) {
		w.Code = 1
	}
	return w
}
