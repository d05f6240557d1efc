package search

import (
	"html"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jobyard/jobyard/internal/library"
	"github.com/jobyard/jobyard/tasks"
)

const maxWhyWords = 10 // by field

func (j *Job) hit(h library.Hit) tasks.SearchHit {
	h.Matches = telling(h)
	return tasks.SearchHit{
		ID: h.Section.ID, Document: h.Document.URI, Collection: h.Document.Collection,
		Title: h.Document.Title, Heading: h.Section.Heading, Anchor: h.Section.Anchor,
		URL: address(h), Snippet: snippet(h, j.cfg.SnippetBytes), Score: h.Score, Why: why(h.Matches),
	}
}

// address leads to the section: the document's address with the anchor in
// place of any fragment.
func address(h library.Hit) string {
	page := h.Document.URL
	if page == "" {
		page = h.Document.URI
	}
	if h.Section.Anchor == "" {
		return page
	}
	page, _, _ = strings.Cut(page, "#")
	return page + "#" + h.Section.Anchor
}

// why says field by field which of the query's words matched, the field with
// the most of them first and otherwise as they weigh.
func why(matches []library.Match) []string {
	type line struct {
		field string
		words []string
	}
	var lines []line
	for _, m := range matches {
		i := slices.IndexFunc(lines, func(l line) bool { return l.field == m.Field })
		if i < 0 {
			i = len(lines)
			lines = append(lines, line{field: m.Field})
		}
		if l := &lines[i]; len(l.words) < maxWhyWords && !slices.Contains(l.words, m.Word) {
			l.words = append(l.words, m.Word)
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return len(b.words) - len(a.words) })
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l.field + ": " + strings.Join(l.words, ", ")
	}
	return out
}

// snippet is the piece of the body, or else of the code, that holds the most of
// the query's words.
func snippet(h library.Hit, size int) string {
	body, code := marks(h.Matches, "body"), marks(h.Matches, "code")
	if len(body) == 0 && len(code) > 0 || h.Section.Body == "" {
		return excerpt(h.Section.Code, code, size)
	}
	return excerpt(h.Section.Body, body, size)
}

func marks(matches []library.Match, field string) []library.Match {
	var out []library.Match
	for _, m := range matches {
		if m.Field == field {
			out = append(out, m)
		}
	}
	// An identifier stands before its parts: the outer mark covers them.
	slices.SortStableFunc(out, func(a, b library.Match) int {
		if a.Start != b.Start {
			return a.Start - b.Start
		}
		return b.End - a.End
	})
	return out
}

// excerpt cuts about size bytes out of the text around the marks and renders them.
func excerpt(text string, marks []library.Match, size int) string {
	from, to := window(text, marks, size)
	var out strings.Builder
	if from > 0 {
		out.WriteString("… ")
	}
	at := from
	for i := 0; i < len(marks); i++ {
		start, end := marks[i].Start, marks[i].End
		if start < at || end > to {
			continue
		}
		// Pairs of ideographs overlap: one mark covers a run of them.
		for i+1 < len(marks) && marks[i+1].Start < end && marks[i+1].End <= to {
			i++
			end = max(end, marks[i].End)
		}
		out.WriteString(plain(text[at:start]))
		out.WriteString("<mark>" + plain(text[start:end]) + "</mark>")
		at = end
	}
	out.WriteString(plain(text[at:to]))
	if to < len(text) {
		out.WriteString(" …")
	}
	return out.String()
}

// window chooses the stretch with the most different words, the first of
// equals, with some context before it.
func window(text string, marks []library.Match, size int) (from, to int) {
	if len(text) <= size {
		return 0, len(text)
	}
	first, most := 0, 0
	for i, m := range marks {
		words := map[string]bool{}
		for _, n := range marks[i:] {
			if n.End > m.Start+size*3/4 {
				break
			}
			words[n.Word] = true
		}
		if len(words) > most {
			first, most = m.Start, len(words)
		}
	}
	from = max(0, min(first-size/4, len(text)-size))
	from = wordStart(text, from)
	return from, wordEnd(text, min(len(text), from+size), from)
}

// maxWordShift bounds the way to a space: scripts without spaces are cut
// between any two characters.
const maxWordShift = 24

func wordStart(text string, i int) int {
	for k := i; i > 0 && k < len(text) && k < i+maxWordShift; k++ {
		if text[k] == ' ' || text[k] == '\n' {
			return k + 1
		}
	}
	for i > 0 && i < len(text) && !utf8.RuneStart(text[i]) {
		i++
	}
	return i
}

func wordEnd(text string, i, from int) int {
	if i == len(text) {
		return i
	}
	for k := i; k > from && k > i-maxWordShift; k-- {
		if text[k] == ' ' || text[k] == '\n' {
			return k
		}
	}
	for i > from && !utf8.RuneStart(text[i]) {
		i--
	}
	return i
}

// plain makes text safe inside of HTML and keeps it on one line.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return html.EscapeString(s)
}
