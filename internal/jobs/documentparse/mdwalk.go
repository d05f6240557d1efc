package documentparse

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"github.com/yuin/goldmark/ast"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/util"

	"github.com/jobyard/jobyard/tasks"
)

// markdownWalker turns goldmark's tree into blocks.
type markdownWalker struct {
	b   *builder
	src []byte
	// mark is what the next paragraph begins with, as the mark of its list
	// item; indent is what later paragraphs of the item begin with.
	mark, indent string
	depth        int  // of lists
	tight        bool // the next paragraph follows on the next line
}

func (w *markdownWalker) children(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		w.block(n)
	}
}

func (w *markdownWalker) block(n ast.Node) {
	switch n := n.(type) {
	case *ast.Paragraph, *ast.TextBlock, *extast.DefinitionTerm:
		w.paragraph(w.inline(n))
		return
	case *ast.List:
		w.list(n)
		return
	case *extast.Footnote:
		w.mark = "[" + strconv.Itoa(n.Index) + "] "
		w.children(n)
	case *ast.Heading:
		text, anchor := headingAnchor(w.inline(n))
		w.b.heading(n.Level, text, anchor)
	case *ast.FencedCodeBlock:
		w.b.code(w.fenceLanguage(n), w.lines(n))
	case *ast.CodeBlock:
		w.b.code("", w.lines(n))
	case *ast.HTMLBlock:
		w.html(n)
	case *extast.Table:
		w.table(n)
	default:
		w.children(n)
		return
	}
	w.mark, w.tight = "", false
}

func (w *markdownWalker) paragraph(text string) {
	if w.mark == "" {
		w.mark = w.indent
	}
	w.b.paragraph(w.mark+text, w.tight)
	w.mark, w.tight = "", false
}

// list writes items as lines of their own, nested ones further in.
func (w *markdownWalker) list(l *ast.List) {
	outer, number := w.indent, l.Start
	marks := clip(outer, 16)
	w.depth++
	for item := l.FirstChild(); item != nil; item = item.NextSibling() {
		w.mark = marks + "- "
		if l.IsOrdered() {
			w.mark = marks + strconv.Itoa(number) + ". "
			number++
		}
		w.tight = item.PreviousSibling() != nil || w.depth > 1
		w.indent = marks + "  "
		w.children(item)
	}
	w.depth--
	w.indent, w.mark, w.tight = outer, "", false
}

func (w *markdownWalker) lines(n ast.Node) string {
	return string(n.Lines().Value(w.src))
}

func (w *markdownWalker) fenceLanguage(n *ast.FencedCodeBlock) string {
	if n.Info == nil {
		return ""
	}
	return fenceLanguage(unescape(n.Info.Value(w.src)))
}

// html reads a block of raw HTML with the reader of HTML pages.
func (w *markdownWalker) html(n *ast.HTMLBlock) {
	raw := w.lines(n)
	if n.HasClosure() {
		raw += string(n.ClosureLine.Value(w.src))
	}
	if !isComment(raw) {
		readFragment(w.b, raw)
	}
}

func (w *markdownWalker) table(n *extast.Table) {
	var t tasks.DocumentTable
	for row := n.FirstChild(); row != nil; row = row.NextSibling() {
		cells := []string{}
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			cells = append(cells, fold(w.inline(cell)))
		}
		if _, ok := row.(*extast.TableHeader); ok {
			t.Header = cells
		} else {
			t.Rows = append(t.Rows, cells)
		}
	}
	w.b.tableOf(t)
}

// inline is the plain text of a block's inline content; links are recorded on
// the way.
func (w *markdownWalker) inline(n ast.Node) string {
	var s strings.Builder
	w.inlineTo(&s, n)
	return strings.TrimSpace(s.String())
}

