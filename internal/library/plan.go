package library

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	index "github.com/blevesearch/bleve_index_api"
)

// What the search of similar words may cost. Distance 1, and 2 from eight letters,
// and an equal first letter, are what research found best.
const (
	minFuzzyLetters = 3
	farFuzzyLetters = 8
	maxFuzzyWords   = 8   // unknown words of a query that are looked up
	maxFuzzyScan    = 512 // similar words that are weighed, by word
	maxSimilar      = 4   // of them that are searched
	maxCharPairs    = 32  // pairs beginning with a lone ideograph that are searched
)

// queryWord is a word of the query and what is searched for it.
type queryWord struct {
	word
	terms []queryTerm
	// better is the most similar known word, if this one is unknown.
	better string
}

// queryTerm is an indexed term and how much of a match it is, up to 1.
type queryTerm struct {
	term   string
	weight float64
}

// plan decides which terms are searched.
func (s *search) plan(ctx context.Context) error {
	seen := map[string]bool{}
	fuzzy := 0
	for _, w := range s.splitter.split(s.query.Text, nil) {
		if seen[w.term] || len(s.words) == maxWords {
			continue
		}
		seen[w.term] = true
		q := queryWord{word: w, terms: []queryTerm{{w.term, 1}}}
		known, err := s.known(ctx, w.term)
		if err != nil {
			return err
		}
		switch {
		case known:
		case w.cjk && utf8.RuneCountInString(w.term) == 1:
			err = s.addPairs(&q)
		case s.query.Fuzzy && fuzzy < maxFuzzyWords && correctable(w):
			fuzzy++
			err = s.addSimilar(ctx, &q)
		}
		if err != nil {
			return err
		}
		s.words = append(s.words, q)
	}
	return ctx.Err()
}

// correctable reports whether a word may be a mistyped one: long enough and without
// digits, for those of versions and numbers are not misspelled but other ones.
func correctable(w word) bool {
	return !w.cjk && utf8.RuneCountInString(w.surface) >= minFuzzyLetters && !strings.ContainsAny(w.surface, "0123456789")
}

func (s *search) known(ctx context.Context, term string) (bool, error) {
	for _, name := range textFieldNames() {
		n, err := s.frequency(ctx, term, name)
		if err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

func (s *search) frequency(ctx context.Context, term, field string) (uint64, error) {
	r, err := s.view.TermFieldReader(ctx, []byte(term), field, false, false, false)
	if err != nil {
		return 0, err
	}
	n := r.Count()
	return n, r.Close()
}

// similar is a known word that resembles an unknown one.
type similar struct {
	surface   string
	distance  uint8
	frequency uint64
}

// addSimilar adds the known words that are most like q, nearest and most frequent first.
func (s *search) addSimilar(ctx context.Context, q *queryWord) error {
	_, first := utf8.DecodeRuneInString(q.surface)
	found, err := s.similar(ctx, q.surface, q.surface[:first])
	if err != nil {
		return err
	}
	slices.SortFunc(found, func(a, b similar) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(b.frequency, a.frequency), cmp.Compare(a.surface, b.surface))
	})
	for i, f := range found[:min(len(found), maxSimilar)] {
		if i == 0 {
			q.better = f.surface
		}
		term := stem(f.surface)
		if !slices.ContainsFunc(q.terms, func(t queryTerm) bool { return t.term == term }) {
			q.terms = append(q.terms, queryTerm{term, similarWeight(f.distance)})
		}
	}
	return nil
}

func similarWeight(distance uint8) float64 {
	if distance == 1 {
		return 0.8
	}
	return 0.4
}

func (s *search) similar(ctx context.Context, surface, prefix string) ([]similar, error) {
	distance := 1
	if utf8.RuneCountInString(surface) >= farFuzzyLetters {
		distance = 2
	}
	reader, ok := s.view.IndexReader.(index.IndexReaderFuzzy)
	if !ok {
		return nil, errors.New("the index cannot find similar words")
	}
	dict, err := reader.FieldDictFuzzy(surfaceField, surface, distance, prefix)
	if err != nil {
		return nil, err
	}
	defer dict.Close()
	var found []similar
	for len(found) < maxFuzzyScan {
		e, err := dict.Next()
		if err != nil || e == nil {
			return found, err
		}
		// The dictionary also lists words of deleted sections.
		n, err := s.frequency(ctx, e.Term, surfaceField)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			found = append(found, similar{e.Term, e.EditDistance, n})
		}
	}
	return found, ctx.Err()
}

// addPairs lets a lone ideograph, which is indexed only where it stands alone,
// match the pairs that begin with it.
func (s *search) addPairs(q *queryWord) error {
	for _, name := range []string{"title", "body"} {
		dict, err := s.view.FieldDictPrefix(name, []byte(q.term))
		if err != nil {
			return err
		}
		for range maxCharPairs {
			e, err := dict.Next()
			if err != nil || e == nil {
				break
			}
			if !slices.ContainsFunc(q.terms, func(t queryTerm) bool { return t.term == e.Term }) {
				q.terms = append(q.terms, queryTerm{e.Term, 0.5})
			}
		}
		if err := dict.Close(); err != nil {
			return err
		}
	}
	return nil
}

// corrected is the query with the better words in place of the unknown ones.
func (s *search) corrected() string {
	text, from, changed := s.query.Text, 0, false
	var out strings.Builder
	for _, w := range s.words {
		if w.better == "" || w.start < from {
			continue
		}
		out.WriteString(text[from:w.start])
		out.WriteString(w.better)
		from, changed = w.end, true
	}
	if !changed {
		return ""
	}
	out.WriteString(text[from:])
	return out.String()
}
