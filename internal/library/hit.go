package library

import (
	"context"
	"encoding/json"
	"fmt"

	index "github.com/blevesearch/bleve_index_api"
)

// How much of a hit is read to find its matches, and how many are told.
const (
	maxMatchBytes = 128 << 10
	maxMatches    = 500
)

// hits loads the sections of the asked window.
func (s *search) hits(ctx context.Context, top []ranked) ([]Hit, error) {
	for i := range top {
		id, err := s.view.ExternalID(index.NewIndexInternalID(nil, top[i].number))
		if err != nil {
			return nil, fmt.Errorf("%w: name of a section: %w", errDamagedIndex, err)
		}
		top[i].id = id
	}
	order(top)
	top = top[min(s.query.Offset, len(top)):min(s.query.Offset+s.query.Limit, len(top))]
	hits := make([]Hit, 0, len(top))
	for _, r := range top {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		h, err := s.hit(r)
		if err != nil {
			return nil, err
		}
		hits = append(hits, h)
	}
	return hits, nil
}

func (s *search) hit(r ranked) (Hit, error) {
	raw, err := s.view.stored(r.id, sectionField)
	if err != nil {
		return Hit{}, fmt.Errorf("read section: %w", err)
	}
	var k keptSection
	if err := json.Unmarshal(raw, &k); err != nil {
		return Hit{}, fmt.Errorf("%w: section: %w", errDamagedIndex, err)
	}
	h := Hit{Section: k.Section, Score: r.score, Document: Document{
		URI: k.URI, Collection: k.Collection, Title: k.Title, Language: k.Language, ContentType: k.ContentType, URL: k.URL,
	}}
	texts := [textFields]string{k.Title, k.Heading, k.Body, k.Code}
	for f, name := range textFieldNames() {
		h.Matches = s.appendMatches(h.Matches, name, texts[f])
	}
	return h, nil
}

// appendMatches cuts the text once more, as when it was indexed: cheaper, for
// ten hits, than places kept for every word of the corpus.
func (s *search) appendMatches(out []Match, field, text string) []Match {
	words := s.terms()
	limit := len(out) + maxMatches
	for _, w := range s.splitter.split(clip(text, maxMatchBytes), &s.initials) {
		if q, ok := words[w.term]; ok && len(out) < limit && inside(text, w) {
			out = append(out, Match{field, w.start, w.end, q})
		}
	}
	return out
}

// inside guards against places that folding has moved: they must be whole
// characters of the text.
func inside(text string, w word) bool {
	return w.start < w.end && w.end <= len(text) && boundary(text, w.start) && boundary(text, w.end)
}

// terms maps each searched term to the query's word.
func (s *search) terms() map[string]string {
	if s.byTerm == nil {
		s.byTerm = map[string]string{}
		for _, w := range s.words {
			for _, t := range w.terms {
				s.initials[t.term[0]] = true // a stem begins as its words do
				if _, ok := s.byTerm[t.term]; !ok {
					s.byTerm[t.term] = w.surface
				}
			}
		}
	}
	return s.byTerm
}

// clip cuts the text at a character's beginning.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for !boundary(text, limit) {
		limit--
	}
	return text[:limit]
}

// boundary reports whether a character begins at i, or the text ends.
func boundary(text string, i int) bool { return i == len(text) || text[i]&0xC0 != 0x80 }
