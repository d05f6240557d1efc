package library

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// Bounds of a query.
const (
	MaxQueryBytes = 1000
	MaxWindow     = 10_100 // offset and limit together
	maxWords      = 64     // distinct words that count
	maxFacet      = 100    // values of a facet, the most frequent ones
)

// Weights say how much a match counts by the field it is in. A field of weight
// 0 is not searched.
type Weights struct{ Title, Heading, Body, Code float64 }

// Query is what to look for.
type Query struct {
	Text string
	// Filters keep the sections whose field has one of the values; all fields must
	// agree. Fields: collection, language, content_type, document.
	Filters map[string][]string
	// Facets count all matching sections by the values of these fields, the
	// hundred most frequent ones.
	Facets        []string
	Limit, Offset int
	Weights       Weights
	// Fuzzy lets words that the index does not know match similar ones.
	Fuzzy bool
}

// Answer is what was found.
type Answer struct {
	Hits   []Hit
	Total  int // all matching sections
	Facets map[string]map[string]int
	// Corrected is the query with its unknown words replaced by the most similar known
	// ones; empty if none were.
	Corrected string
	// Token is the write that the answer reflects.
	Token string
}

// Hit is one matching section.
type Hit struct {
	Document Document // without Sections and SHA256
	Section  Section
	Score    float64
	Matches  []Match
}

// Match is one place in a hit's text that made it match.
type Match struct {
	// Field is title, heading, body or code; Start and End are bytes in its text.
	Field      string
	Start, End int
	// Word is the query's word, which what stands there may only resemble.
	Word string
}

func (q *Query) check() error {
	if len(q.Text) > MaxQueryBytes {
		return tasks.Invalid("query", fmt.Sprintf("must not be over %d bytes, got %d", MaxQueryBytes, len(q.Text)))
	}
	if q.Limit < 0 || q.Offset < 0 || q.Limit > MaxWindow || q.Offset > MaxWindow-q.Limit {
		return tasks.Invalid("limit", fmt.Sprintf("must be 0 to %d together with offset, got %d and %d", MaxWindow, q.Limit, q.Offset))
	}
	for name := range q.Filters {
		if !slices.Contains(tasks.SearchFields(), name) {
			return tasks.Invalid("filters", fmt.Sprintf("must name %v, got %.40q", tasks.SearchFields(), name))
		}
	}
	for _, name := range q.Facets {
		if !slices.Contains(tasks.SearchFields(), name) {
			return tasks.Invalid("facets", fmt.Sprintf("must name %v, got %.40q", tasks.SearchFields(), name))
		}
	}
	return nil
}

// Search answers the query from the index as it is now, without Redis. Equal
// scores are ordered by document and section, so that replicas of the same
// corpus give the same answer.
func (r *Replica) Search(ctx context.Context, q Query) (answer Answer, err error) {
	if err := q.check(); err != nil {
		return Answer{}, err
	}
	r.opening.RLock()
	defer r.opening.RUnlock()
	defer func() {
		if p := recover(); p != nil { // a damaged segment panics inside of bleve
			err = fmt.Errorf("%w: %v", errDamagedIndex, p)
		}
		if errors.Is(err, errDamagedIndex) {
			if r.store != nil {
				r.store.damaged.Store(true)
			}
			err = fault.RetryableError(tasks.ReasonBusy, "this node's search index is being rebuilt; try again").Because(err)
		}
	}()
	v, err := r.view()
	if err != nil {
		return Answer{}, err
	}
	defer v.Close()
	s := newSearch(v, r.splitter, q)
	if spare, ok := r.spare.Get().(*scores); ok {
		s.scores = *spare
	}
	defer func() { r.spare.Put(&s.scores) }()
	return s.run(ctx)
}

// search is one query at work on one view.
type search struct {
	view     *view
	splitter *splitter
	query    Query
	words    []queryWord
	byTerm   map[string]string // the query's word for each searched term
	initials initials          // of the searched terms
	scores   scores
}

func newSearch(v *view, sp *splitter, q Query) *search {
	return &search{view: v, splitter: sp, query: q}
}

func (s *search) run(ctx context.Context) (Answer, error) {
	answer := Answer{Token: s.view.state.position.String()}
	s.scores.reset(s.view.state.Sections + s.view.state.Documents)
	if err := s.plan(ctx); err != nil {
		return Answer{}, err
	}
	answer.Corrected = s.corrected()
	if err := s.score(ctx); err != nil {
		return Answer{}, err
	}
	if err := s.filter(ctx); err != nil {
		return Answer{}, err
	}
	top := s.scores.top(s.query.Offset + s.query.Limit)
	answer.Total = s.scores.total()
	var err error
	if answer.Hits, err = s.hits(ctx, top); err != nil {
		return Answer{}, err
	}
	answer.Facets, err = s.facets(ctx)
	return answer, err
}
