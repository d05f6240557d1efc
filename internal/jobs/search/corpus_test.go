package search

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/datatest"
	"github.com/jobyard/jobyard/internal/library"
)

// corpusLine is one section of the shared corpus.
type corpusLine struct{ ID, Page, Lib, Lang, Kind, Title, Heading, Body, Code string }

// loadCorpus reads a corpus into documents, a page each.
func loadCorpus(tb testing.TB, name string, headings bool) []library.Document {
	tb.Helper()
	f, err := os.Open(datatest.Path(tb, "search", name))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var docs []library.Document
	place := map[string]int{}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var l corpusLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			tb.Fatal(err)
		}
		i, ok := place[l.Page]
		if !ok {
			i = len(docs)
			place[l.Page] = i
			docs = append(docs, library.Document{
				URI: l.Page, Collection: l.Lib, Title: l.Title, Language: l.Lang, ContentType: "text/markdown", URL: "https://docs.test/" + l.Page,
			})
		}
		s := library.Section{ID: l.ID, Heading: l.Heading, Body: l.Body, Code: l.Code}
		if !headings {
			docs[i].Title, s.Heading = "", ""
		}
		docs[i].Sections = append(docs[i].Sections, s)
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
	return docs
}

// publish puts the documents into a library of the test's own; last is the
// token of the last write.
func publish(tb testing.TB, docs []library.Document) (client redis.UniversalClient, last string) {
	tb.Helper()
	client = startRedis(tb)
	writer, err := library.NewWriter(client, 0)
	if err != nil {
		tb.Fatal(err)
	}
	for _, d := range docs {
		if last, err = writer.Put(tb.Context(), d); err != nil {
			tb.Fatal(err)
		}
	}
	return client, last
}

// follow opens a replica that begins with nothing and returns when it has
// reached the token.
func follow(tb testing.TB, client redis.UniversalClient, token string) (replica *library.Replica, stop func()) {
	tb.Helper()
	replica, err := library.Open(tb.Context(), library.Config{}, client)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- replica.Run(ctx) }()
	if err := replica.WaitFor(tb.Context(), token); err != nil {
		tb.Error(err)
	}
	return replica, func() {
		cancel()
		if err := errors.Join(<-done, replica.Close()); err != nil {
			tb.Error(err)
		}
	}
}

// serve returns a job over a library that holds the documents.
func serve(tb testing.TB, docs []library.Document) *Job {
	tb.Helper()
	client, token := publish(tb, docs)
	started := time.Now()
	replica, stop := follow(tb, client, token)
	took := time.Since(started)
	tb.Cleanup(stop)
	stats, err := replica.Stats()
	if err != nil {
		tb.Fatal(err)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	tb.Logf("indexed %d sections of %d documents in %s: %.1f MB of text, %.1f MB on disk, heap %.1f MB",
		stats.Sections, stats.Documents, took.Round(time.Millisecond), mb(stats.TextBytes), mb(stats.DiskBytes), mb(int64(m.HeapAlloc)))
	job, err := New(DefaultConfig(), replica)
	if err != nil {
		tb.Fatal(err)
	}
	return job
}

func mb(n int64) float64 { return float64(n) / (1 << 20) }

// judged is one query of the shared data with what answers it.
type judged struct {
	Query      string   `json:"query"`
	QueryTypo  string   `json:"query_typo"`
	Rel        []string `json:"rel"`
	RelSection string   `json:"rel_section"`
	Exclude    []string `json:"exclude"`
}

func loadQueries(tb testing.TB, name string) []judged {
	tb.Helper()
	f, err := os.Open(datatest.Path(tb, "search", name))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var out []judged
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var q judged
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			tb.Fatal(err)
		}
		out = append(out, q)
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
	return out
}
