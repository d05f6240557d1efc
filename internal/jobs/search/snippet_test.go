package search

import (
	"html"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jobyard/jobyard/internal/library"
)

func at(text, word string) library.Match {
	i := strings.Index(text, word)
	return library.Match{Field: "body", Start: i, End: i + len(word), Word: word}
}

func TestExcerpt(t *testing.T) {
	t.Parallel()
	filler := strings.Repeat("nothing to see here ", 40)
	long := filler + "alpha one " + filler + "alpha beta two " + filler
	ja := strings.Repeat("あいうえお", 60) + "写真" + strings.Repeat("かきくけこ", 60)
	for _, c := range []struct {
		name, text string
		marks      []library.Match
		want       string // a part of it
	}{
		{"escapes and marks", "a<b>&\"c\"", []library.Match{{Start: 1, End: 4}}, `a<mark>&lt;b&gt;</mark>&amp;&#34;c&#34;`},
		{"joins overlapping pairs", "東京都に", []library.Match{{Start: 0, End: 6}, {Start: 3, End: 9}}, "<mark>東京都</mark>に"},
		{"joins parts of an identifier", "useState!", []library.Match{{Start: 0, End: 8}, {Start: 0, End: 3}, {Start: 3, End: 8}}, "<mark>useState</mark>!"},
		{"prefers the place with more words", long, []library.Match{at(long, "alpha one"), at(long, "alpha beta"), at(long, "two")}, "<mark>alpha beta</mark> <mark>two</mark>"},
		{"keeps one line", "a\nb\tc\x00\x1bd", nil, "a b cd"},
		{"cuts between characters", ja, []library.Match{at(ja, "写真")}, "<mark>写真</mark>"},
		{"begins at the start without marks", long, nil, "nothing to see here nothing"},
		{"stands empty text", "", nil, ""},
	} {
		got := excerpt(c.text, c.marks, 240)
		if !strings.Contains(got, c.want) || !utf8.ValidString(got) || len(got) > 400 {
			t.Errorf("%s: got %q, want %q in it", c.name, got, c.want)
		}
	}
}

// "a" and "is" match nearly everywhere: an excerpt around them, or marks on them,
// would tell nothing.
func TestHit_PassesOverStopWords(t *testing.T) {
	t.Parallel()
	j := &Job{cfg: DefaultConfig()}
	text := strings.Repeat("what is a thing, ", 60) + "the worker gets killed " + strings.Repeat("and so on ", 60)
	matches := []library.Match{at(text, "what"), at(text, "is"), at(text, "a "), at(text, "worker"), at(text, "killed")}
	matches[0].Word, matches[2].Word = "What", "a"
	hit := library.Hit{Section: library.Section{Body: text}, Document: library.Document{Language: "en"}, Matches: matches}
	got := j.hit(hit)
	if !strings.Contains(got.Snippet, "<mark>worker</mark> gets <mark>killed</mark>") || strings.Join(got.Why, "; ") != "body: worker, killed" {
		t.Errorf("got %q, %q", got.Snippet, got.Why)
	}
	hit.Matches = matches[:3]
	if got := j.hit(hit); strings.Join(got.Why, "; ") != "body: What, is, a" {
		t.Errorf("nothing but stop words: got %q", got.Why)
	}
	hit.Document.Language, hit.Matches = "de", matches
	if got := j.hit(hit); strings.Join(got.Why, "; ") != "body: What, is, a, worker, killed" {
		t.Errorf("another language: got %q", got.Why)
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add("some <text> to cut & mark", uint(5), uint(11), uint(3), uint(9), 40)
	f.Add("東京都", uint(0), uint(6), uint(3), uint(9), 40)
	f.Fuzz(func(t *testing.T, text string, a, b, c, d uint, size int) {
		if size < 40 || size > 4000 || a >= b || c >= d || b > uint(len(text)) || d > uint(len(text)) {
			return
		}
		got := excerpt(text, marks([]library.Match{
			{Field: "body", Start: int(a), End: int(b), Word: "x"}, {Field: "body", Start: int(c), End: int(d), Word: "y"},
		}, "body"), size)
		if strings.Count(got, "<mark>") != strings.Count(got, "</mark>") || !utf8.ValidString(got) {
			t.Errorf("got %q", got)
		}
		bare := strings.NewReplacer("<mark>", "", "</mark>", "").Replace(got)
		if strings.ContainsAny(bare, "<>\"\n\x00") || len(html.UnescapeString(bare)) > 3*size+40 {
			t.Errorf("got %q", got)
		}
	})
}
