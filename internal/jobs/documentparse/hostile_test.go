package documentparse

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/datatest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// hostileFaults are the files that must end in a fault; all others end in a
// result. Formats that are not read yet are rejected whatever is in them.
var hostileFaults = map[string]tasks.Reason{
	"html-50mb-single-line.html": tasks.ReasonTooLarge, "html-1m-links.html": tasks.ReasonTooLarge,
	"text-50mb-single-line.txt": tasks.ReasonTooLarge, "polyglot-pdf-named.html": tasks.ReasonRejected,
}

// TestQuality_HostileFiles runs alone in its package: each file has as long as a
// task has by default.
func TestQuality_HostileFiles(t *testing.T) {
	dir := datatest.Path(t, "documents", "hostile")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	survived := 0
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".gz")
		if t.Run(name, func(t *testing.T) {
			data := readData(t, filepath.Join(dir, e.Name()))
			if testing.Short() && len(data) > 100_000 {
				t.Skip("large hostile files are not read in short mode")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			start := time.Now()
			res, err := Parse(ctx, Input{Data: data, Filename: name})
			took := time.Since(start).Round(time.Millisecond)
			if err != nil {
				f := fault.Of(err)
				t.Logf("%s in %s: %s %s", name, took, f.Reason, f.Message)
				checkHostileFault(t, name, f, len(data))
				return
			}
			t.Logf("%s in %s: %s, %d bytes of text, %d sections, %d links, %v", name, took, res.ContentType, len(res.Text), len(res.Sections), len(res.Links), res.Warnings)
			if want, ok := hostileFaults[name]; ok {
				t.Errorf("got a result, want fault %s", want)
			}
			checkInvariants(t, res)
			checkNeedle(t, data, res)
		}) {
			survived++
		}
	}
	datatest.Quality(t, "document_parse_hostile_survived", datatest.Share(survived, len(entries)), 1)
}

func checkHostileFault(t *testing.T, name string, f *fault.Error, size int) {
	t.Helper()
	if f.Verdict != fault.Permanent {
		t.Errorf("got a retryable fault, want a permanent one")
	}
	want, ok := hostileFaults[name]
	switch ext := filepath.Ext(name); {
	case ok && f.Reason == want:
	case ext == ".pdf" || ext == ".docx" || ext == ".epub":
		if f.Reason != tasks.ReasonRejected && f.Reason != tasks.ReasonInvalid {
			t.Errorf("got reason %s, want rejected or invalid", f.Reason)
		}
	case size > maxInput && f.Reason == tasks.ReasonTooLarge:
	default:
		t.Errorf("got fault %s: %s, want a result", f.Reason, f.Message)
	}
}

// checkNeedle holds that a document read by a fallback has kept its text.
func checkNeedle(t *testing.T, data []byte, res tasks.DocumentParseResult) {
	t.Helper()
	if strings.Contains(string(data), "needle") && !strings.Contains(string(data), "needle_script") &&
		!strings.Contains(res.Text+res.Title, "needle") && len(data) < maxText {
		t.Errorf("the word needle is lost: %.300q", res.Text)
	}
	if strings.Contains(res.Text, "needle_script") {
		t.Error("the text of a script is in the result")
	}
}
