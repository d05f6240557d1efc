package documentparse

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jobyard/jobyard/tasks"
)

// checkInvariants holds what every result promises.
func checkInvariants(tb testing.TB, r tasks.DocumentParseResult) {
	tb.Helper()
	raw, err := json.Marshal(r)
	if err != nil {
		tb.Fatalf("the result is no JSON: %v", err)
	}
	if len(raw) > 32<<20 {
		tb.Errorf("the result has %d bytes, the store takes 32 MiB", len(raw))
	}
	for _, s := range []string{r.Title, r.Text, r.Markdown} {
		if !utf8.ValidString(s) {
			tb.Fatalf("invalid UTF-8: %.100q", s)
		}
	}
	checkSections(tb, r)
	checkChunks(tb, r)
	for _, l := range r.Links {
		if unsafeScheme(l.Href) || l.Href == "" || !utf8.ValidString(l.Href+l.Text) {
			tb.Errorf("bad link %q", l.Href)
		}
	}
	for _, c := range r.Code {
		if !strings.Contains(r.Text, c.Code) || !utf8.ValidString(c.Code+c.Language) {
			tb.Errorf("code is not in the text: %.100q", c.Code)
		}
	}
}

// checkSections holds that sections cover the text in order, with unique ids
// and anchors.
func checkSections(tb testing.TB, r tasks.DocumentParseResult) {
	tb.Helper()
	seen := map[string]bool{}
	at := 0
	for i, s := range r.Sections {
		if seen[s.ID] || s.Anchor != "" && seen["#"+s.Anchor] || s.Level == 0 && i > 0 {
			tb.Fatalf("section %d is not unique or out of place: %+.200v", i, s)
		}
		seen[s.ID], seen["#"+s.Anchor] = true, true
		for _, part := range []string{s.Heading, s.Text} {
			n := strings.Index(r.Text[at:], part)
			if n < 0 || strings.Trim(r.Text[at:at+n], "\n") != "" {
				tb.Fatalf("section %s does not follow the one before: %.100q", s.ID, part)
			}
			at += n + len(part)
		}
	}
	if strings.Trim(r.Text[at:], "\n") != "" {
		tb.Fatalf("text behind the last section: %.100q", r.Text[at:])
	}
}

// checkChunks holds that chunks are pieces of the text in order that leave out
// nothing but white space, are within the limit, and cover every section.
func checkChunks(tb testing.TB, r tasks.DocumentParseResult) {
	tb.Helper()
	at := 0
	covered := map[string]bool{}
	ids := map[string]bool{}
	for _, c := range r.Chunks {
		n := strings.Index(r.Text[at:], c.Text)
		if n < 0 || strings.TrimSpace(r.Text[at:at+n]) != "" {
			tb.Fatalf("chunk %s does not follow the one before: %.100q", c.ID, c.Text)
		}
		at += n + len(c.Text)
		if c.Tokens > chunkTokens || c.Tokens < 1 || ids[c.ID] {
			tb.Fatalf("chunk %s has %d tokens, or its id twice", c.ID, c.Tokens)
		}
		ids[c.ID], covered[c.Section] = true, true
	}
	if strings.TrimSpace(r.Text[at:]) != "" {
		tb.Fatalf("text behind the last chunk: %.100q", r.Text[at:])
	}
	for _, s := range r.Sections {
		if !covered[s.ID] && strings.TrimSpace(s.Heading+s.Text) != "" {
			tb.Fatalf("section %s has no chunk", s.ID)
		}
	}
}
