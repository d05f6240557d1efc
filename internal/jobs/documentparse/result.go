package documentparse

import (
	"fmt"
	"strings"

	"github.com/jobyard/jobyard/tasks"
)

// span is where a block stands in the document's text.
type span struct {
	start, end int
	whole      bool // code and tables are not split without need
}

// result assembles the document from the gathered blocks.
func (b *builder) result(f format) tasks.DocumentParseResult {
	r := tasks.DocumentParseResult{
		ContentType: f.contentType(), SHA256: b.sha, Markdown: strings.TrimSpace(b.markdown),
		Sections: []tasks.DocumentSection{}, Links: b.links, Code: []tasks.DocumentCode{},
		Tables: []tasks.DocumentTable{}, Chunks: []tasks.DocumentChunk{}, Metadata: b.metadata,
	}
	if b.media != "" {
		r.ContentType = b.media
	}
	b.set("format", string(f))
	if b.declared != "" {
		b.set("language_declared", b.declared)
	}
	b.layOut(&r)
	r.Title = clip(fold(b.titleOr(r.Sections)), 500)
	r.Language = detectLanguage(b.prose(), b.declared)
	r.Words = countWords(r.Text)
	if r.Text == "" {
		b.warn("no_text", "no text was found in the document")
	}
	r.Warnings = b.warnings
	if r.Warnings == nil {
		r.Warnings = []tasks.DocumentWarning{}
	}
	if r.Links == nil {
		r.Links = []tasks.DocumentLink{}
	}
	return r
}

// layOut writes the text and, over it, the sections and chunks.
func (b *builder) layOut(r *tasks.DocumentParseResult) {
	var text strings.Builder
	text.Grow(b.size)
	anchors := anchorSet{}
	c := chunker{sha: b.sha}
	bodies := []int{} // where each section's text begins
	for i, bl := range b.blocks {
		if text.Len() > 0 && bl.text != "" {
			text.WriteString(separator(bl))
		}
		if bl.kind == blockHeading || i == 0 {
			s := tasks.DocumentSection{ID: fmt.Sprintf("s%d", len(r.Sections)+1)}
			if bl.kind == blockHeading {
				s.Level, s.Heading, s.Anchor = bl.level, bl.text, anchors.take(bl.detail, bl.text)
			}
			r.Sections = append(r.Sections, s)
			bodies = append(bodies, text.Len())
			c.section(s.ID)
		}
		start := text.Len()
		text.WriteString(bl.text)
		c.add(span{start, text.Len(), bl.kind == blockCode || bl.kind == blockTable})
		section := r.Sections[len(r.Sections)-1].ID
		switch bl.kind {
		case blockHeading:
			bodies[len(bodies)-1] = text.Len()
		case blockCode:
			r.Code = append(r.Code, tasks.DocumentCode{Language: bl.detail, Code: bl.text, Section: section})
		case blockTable:
			bl.table.Section = section
			r.Tables = append(r.Tables, *bl.table)
		}
	}
	r.Text = text.String()
	for i := range r.Sections {
		end := len(r.Text)
		if i+1 < len(bodies) {
			end = bodies[i+1] - len(r.Sections[i+1].Heading)
		}
		r.Sections[i].Text = strings.Trim(r.Text[bodies[i]:end], "\n")
	}
	r.Chunks = append(r.Chunks, c.chunks(r.Text)...)
}

func separator(bl block) string {
	if bl.tight {
		return "\n"
	}
	return "\n\n"
}

// titleOr is the document's own title, else the first heading of the highest
// level among the first few, else the file's name.
func (b *builder) titleOr(sections []tasks.DocumentSection) string {
	if b.title != "" {
		return b.title
	}
	best, level := b.filename, 7
	for _, s := range sections[:min(len(sections), 20)] {
		if s.Level > 0 && s.Level < level {
			best, level = s.Heading, s.Level
		}
	}
	return best
}

// prose is up to 1.5 KB of text that people wrote: no code, no tables. More makes
// the language no surer and costs more than the parse of a small document.
func (b *builder) prose() string {
	const enough = 1500
	var s strings.Builder
	for _, bl := range b.blocks {
		if bl.kind == blockText || bl.kind == blockHeading {
			s.WriteString(clip(bl.text, enough-s.Len()))
			s.WriteByte('\n')
		}
		if s.Len() >= enough {
			break
		}
	}
	return s.String()
}
