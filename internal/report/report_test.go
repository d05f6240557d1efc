package report

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

func completed(t *testing.T, kind string, result any) tasks.Task {
	t.Helper()
	raw, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return tasks.Task{
		ID: "id-1", Kind: kind, Queue: kind, State: tasks.Completed, Attempts: 1, EnqueuedAt: at, StartedAt: at.Add(time.Millisecond),
		FinishedAt: at.Add(31 * time.Millisecond), Node: "node-1", PeakMemory: 3 << 20, Result: raw,
	}
}

// check compares a report with what people are to see.
func check(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimLeft(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTask_Search(t *testing.T) {
	t.Parallel()
	check(t, Style{}.Task(completed(t, "search", tasks.SearchResult{
		Total: 1234, TookMS: 3.42, DidYouMean: "install expo", Stale: true,
		Hits: []tasks.SearchHit{{
			Title: "Guide", Heading: "Install", Document: "docs/guide.md", Anchor: "install", Score: 1.5,
			Snippet: "First <mark>install</mark> the \x1b[31mtools &amp; &lt;b&gt;", Why: []string{"heading: install"},
		}},
		Facets: map[string]map[string]int{"language": {"en": 3, "de": 9}},
	})), `
1,234 hits in 3.4 ms
did you mean install expo?
the newest documents are not in this answer yet

 1. Guide › Install 1.50
    docs/guide.md#install
    First install the [31mtools & <b>
    matched heading: install

language de 9 · en 3
waited 1 ms · ran 30 ms · 3.0 MiB of memory · on node-1 · task id-1
`)
}

func TestTask_Document(t *testing.T) {
	t.Parallel()
	check(t, Style{}.Task(completed(t, "document_parse", tasks.DocumentParseResult{
		Title: "A\nGuide", ContentType: "text/markdown", Language: "en", Words: 1200, Token: "5-0",
		Sections: []tasks.DocumentSection{{Level: 0}, {Level: 1, Heading: "Guide"}, {Level: 2, Heading: "Install"}},
		Chunks:   []tasks.DocumentChunk{{Tokens: 700}, {Tokens: 300}},
		Links:    []tasks.DocumentLink{{}}, Code: []tasks.DocumentCode{{}, {}}, Tables: []tasks.DocumentTable{{}},
		Warnings: []tasks.DocumentWarning{{Code: "truncated", Detail: "the end is missing"}},
	})), `
A Guide
text/markdown · en · 1,200 words · 3 sections · 2 chunks (about 1,000 tokens) · 1 link · 2 code blocks · 1 table
  Guide
    Install
  ! truncated: the end is missing
indexed; a search with min_token 5-0 sees it
waited 1 ms · ran 30 ms · 3.0 MiB of memory · on node-1 · task id-1
`)
}

func TestTask_SDK(t *testing.T) {
	t.Parallel()
	old := "use other"
	check(t, Style{}.Task(completed(t, "sdk_fetch", tasks.SDKFetchResult{
		Ecosystem: "npm", Name: "left", Version: "1.2.3", PublishedAt: time.Date(2025, 5, 6, 0, 0, 0, 0, time.UTC), License: "MIT",
		Description: "Pads.", Deprecated: &old, Repository: "https://example.com/left", Dist: tasks.SDKDist{Verified: true, VerifiedBy: "sri", Size: 2048},
		Dependencies: map[string]string{"b": "^2", "a": "^1"}, API: []tasks.SDKSymbol{{Kind: "const", Name: "x"}, {Kind: "func", Signature: "function left(s: string): string"}},
		Sources: []tasks.SDKSource{{Source: "tarball", OK: true}, {Source: "sumdb", Error: "away"}},
	})), `
npm left 1.2.3 verified by sri · 2.0 KiB · 2025-05-06 · MIT
  Pads.
  deprecated: use other
  repository https://example.com/left
  dependencies 2
    a ^1, b ^2
  api 2 symbols
    function left(s: string): string
    const x
  ! sumdb: away
waited 1 ms · ran 30 ms · 3.0 MiB of memory · on node-1 · task id-1
`)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	check(t, Style{}.Config(tasks.ConfigGenResult{
		Files: []tasks.ConfigFile{
			{Path: "app.json", Format: "json", Content: "{\n  \"a\": 1\n}\n", Changed: true},
			{Path: "x.env", Format: "dotenv", Content: "A=\x1b]0;evil\x07b\n"},
		},
		Diagnostics: []tasks.ConfigDiagnostic{{File: "app.json", Path: "/a", Severity: "error", Message: "is wrong, and the line that says so is longer than the screen is wide, as this one"}},
	}, 2), `
2 files not valid
  error app.json /a: is wrong, and the line that says so is longer than the
    screen is wide, as this one

app.json (json)
  {
    "a": 1
  … and 1 line more

x.env (dotenv, unchanged)
  A=]0;evilb
`)
}

func TestTask_Failures(t *testing.T) {
	t.Parallel()
	check(t, Style{}.Task(tasks.Task{ID: "i", Kind: "search", State: tasks.Archived, Error: &tasks.Error{
		Reason: tasks.ReasonInvalid, Message: "bad\x1b[2J\ninput", Fields: []tasks.FieldError{{Path: "payload.query", Message: "must not be empty"}}, Retryable: true,
	}}), `
search archived, invalid: bad[2J input
  payload.query: must not be empty
  the same request may succeed later
task i
`)
	fields := []tasks.FieldError{{Path: "payload.query", Message: "must not be empty"}, {Path: "payload.limit", Message: "must be 1"}}
	check(t, Style{}.Failure(tasks.Task{Kind: "search", State: tasks.Archived, Error: &tasks.Error{
		Reason: tasks.ReasonInvalid, Message: (&tasks.InvalidError{Fields: fields}).Error(), Fields: fields,
	}}), `
search archived, invalid
  payload.query: must not be empty
  payload.limit: must be 1
`)
	if got := (Style{}).Result(tasks.Task{Kind: "search", State: tasks.Completed, Result: json.RawMessage(`[]`)}); !strings.Contains(got, "cannot be shown") {
		t.Errorf("a result of another form: got %q", got)
	}
	if got := (Style{}).Result(tasks.Task{Kind: "nope"}); !strings.Contains(got, `"nope" is not known`) {
		t.Errorf("an unknown kind: got %q", got)
	}
}

func TestColor(t *testing.T) {
	t.Parallel()
	s := Style{Color: true}
	got := s.Search(tasks.SearchResult{Hits: []tasks.SearchHit{{Snippet: "a <mark>b</mark> <mark>" + strings.Repeat("word ", 100)}}})
	if !strings.Contains(got, "a \x1b[33mb\x1b[0m") || strings.Count(got, "\x1b[33m") > strings.Count(got, "\x1b[0m") || strings.ContainsAny(got, markOn+markOff) {
		t.Errorf("got %q", got)
	}
	if got := (Style{}).Search(tasks.SearchResult{Hits: []tasks.SearchHit{{Snippet: "a <mark>b</mark>"}}}); strings.Contains(got, "\x1b") {
		t.Errorf("colors without Color: %q", got)
	}
	rows := [][]string{{s.paint(green, "ok"), "x"}, {"failed", "y"}}
	check(t, Table(rows), "\x1b[32mok\x1b[0m      x\nfailed  y\n")
}

func TestFigures(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		Count(1, "hit"): "1 hit", Count(0, "hit"): "0 hits", Count(1234567, "query"): "1,234,567 queries", Count(999, "task"): "999 tasks",
		Bytes(0): "0 B", Bytes(1023): "1023 B", Bytes(1536): "1.5 KiB", Bytes(256 << 20): "256 MiB",
		Span(-1): "0 ms", Span(90 * time.Microsecond): "90 µs", Span(1500 * time.Microsecond): "1.5 ms", Span(250 * time.Millisecond): "250 ms",
		Span(2500 * time.Millisecond): "2.5 s", Span(90 * time.Second): "1m30s",
		cut("日本語テキスト", 5): "日本…", cut("short", 5): "short",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	at := time.Unix(1000, 0)
	for d, want := range map[time.Duration]string{0: "<1 ms", -time.Second: "<1 ms", 7 * time.Millisecond: "7 ms", 1234 * time.Millisecond: "1.2 s"} {
		if got := Took(at, at.Add(d)); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1b[31mb\u202e\x00<mark>x", 5)
	f.Fuzz(func(t *testing.T, text string, width int) {
		s := Style{Width: width % 200}
		r := tasks.SearchResult{Hits: []tasks.SearchHit{{Title: text, Heading: text, Snippet: text, URL: text, Why: []string{text}}}}
		for _, got := range []string{s.Search(r), s.Text(text), s.Document(tasks.DocumentParseResult{Title: text}), s.List([]string{text})} {
			for _, c := range got {
				if c < ' ' && c != '\n' && c != '\t' || c == 0x7f || c == '\u202e' {
					t.Fatalf("%q: control character in %q", text, got)
				}
			}
		}
	})
}