func (w *markdownWalker) inlineTo(s *strings.Builder, parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Text:
			text := unescape(n.Segment.Value(w.src))
			w.bareLinks(text, parent)
			s.WriteString(text)
			switch {
			case n.HardLineBreak():
				s.WriteByte('\n')
			case n.SoftLineBreak():
				s.WriteByte(' ')
			}
		case *ast.String:
			s.Write(n.Value)
		case *ast.CodeSpan:
			w.codeSpan(s, n)
		case *ast.Link:
			from := s.Len()
			w.inlineTo(s, n)
			w.b.link(unescape(n.Destination), s.String()[from:])
		case *ast.Image:
			w.inlineTo(s, n)
		case *ast.AutoLink:
			s.Write(n.Label(w.src))
			w.b.link(autoLink(n, w.src), string(n.Label(w.src)))
		case *ast.RawHTML:
			w.rawHTML(s, n)
		case *extast.FootnoteLink:
			s.WriteString("[" + strconv.Itoa(n.Index) + "]")
		case *extast.FootnoteBacklink, *extast.TaskCheckBox:
		default:
			w.inlineTo(s, n)
		}
	}
}

var bareLink = regexp.MustCompile(`https?://[^\s<>"'{}|\\^]+`)

// bareLinks records addresses that stand in text where GFM's rule for automatic
// links does not see them, as after a quote.
func (w *markdownWalker) bareLinks(text string, parent ast.Node) {
	if !strings.Contains(text, "://") {
		return
	}
	for p := parent; p != nil && p.Type() == ast.TypeInline; p = p.Parent() {
		if p.Kind() == ast.KindLink {
			return
		}
	}
	for _, at := range bareLink.FindAllStringIndex(text, -1) {
		href := strings.TrimRight(text[at[0]:at[1]], ".,;:!?)]*_~`")
		w.b.link(href, href)
	}
}

// codeSpan writes code as it is: nothing in it is an escape.
func (w *markdownWalker) codeSpan(s *strings.Builder, n *ast.CodeSpan) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			s.WriteString(strings.ReplaceAll(string(t.Segment.Value(w.src)), "\n", " "))
		}
	}
}

var (
	hrefAttr   = regexp.MustCompile(`(?i)^<a\s[^>]*?href\s*=\s*["']([^"']*)["']`)
	breakTag   = regexp.MustCompile(`(?i)^</?(?:br|p|div|li|tr|td|th)[\s/>]`)
	headingTag = regexp.MustCompile(`\s*\{\s*(?:#|/\*?)\s*([\w.:-]{1,200})\s*(?:\*?/)?\s*\}\s*$`)
)

// rawHTML keeps a link's address and the space that a break makes.
func (w *markdownWalker) rawHTML(s *strings.Builder, n *ast.RawHTML) {
	tag := string(n.Segments.Value(w.src))
	if m := hrefAttr.FindStringSubmatch(tag); m != nil {
		w.b.link(unescape([]byte(m[1])), followingText(n, w.src))
	}
	if breakTag.MatchString(tag) {
		s.WriteByte(' ')
	}
}

// followingText is the text right after an opening tag.
func followingText(n ast.Node, src []byte) string {
	if t, ok := n.NextSibling().(*ast.Text); ok {
		return string(t.Segment.Value(src))
	}
	return ""
}

// headingAnchor takes the anchor that authors write behind a heading, as {#id}
// or {/*id*/}.
func headingAnchor(text string) (heading, anchor string) {
	if m := headingTag.FindStringSubmatchIndex(text); m != nil {
		return text[:m[0]], text[m[2]:m[3]]
	}
	return text, ""
}

// autoLink is the address of an automatic link, with the scheme that a reader
// would add.
func autoLink(n *ast.AutoLink, src []byte) string {
	href := string(n.URL(src))
	if n.AutoLinkType == ast.AutoLinkEmail && !strings.HasPrefix(strings.ToLower(href), "mailto:") {
		return "mailto:" + href
	}
	return href
}

// unescape resolves backslashes and entities, as a renderer would.
func unescape(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 && bytes.IndexByte(raw, '&') < 0 {
		return string(raw)
	}
	var s strings.Builder
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			i = len(raw)
		}
		s.Write(util.ResolveEntityNames(util.ResolveNumericReferences(raw[:i])))
		if raw = raw[i:]; len(raw) > 1 && util.IsPunct(raw[1]) {
			s.WriteByte(raw[1]) // an escaped & begins no entity
			raw = raw[2:]
		} else if len(raw) > 0 {
			s.WriteByte('\\')
			raw = raw[1:]
		}
	}
	return strings.ToValidUTF8(s.String(), "\uFFFD")
}
