package documentparse

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/datatest"
)

// benchmarkFiles parses every file of a folder of the shared data per round.
func benchmarkFiles(b *testing.B, in Input, suffix string, elem ...string) {
	dir := datatest.Path(b, elem...)
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	var inputs []Input
	size := 0
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".gz")
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		one := in
		one.Data, one.Filename = readData(b, filepath.Join(dir, e.Name())), name
		inputs = append(inputs, one)
		size += len(one.Data)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, in := range inputs {
			if _, err := Parse(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkParseMarkdown(b *testing.B) {
	benchmarkFiles(b, Input{}, ".md", "documents", "markdown")
}

func BenchmarkParseMDX(b *testing.B) { benchmarkFiles(b, Input{}, ".mdx", "documents", "markdown") }

func BenchmarkParseHTML(b *testing.B) {
	benchmarkFiles(b, Input{Charset: "utf-8"}, ".html", "documents", "html", "aeb")
}

// BenchmarkParseHTMLDocs reads a page of documentation, which needs no
// extractor.
func BenchmarkParseHTMLDocs(b *testing.B) {
	in := Input{Data: readData(b, "testdata/golden/docs.html"), ContentType: "text/html"}
	b.SetBytes(int64(len(in.Data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}
