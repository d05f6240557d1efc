//go:build !race

package search

// Relevance has nothing concurrent in it, and the race detector makes it take
// ten minutes: it is judged without.

import (
	"math"
	"slices"
	"testing"

	"github.com/jobyard/jobyard/internal/datatest"
	"github.com/jobyard/jobyard/tasks"
)

// measure returns MRR@10 and nDCG@10 over the queries; each has one answer. A
// page stands where its best section does, without the excluded pages.
func measure(t *testing.T, j *Job, queries []judged, typos bool) (mrr, ndcg float64) {
	t.Helper()
	n := 0.0
	for _, q := range queries {
		text := q.Query
		if typos {
			text = q.QueryTypo
		}
		if text == "" { // too short for a typo
			continue
		}
		n++
		// The answer is mostly among the first sections, and ten pages in few more.
		for _, limit := range []int{10, 30, 100} {
			ranking := rank(t, j, q, text, limit)
			at := slices.IndexFunc(ranking[:min(10, len(ranking))], func(name string) bool {
				return slices.Contains(q.Rel, name) || q.RelSection == name
			})
			if at >= 0 {
				mrr += 1 / float64(at+1)
				ndcg += 1 / math.Log2(float64(at+2))
			}
			if at >= 0 || len(ranking) >= 10 {
				break
			}
		}
	}
	return mrr / n, ndcg / n
}

// rank lists the pages, or for a judged section the sections, of the best hits.
func rank(t *testing.T, j *Job, q judged, text string, limit int) []string {
	t.Helper()
	r, err := j.Handle(t.Context(), tasks.SearchPayload{Query: text, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	var ranking []string
	for _, h := range r.Hits {
		name := h.Document
		if q.RelSection != "" {
			name = h.ID
		}
		if !slices.Contains(q.Exclude, name) && !slices.Contains(ranking, name) {
			ranking = append(ranking, name)
		}
	}
	return ranking
}

func TestQuality_Relevance(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	titles, anchors := loadQueries(t, "queries-titles.jsonl"), loadQueries(t, "queries-anchors.jsonl")
	job := serve(t, loadCorpus(t, "corpus.jsonl.gz", true))
	clean, cleanN := measure(t, job, titles, false)
	typo, typoN := measure(t, job, titles, true)
	links, linksN := measure(t, job, anchors, false)
	linksTypo, _ := measure(t, job, anchors, true)
	t.Logf("MRR@10 (nDCG@10): titles %.4f (%.4f), with a typo %.4f (%.4f), anchors %.4f (%.4f), with a typo %.4f",
		clean, cleanN, typo, typoN, links, linksN, linksTypo)
	datatest.Quality(t, "search_titles_mrr10", clean, 0.94)
	datatest.Quality(t, "search_titles_typo_kept", typo/clean, 0.96)
	datatest.Quality(t, "search_anchors_mrr10", links, 0.65)
	datatest.Quality(t, "search_anchors_ndcg10", linksN, 0.68)
}

func TestQuality_RelevanceJapanese(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	queries := loadQueries(t, "queries-ja-heading.jsonl")
	job := serve(t, loadCorpus(t, "corpus-ja.jsonl.gz", false))
	mrr, ndcg := measure(t, job, queries, false)
	t.Logf("MRR@10 %.4f, nDCG@10 %.4f", mrr, ndcg)
	datatest.Quality(t, "search_japanese_ndcg10", ndcg, 0.47)
}

func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("indexes the shared corpus and asks it thousands of queries")
	}
}
