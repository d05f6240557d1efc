package search

import (
	"slices"
	"strings"
	"sync"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"

	"github.com/jobyard/jobyard/internal/library"
)

// stopWords are English words such as "a" and "is". They count for the rank, but
// say nothing about why a section was found.
var stopWords = sync.OnceValue(func() analysis.TokenMap {
	words := analysis.NewTokenMap()
	if err := words.LoadBytes(en.EnglishStopWords); err != nil {
		panic(err) // only if the library's own list could not be read
	}
	return words
})

// telling leaves out the matches of stop words, so that neither the choice of the
// excerpt nor its marks follow them. Where nothing else matched they stay.
func telling(h library.Hit) []library.Match {
	if l := h.Document.Language; l != "" && l != "en" && !strings.HasPrefix(l, "en-") {
		return h.Matches
	}
	out := slices.DeleteFunc(slices.Clone(h.Matches), func(m library.Match) bool { return stopWords()[strings.ToLower(m.Word)] })
	if len(out) == 0 {
		return h.Matches
	}
	return out
}
