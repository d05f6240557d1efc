package library

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	index "github.com/blevesearch/bleve_index_api"
)

// fewValues is up to how many values of a field are counted by reading the list of each.
const fewValues = 64

// facets counts the matching sections by the values of the asked fields. Where a
// field has few values their lists are read; else the value of each section
// that matched, which costs some ten times as much by section.
func (s *search) facets(ctx context.Context) (map[string]map[string]int, error) {
	if len(s.query.Facets) == 0 {
		return nil, nil
	}
	counts := map[string]map[string]int{}
	var many []string
	for _, name := range s.query.Facets {
		if counts[name] != nil {
			continue
		}
		counts[name] = map[string]int{}
		values, err := s.values(name)
		if err != nil {
			return nil, fmt.Errorf("read facet %s: %w", name, err)
		}
		if len(values) > fewValues {
			many = append(many, name)
			continue
		}
		for _, v := range values {
			if err := s.countValue(ctx, name, v, counts[name]); err != nil {
				return nil, fmt.Errorf("read facet %s: %w", name, err)
			}
		}
	}
	if err := s.countSections(ctx, many, counts); err != nil {
		return nil, fmt.Errorf("read facets: %w", err)
	}
	for name, c := range counts {
		counts[name] = mostFrequent(c)
	}
	return counts, nil
}

// values lists the values of a field, at most one more than few.
func (s *search) values(name string) ([]string, error) {
	dict, err := s.view.FieldDict(name)
	if err != nil {
		return nil, err
	}
	defer dict.Close()
	var values []string
	for len(values) <= fewValues {
		e, err := dict.Next()
		if err != nil || e == nil {
			return values, err
		}
		values = append(values, e.Term)
	}
	return values, nil
}

func (s *search) countValue(ctx context.Context, name, value string, counts map[string]int) error {
	matched := 0
	err := s.postings(ctx, value, name, false, func(index.TermFieldReader) func(*index.TermFieldDoc) {
		return func(d *index.TermFieldDoc) {
			if n := d.ID.Value(); n < uint64(len(s.scores)) && s.scores[n].words != 0 {
				matched++
			}
		}
	})
	if matched > 0 {
		counts[value] = matched
	}
	return err
}

func (s *search) countSections(ctx context.Context, names []string, counts map[string]map[string]int) error {
	if len(names) == 0 {
		return nil
	}
	values, err := s.view.DocValueReader(names)
	if err != nil {
		return err
	}
	tally := map[string]map[string]*int{}
	for _, name := range names {
		tally[name] = map[string]*int{}
	}
	var id index.IndexInternalID
	for n, c := range s.scores {
		if c.words == 0 {
			continue
		}
		id = index.NewIndexInternalID(id, uint64(n))
		err := values.VisitDocValues(id, func(field string, value []byte) {
			if k, ok := tally[field][string(value)]; ok { // no copy of the value is made for this
				*k++
				return
			}
			one := 1
			tally[field][string(value)] = &one
		})
		if err != nil {
			return err
		}
		if n%checkEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	for name, t := range tally {
		for value, n := range t {
			counts[name][value] = *n
		}
	}
	return nil
}

// mostFrequent keeps the values with the highest counts.
func mostFrequent(counts map[string]int) map[string]int {
	if len(counts) <= maxFacet {
		return counts
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	kept := make(map[string]int, maxFacet)
	for _, name := range names[:maxFacet] {
		kept[name] = counts[name]
	}
	return kept
}
