package sdkfetch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"

	"github.com/jobyard/jobyard/internal/library"
)

// Bounds of what goes into the library for one version.
const (
	maxSections = 500
	maxIndexed  = 2000
)

// document is the version as the library keeps it: the readme's sections and
// one section for each exported name. Its URI is a package URL, so that
// fetching the version again replaces it.
func (f *fetch) document(x Extracted) library.Document {
	r := f.result
	kind := map[string]string{"go": "golang", "npm": "npm"}[r.Ecosystem]
	d := library.Document{
		URI:         "pkg:" + kind + "/" + strings.ReplaceAll(r.Name, "@", "%40") + "@" + r.Version,
		Collection:  library.DefaultCollection,
		Title:       r.Name + " " + r.Version,
		ContentType: "text/markdown",
		URL:         r.Homepage,
		Sections:    x.Sections,
	}
	if d.URL == "" {
		d.URL = r.Repository
	}
	for i, s := range x.API {
		if i == maxIndexed {
			break
		}
		id := fmt.Sprintf("api-%d", i)
		d.Sections = append(d.Sections, library.Section{ID: id, Heading: s.Name, Anchor: s.Name, Level: 3, Body: s.Kind + " of " + s.Package + "\n" + s.Doc, Code: s.Signature})
	}
	h := sha256.New()
	for _, s := range d.Sections {
		_, _ = fmt.Fprintf(h, "%q %q %q\n", s.Heading, s.Body, s.Code)
	}
	d.SHA256 = hex.EncodeToString(h.Sum(nil))
	return d
}

// sections splits Markdown at its headings.
func sections(markdown string) []library.Section {
	if markdown == "" {
		return nil
	}
	src := []byte(markdown)
	s := splitter{src: src, out: []library.Section{{ID: "readme-0"}}}
	root := goldmark.DefaultParser().Parse(text.NewReader(src))
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok && len(s.out) < maxSections {
			title := s.plain(n)
			s.out = append(s.out, library.Section{ID: fmt.Sprintf("readme-%d", len(s.out)), Heading: title, Anchor: anchor(title), Level: h.Level})
			continue
		}
		s.block(n)
	}
	if first := s.out[0]; first.Body == "" && first.Code == "" {
		return s.out[1:]
	}
	return s.out
}

// splitter gathers the text and the code of each section.
type splitter struct {
	src []byte
	out []library.Section
}

// block adds a block to the section at the end.
func (s *splitter) block(n ast.Node) {
	last := &s.out[len(s.out)-1]
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering || n.Type() != ast.TypeBlock {
			return ast.WalkContinue, nil
		}
		switch n.(type) {
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			last.Code = joined(last.Code, string(n.Lines().Value(s.src)))
		case *ast.Paragraph, *ast.TextBlock, *ast.Heading:
			last.Body = joined(last.Body, s.plain(n))
		}
		return ast.WalkContinue, nil
	})
}

// plain is the text of a block's inline nodes.
func (s *splitter) plain(n ast.Node) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(s.src))
			if t.SoftLineBreak() || t.HardLineBreak() {
				b.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return strings.TrimSpace(b.String())
}

func joined(a, b string) string {
	b = strings.TrimRight(b, "\n")
	if a == "" || b == "" {
		return a + b
	}
	return a + "\n\n" + b
}

// anchor writes a heading as the end of an address, the way code hosts do.
func anchor(heading string) string {
	keep := func(r rune) rune {
		switch {
		case r == ' ' || r == '-':
			return '-'
		case r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127:
			return r
		}
		return -1
	}
	return strings.Map(keep, strings.ToLower(heading))
}
