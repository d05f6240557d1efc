package search

import (
	"testing"

	"github.com/jobyard/jobyard/tasks"
)

func BenchmarkSearchTerms(b *testing.B) { benchmark(b, tasks.SearchPayload{Fuzzy: "off", Limit: 1}) }

func BenchmarkSearchFull(b *testing.B) {
	benchmark(b, tasks.SearchPayload{Facets: []string{"collection", "language", "content_type", "document"}})
}

// benchmark asks the corpus the link texts that its authors wrote, in turn.
func benchmark(b *testing.B, p tasks.SearchPayload) {
	queries := loadQueries(b, "queries-anchors.jsonl")
	job := serve(b, loadCorpus(b, "corpus.jsonl.gz", true))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.Query = queries[i%len(queries)].Query
		if _, err := job.Handle(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIndex measures how long a replica that begins with nothing takes to
// find the whole corpus.
func BenchmarkIndex(b *testing.B) {
	docs := loadCorpus(b, "corpus.jsonl.gz", true)
	sections := 0
	for _, d := range docs {
		sections += len(d.Sections)
	}
	client, token := publish(b, docs)
	for b.Loop() {
		_, stop := follow(b, client, token)
		stop()
	}
	b.ReportMetric(float64(sections*b.N)/b.Elapsed().Seconds(), "sections/s")
}
