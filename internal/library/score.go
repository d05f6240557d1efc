package library

import (
	"cmp"
	"container/heap"
	"context"
	"maps"
	"math"
	"math/bits"
	"slices"

	index "github.com/blevesearch/bleve_index_api"
)

// BM25's usual constants.
const (
	bm25K = 1.2
	bm25B = 0.75
)

// checkEvery is how many postings are read between two looks at the context.
const checkEvery = 4096

// scores holds what every section has earned, by its number in the view.
type scores []standing

type standing struct {
	score float64
	words uint64 // a bit for each word that matched; 0 if none did
}

// score adds up BM25 over words, terms and fields, one posting list after the
// other. bleve's own scoring is not used because it squares the idf, takes the root
// of frequencies, and estimates lengths from unique terms, so that two replicas of one
// corpus rank differently (measured in research).
func (s *search) score(ctx context.Context) error {
	weights := [textFields]float64{s.query.Weights.Title, s.query.Weights.Heading, s.query.Weights.Body, s.query.Weights.Code}
	for i, w := range s.words {
		for _, t := range w.terms {
			for f, weight := range weights {
				if weight == 0 || s.view.state.Words[f] == 0 {
					continue
				}
				if err := s.scoreTerm(ctx, t.term, f, weight*t.weight, uint64(1)<<i); err != nil {
					return err
				}
			}
		}
	}
	for i := range s.scores {
		c := &s.scores[i]
		c.score *= coverage(bits.OnesCount64(c.words), len(s.words))
	}
	return nil
}

// coverage favors sections that match more of the words: without it MRR@10 of
// link texts falls from .666 to .624.
func coverage(matched, words int) float64 {
	return float64(matched) / float64(words)
}

func (s *search) scoreTerm(ctx context.Context, term string, f int, weight float64, bit uint64) error {
	return s.postings(ctx, term, textFieldNames()[f], true, func(r index.TermFieldReader) func(*index.TermFieldDoc) {
		sections, frequency := float64(s.view.state.Sections), float64(r.Count())
		average := float64(s.view.state.Words[f]) / sections
		weight *= math.Log(1+(sections-frequency+0.5)/(frequency+0.5)) * (bm25K + 1)
		return func(d *index.TermFieldDoc) {
			length := 1 / (d.Norm * d.Norm)
			n := float64(d.Freq)
			c := s.scores.at(d.ID.Value())
			c.score += weight * n / (n + bm25K*(1-bm25B+bm25B*length/average))
			c.words |= bit
		}
	})
}

// postings reads a posting list; begin returns what is done with each posting.
func (s *search) postings(ctx context.Context, term, field string, counts bool, begin func(index.TermFieldReader) func(*index.TermFieldDoc)) error {
	r, err := s.view.TermFieldReader(ctx, []byte(term), field, counts, counts, false)
	if err != nil {
		return err
	}
	defer r.Close()
	visit := begin(r)
	var d index.TermFieldDoc
	for n := 1; ; n++ {
		p, err := r.Next(d.Reset())
		if err != nil || p == nil {
			return err
		}
		visit(p)
		if n%checkEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// reset forgets all scores and makes room for about n.
func (s *scores) reset(n int) {
	clear((*s)[:cap(*s)])
	*s = slices.Grow((*s)[:0], n)
}

// at returns the standing of a section, making room for it. What lies between
// length and capacity is zero.
func (s *scores) at(n uint64) *standing {
	if int(n) >= len(*s) {
		if int(n) >= cap(*s) {
			*s = append(*s, make(scores, int(n)+1-len(*s))...)
		}
		*s = (*s)[:n+1]
	}
	return &(*s)[n]
}

func (s scores) total() int {
	n := 0
	for _, c := range s {
		if c.words != 0 {
			n++
		}
	}
	return n
}

// filter takes out the sections that a filter excludes.
func (s *search) filter(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(s.query.Filters)) {
		pass := make([]bool, len(s.scores))
		for _, value := range s.query.Filters[name] {
			err := s.postings(ctx, value, name, false, func(index.TermFieldReader) func(*index.TermFieldDoc) {
				return func(d *index.TermFieldDoc) {
					if n := d.ID.Value(); n < uint64(len(pass)) {
						pass[n] = true
					}
				}
			})
			if err != nil {
				return err
			}
		}
		for i := range s.scores {
			if !pass[i] {
				s.scores[i].words = 0
			}
		}
	}
	return nil
}

// ranked is a section and its score.
type ranked struct {
	number uint64
	score  float64
	id     string // resolved only for those that may be shown
}

// best is a heap with the lowest score on top.
type best []ranked

func (b best) Len() int           { return len(b) }
func (b best) Less(i, j int) bool { return b[i].score < b[j].score }
func (b best) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *best) Push(x any)        { *b = append(*b, x.(ranked)) }
func (b *best) Pop() any {
	last := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return last
}

// maxTies bounds how many sections of one score are told apart by their names.
const maxTies = 10_000

// top returns the n best sections and all that equal the last of them, in no order.
func (s scores) top(n int) []ranked {
	if n == 0 {
		return nil
	}
	var b best
	var ties []ranked // equal to the heap's lowest, but not in it
	for i, c := range s {
		if c.words == 0 {
			continue
		}
		r := ranked{number: uint64(i), score: c.score}
		switch {
		case len(b) < n:
			heap.Push(&b, r)
		case r.score < b[0].score:
		case r.score == b[0].score:
			if len(ties) < maxTies {
				ties = append(ties, r)
			}
		default:
			out := b[0]
			b[0] = r
			heap.Fix(&b, 0)
			if b[0].score > out.score {
				ties = ties[:0]
			} else if len(ties) < maxTies {
				ties = append(ties, out)
			}
		}
	}
	return append(b, ties...)
}

// order sorts by score, then by document and place in it.
func order(list []ranked) {
	slices.SortFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
	})
}
