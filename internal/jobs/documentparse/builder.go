package documentparse

import (
	"fmt"
	"strings"

	"github.com/jobyard/jobyard/tasks"
)

type blockKind uint8

const (
	blockText blockKind = iota
	blockHeading
	blockCode
	blockTable
)

// block is one piece of a document in reading order: what all readers make and
// the result is assembled from.
type block struct {
	kind   blockKind
	level  int    // of a heading, 1 to 6
	tight  bool   // follows the block before on the next line, as items of a list
	text   string // plain; code as it is; a table's rows as lines
	detail string // a heading's own anchor, or a code block's language
	table  *tasks.DocumentTable
}

// builder gathers a document within the bounds of the room. Over a bound it
// warns once and leaves out what is over.
type builder struct {
	sha      string
	base     linkBase
	title    string // the best title so far
	filename string // the title of last resort
	declared string // the language that the document names
	media    string // replaces the format's content type
	markdown string
	blocks   []block
	links    []tasks.DocumentLink
	metadata map[string]any
	warnings []tasks.DocumentWarning
	warned   map[string]bool

	size, headings, codes, tables int

	report func(tasks.Progress) // nil where nobody wants to know how far it is
	source int                  // bytes of the document
}

// reportEvery is how many blocks are added between two reports.
const reportEvery = 64

func newBuilder(sha string, base linkBase) *builder {
	return &builder{sha: sha, base: base, metadata: map[string]any{}, warned: map[string]bool{}}
}

// warn records a warning, the first of each code.
func (b *builder) warn(code, detail string) {
	if !b.warned[code] {
		b.warned[code] = true
		b.warnings = append(b.warnings, tasks.DocumentWarning{Code: code, Detail: detail})
	}
}

// set records metadata that is worth a line; the first value stays.
func (b *builder) set(key string, value any) {
	if s, ok := value.(string); ok {
		if s = fold(s); s == "" {
			return
		}
		value = clip(s, 2000)
	}
	if _, ok := b.metadata[key]; !ok {
		b.metadata[key] = value
	}
}

// add appends a block while the text is within its bound.
func (b *builder) add(bl block) {
	if b.size += len(bl.text) + 2; b.size > maxText {
		room := len(bl.text) - (b.size - maxText)
		b.size = maxText
		b.warn("truncated", fmt.Sprintf("the text is over %d bytes; what follows was left out", maxText))
		if room <= 0 || bl.kind == blockTable {
			return
		}
		bl.text = clip(bl.text, room)
	}
	b.blocks = append(b.blocks, bl)
	if b.report != nil && len(b.blocks)%reportEvery == 0 {
		b.report(tasks.Progress{Done: int64(b.size), Total: int64(max(b.source, b.size))})
	}
}

// paragraph adds plain text; tight joins it to the block before.
func (b *builder) paragraph(text string, tight bool) {
	if text = strings.Trim(text, "\n"); strings.TrimSpace(text) != "" {
		b.add(block{text: text, tight: tight})
	}
}

// heading begins a section; anchor may be empty.
func (b *builder) heading(level int, text, anchor string) {
	if text = fold(text); text == "" {
		return
	}
	if b.headings++; b.headings > maxSections {
		b.warn("limit_exceeded", fmt.Sprintf("only the first %d headings begin a section", maxSections))
		b.paragraph(text, false)
		return
	}
	b.add(block{kind: blockHeading, level: level, text: clip(text, 1000), detail: clip(anchor, 300)})
}

// code adds a block of code, without its last line end.
func (b *builder) code(language, text string) {
	text = strings.TrimSuffix(text, "\n")
	if b.codes++; b.codes > maxPieces {
		b.warn("limit_exceeded", fmt.Sprintf("only the first %d code blocks are listed", maxPieces))
		b.paragraph(text, false)
		return
	}
	b.add(block{kind: blockCode, text: text, detail: clip(language, 60)})
}

// tableOf adds a table whose rows have the width of the header.
func (b *builder) tableOf(t tasks.DocumentTable) {
	text := tableText(t)
	if strings.TrimSpace(text) == "" {
		return
	}
	if b.tables++; b.tables > maxPieces {
		b.warn("limit_exceeded", fmt.Sprintf("only the first %d tables are listed", maxPieces))
		b.paragraph(text, false)
		return
	}
	b.add(block{kind: blockTable, text: text, table: &t})
}

// tableText writes a table's rows as lines, the cells apart by bars.
func tableText(t tasks.DocumentTable) string {
	var s strings.Builder
	write := func(cells []string) {
		line := strings.Join(cells, " | ")
		if strings.Trim(line, " |") != "" {
			s.WriteString(line)
			s.WriteByte('\n')
		}
	}
	write(t.Header)
	for _, row := range t.Rows {
		write(row)
	}
	return strings.TrimRight(s.String(), "\n")
}

// link records a link that is safe to follow.
func (b *builder) link(href, text string) {
	href, ok := b.base.resolve(href)
	if !ok || href == "" {
		return
	}
	if len(b.links) >= maxLinks {
		b.warn("limit_exceeded", fmt.Sprintf("only the first %d links are listed", maxLinks))
		return
	}
	b.links = append(b.links, tasks.DocumentLink{Href: href, Text: clip(fold(text), 300)})
}
