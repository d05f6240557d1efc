package search

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"runtime"
	"testing"
	"time"

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

// serve puts the documents into a library of the test's own and returns a job
// over a replica that has them all.
func serve(tb testing.TB, docs []library.Document) *Job {
	tb.Helper()
	client := startRedis(tb)
	writer, err := library.NewWriter(client, 0)
	if err != nil {
		tb.Fatal(err)
	}
	token := "0-0"
	for _, d := range docs {
		if token, err = writer.Put(tb.Context(), d); err != nil {
			tb.Fatal(err)
		}
	}
	replica, err := library.Open(tb.Context(), library.Config{Dir: tb.TempDir()}, client)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- replica.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			tb.Error(err)
		}
		if err := replica.Close(); err != nil {
			tb.Error(err)
		}
	})
	started := time.Now()
	if err := replica.WaitFor(tb.Context(), token); err != nil {
		tb.Fatal(err)
	}
	stats, err := replica.Stats()
	if err != nil {
		tb.Fatal(err)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	tb.Logf("indexed %d sections of %d documents in %s: %.1f MB of text, %.1f MB on disk, heap %.1f MB",
		stats.Sections, stats.Documents, time.Since(started).Round(time.Millisecond), mb(stats.TextBytes), mb(stats.DiskBytes), mb(int64(m.HeapAlloc)))
	job, err := New(DefaultConfig(), replica)
	if err != nil {
		tb.Fatal(err)
	}
	return job
}

func mb(n int64) float64 { return float64(n) / (1 << 20) }
