package documentparse

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jobyard/jobyard/tasks"
)

// chunker cuts sections into chunks. A chunk is a literal piece of the text,
// belongs to one section, begins with the section's heading if it is the first
// there, and stays within chunkTokens.
type chunker struct {
	sha      string
	sections []chunkSection
}

type chunkSection struct {
	id    string
	spans []span
}

func (c *chunker) section(id string) { c.sections = append(c.sections, chunkSection{id: id}) }

func (c *chunker) add(s span) {
	last := &c.sections[len(c.sections)-1]
	last.spans = append(last.spans, s)
}

func (c *chunker) chunks(text string) []tasks.DocumentChunk {
	var out []tasks.DocumentChunk
	emit := func(section string, s span) {
		piece := strings.Trim(text[s.start:s.end], "\n")
		if strings.TrimSpace(piece) == "" {
			return
		}
		out = append(out, tasks.DocumentChunk{
			ID: fmt.Sprintf("%.12s-%04d", c.sha, len(out)+1), Section: section, Text: piece, Tokens: estimateTokens(piece),
		})
	}
	for _, sec := range c.sections {
		var open span
		quarters := 0 // of tokens in open
		for _, s := range sec.spans {
			if open.end > 0 {
				if more := quarterTokens(text[open.end:s.end]); quarters+more <= 4*chunkTokens {
					open.end = s.end
					quarters += more
					continue
				}
				emit(sec.id, open)
			}
			open = splitLong(text, s, func(part span) { emit(sec.id, part) })
			quarters = quarterTokens(text[open.start:open.end])
		}
		if open.end > 0 {
			emit(sec.id, open)
		}
	}
	return out
}

// splitLong emits the parts of a block that is over the limit alone, and returns
// the rest that still has room.
func splitLong(text string, s span, emit func(span)) span {
	for s.start < s.end {
		n := fitting(text[s.start:s.end])
		if s.start+n >= s.end {
			return s
		}
		cut := breakBefore(text[s.start:s.start+n], s.whole)
		emit(span{s.start, s.start + cut, s.whole})
		s.start += cut
	}
	return span{}
}

// fitting is the length of the longest beginning of s within chunkTokens.
func fitting(s string) int {
	quarters := 0
	for i, r := range s {
		if quarters += quartersOf(r); quarters > 4*chunkTokens {
			return i
		}
	}
	return len(s)
}

// breakBefore finds the last good place to cut in s: a line's end for code, else
// also the end of a sentence or word; in the second half, or it cuts hard.
func breakBefore(s string, code bool) int {
	half := len(s) / 2
	if i := strings.LastIndexByte(s, '\n'); i >= half || code && i > 0 {
		return i + 1
	}
	for _, ends := range []string{"。！？", ".!?"} {
		if i := strings.LastIndexAny(s, ends); i >= half {
			_, n := utf8.DecodeRuneInString(s[i:])
			if i+n < len(s) && (n > 1 || s[i+n] == ' ') {
				return i + n
			}
		}
	}
	if i := strings.LastIndexByte(s, ' '); i >= half {
		return i + 1
	}
	return len(s)
}

// estimateTokens is a quarter of a token for each ASCII character, a half for
// each other letter, and a whole one for each Chinese, Japanese or Korean
// character, rounded up. Common tokenizers stay near or below it.
func estimateTokens(s string) int { return (quarterTokens(s) + 3) / 4 }

func quarterTokens(s string) int {
	quarters := 0
	for _, r := range s {
		quarters += quartersOf(r)
	}
	return quarters
}

func quartersOf(r rune) int {
	switch {
	case r < utf8.RuneSelf:
		return 1
	case isIdeographic(r) || unicode.Is(unicode.Hangul, r):
		return 4
	}
	return 2
}
