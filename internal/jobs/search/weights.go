package search

import (
	"regexp"

	"github.com/jobyard/jobyard/internal/library"
)

// codePattern tells what in a query is code rather than language: camelCase or
// PascalCase, a dot, underscore or :: between letters, a call, a scoped package, a flag.
var codePattern = regexp.MustCompile(
	`[a-z0-9][A-Z]|[A-Z][A-Z][a-z]|\pL[._]\pL|::|\w\(|@[\w-]+/[\w-]|(^|\s)--?[a-z]`)

// weights chooses how much a match counts by field. In questions of plain
// language, code above 0.3 pulls the answer away from the page about the matter (measured
// on titles and link texts); in code-like ones it is what was asked for.
func weights(query string) library.Weights {
	w := library.Weights{Title: 3, Heading: 2, Body: 1, Code: 0.3}
	if codePattern.MatchString(query) {
		w.Code = 1
	}
	return w
}
