package tasks

import (
	"fmt"
	"slices"
	"strings"
)

// SearchPayload is a query over the library.
type SearchPayload struct {
	// Query is what to look for, 1 to 1,000 bytes.
	Query string `json:"query"`
	// Collection restricts the search to one collection.
	Collection string `json:"collection,omitempty"`
	// Limit is the number of hits, 1 to 100; 0 means 10.
	Limit int `json:"limit,omitempty"`
	// Offset skips hits, 0 to 10,000.
	Offset int `json:"offset,omitempty"`
	// Filters keep the sections whose field has one of the values. Fields:
	// collection, language, content_type, document.
	Filters map[string][]string `json:"filters,omitempty"`
	// Facets count the hits by the values of these fields (as in Filters).
	Facets []string `json:"facets,omitempty"`
	// Fuzzy is auto (the default: typos are tolerated in words the index does
	// not know) or off.
	Fuzzy string `json:"fuzzy,omitempty"`
	// MinToken is the token of a write that the answer must reflect.
	MinToken string `json:"min_token,omitempty"`
}

// SearchFields are the fields of Filters and Facets.
func SearchFields() []string { return []string{"collection", "language", "content_type", "document"} }

// Validate implements Payload.
func (p SearchPayload) Validate() error {
	var f faults
	f.check(strings.TrimSpace(p.Query) != "", "query", "must not be empty")
	f.check(len(p.Query) <= 1000, "query", "must not be over 1000 bytes, got %d", len(p.Query))
	checkName(&f, "collection", p.Collection)
	f.check(p.Limit >= 0 && p.Limit <= 100, "limit", "must be from 1 to 100, got %d", p.Limit)
	f.check(p.Offset >= 0 && p.Offset <= 10000, "offset", "must be from 0 to 10000, got %d", p.Offset)
	f.check(len(p.Filters) <= 10, "filters", "must not name over 10 fields, got %d", len(p.Filters))
	for name, values := range p.Filters {
		checkSearchField(&f, "filters."+clip(name, 40), name)
		f.check(len(values) >= 1 && len(values) <= 100, "filters."+clip(name, 40), "must have 1 to 100 values, got %d", len(values))
	}
	f.check(len(p.Facets) <= 10, "facets", "must not name over 10 fields, got %d", len(p.Facets))
	for i, name := range p.Facets {
		checkSearchField(&f, fmt.Sprintf("facets[%d]", i), name)
	}
	f.check(p.Fuzzy == "" || p.Fuzzy == "auto" || p.Fuzzy == "off", "fuzzy", `must be "auto" or "off", got %q`, clip(p.Fuzzy, 40))
	f.check(p.MinToken == "" || tokenPattern.MatchString(p.MinToken), "min_token",
		"must be a token as document_parse returned it, got %q", clip(p.MinToken, 40))
	return f.err()
}

func checkSearchField(f *faults, path, name string) {
	f.check(slices.Contains(SearchFields(), name), path, "must be one of %v, got %q", SearchFields(), clip(name, 40))
}

// SearchResult is the answer to a query.
type SearchResult struct {
	Hits []SearchHit `json:"hits"`
	// Total counts all matching sections.
	Total int `json:"total"`
	// Facets counts by field, then value.
	Facets map[string]map[string]int `json:"facets,omitempty"`
	TookMS float64                   `json:"took_ms"`
	// DidYouMean is the query with its unknown words replaced, if any were.
	DidYouMean string `json:"did_you_mean,omitempty"`
	// Token is the place in the corpus log that this answer reflects.
	Token string `json:"token"`
	// Stale tells that MinToken was not reached in time.
	Stale bool `json:"stale"`
}

// SearchHit is one matching section.
type SearchHit struct {
	ID         string `json:"id"`
	Document   string `json:"document"` // the document's uri
	Collection string `json:"collection"`
	Title      string `json:"title"`
	Heading    string `json:"heading"`
	Anchor     string `json:"anchor"`
	URL        string `json:"url"`
	// Snippet is an excerpt; matches are between <mark> and </mark>, all else
	// is escaped HTML.
	Snippet string  `json:"snippet"`
	Score   float64 `json:"score"`
	// Why names the fields and words that matched, best first.
	Why []string `json:"why"`
}
