package library

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/lang/cjk"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
	tokenizer "github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
	"github.com/blevesearch/go-porterstemmer"
	"golang.org/x/text/unicode/norm"
)

// maxWordBytes bounds a word: what is longer is no word (an encoded blob, a
// hash) and is left out of the index.
const maxWordBytes = 100

// word is one word of a text, as the index sees it.
type word struct {
	surface    string // as written, folded: what typos and suggestions are about
	term       string // its stem: what is indexed and looked up
	start, end int    // bytes in the text
	cjk        bool   // a pair of ideographs or kana
}

// splitter cuts texts into words. One way for all languages: words by the rules of Unicode,
// widths and accents folded, English stems, and pairs of characters where a
// script has no spaces. It is safe for concurrent use.
type splitter struct {
	words      analysis.Tokenizer
	possessive analysis.TokenFilter
	filters    []analysis.TokenFilter // for text beyond ASCII
}

func newSplitter() *splitter {
	possessive := en.NewPossessiveFilter()
	return &splitter{tokenizer.NewUnicodeTokenizer(), possessive, []analysis.TokenFilter{
		cjk.NewCJKWidthFilter(), possessive, cjk.NewCJKBigramFilter(false),
	}}
}

// initials is a set of the bytes that words begin with, in lower case.
type initials [256]bool

// has reports whether a word may be in the set; nil is the set of all.
func (in *initials) has(raw []byte) bool {
	if in == nil || raw[0] >= utf8.RuneSelf { // folding may change it
		return true
	}
	if upper(raw[0]) {
		return in[raw[0]-'A'+'a']
	}
	return in[raw[0]]
}

// split returns the text's words in order. An identifier as useState,
// snake_case or app.json gives itself and then its parts. Words that begin
// otherwise than with one of only may be left out, which saves most of the work.
func (s *splitter) split(text string, only *initials) []word {
	raw := []byte(text)
	tokens := s.words.Tokenize(raw)
	if isASCII(raw) {
		tokens = s.possessive.Filter(tokens)
	} else {
		for _, f := range s.filters {
			tokens = f.Filter(tokens)
		}
	}
	out := make([]word, 0, len(tokens))
	for _, t := range tokens {
		if len(t.Term) > maxWordBytes {
			continue
		}
		if t.Type == analysis.Double || t.Type == analysis.Single || t.Type == analysis.Ideographic {
			term := string(t.Term)
			out = append(out, word{term, term, t.Start, t.End, true})
			continue
		}
		out = appendWord(out, t.Term, t.Start, t.End, only)
		if len(t.Term) == t.End-t.Start { // offsets of parts hold only for unfolded terms
			out = appendParts(out, t.Term, t.Start, only)
		}
	}
	return out
}

func appendWord(out []word, raw []byte, start, end int, only *initials) []word {
	if len(raw) == 0 || !only.has(raw) {
		return out
	}
	surface := fold(raw)
	if surface == "" {
		return out
	}
	return append(out, word{surface: surface, term: stem(surface), start: start, end: end})
}

// appendParts adds the parts of an identifier, if it has more than one.
func appendParts(out []word, raw []byte, start int, only *initials) []word {
	from := 0
	cut := func(to, next int) {
		if to-from > 1 && to-from < len(raw) {
			out = appendWord(out, raw[from:to], start+from, start+to, only)
		}
		from = next
	}
	for i := range raw {
		switch {
		case raw[i] == '.' || raw[i] == '_':
			cut(i, i+1)
		case i > from && upper(raw[i]) && (lower(raw[i-1]) || i+1 < len(raw) && upper(raw[i-1]) && lower(raw[i+1])):
			cut(i, i)
		}
	}
	cut(len(raw), len(raw))
	return out
}

func upper(b byte) bool { return 'A' <= b && b <= 'Z' }
func lower(b byte) bool { return 'a' <= b && b <= 'z' }

// fold lowers the case and removes what searchers don't type: compatibility
// forms, and the accents of Latin letters.
func fold(raw []byte) string {
	if isASCII(raw) {
		return string(bytes.ToLower(raw))
	}
	folded := norm.NFKC.String(strings.ToValidUTF8(string(raw), ""))
	if r, _ := utf8.DecodeRuneInString(folded); unicode.Is(unicode.Latin, r) {
		folded = norm.NFC.String(strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) {
				return -1
			}
			return r
		}, norm.NFD.String(folded)))
	}
	return strings.ToLower(folded)
}

// stem returns the English stem of a word of plain letters; others are their own.
func stem(surface string) string {
	for i := 0; i < len(surface); i++ {
		if !lower(surface[i]) {
			return surface
		}
	}
	return string(porterstemmer.StemWithoutLowerCasing([]rune(surface)))
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
