package documentparse

import (
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlWalker turns a tree of HTML into blocks.
type htmlWalker struct {
	b      *builder
	text   strings.Builder // of the paragraph that is open
	space  bool            // white space is due before the next character
	mark   string          // what the next paragraph begins with, as a list mark
	indent string
	tight  bool
	depth  int    // of lists
	anchor string // an empty element's id, for the heading that follows it
}

func (w *htmlWalker) node(n *html.Node) {
	switch n.Type {
	case html.TextNode:
		w.write(n.Data)
	case html.ElementNode:
		w.element(n)
	case html.DocumentNode:
		w.children(n)
	}
}

func (w *htmlWalker) children(n *html.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.node(c)
	}
}

// write adds text to the open paragraph, white space folded.
func (w *htmlWalker) write(s string) {
	for _, r := range s {
		if unicode.IsSpace(r) {
			w.space = true
			continue
		}
		if w.space && w.text.Len() > 0 {
			w.text.WriteByte(' ')
		}
		w.space = false
		w.text.WriteRune(r)
	}
}

// flush ends the open paragraph.
func (w *htmlWalker) flush() {
	text := strings.Trim(w.text.String(), " \n")
	w.text.Reset()
	w.space = false
	if text == "" {
		return
	}
	if w.mark == "" {
		w.mark = w.indent
	}
	w.b.paragraph(w.mark+text, w.tight)
	w.mark, w.tight, w.anchor = "", false, ""
}

// blockDone resets what belongs to paragraphs after another block.
func (w *htmlWalker) blockDone() { w.mark, w.tight, w.anchor = "", false, "" }

func (w *htmlWalker) element(n *html.Node) {
	if skipped(n) {
		return
	}
	switch n.DataAtom {
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		w.heading(n)
	case atom.Pre:
		w.flush()
		if text := trimBlankLines(codeText(n)); text != "" {
			w.b.code(codeLanguageOf(n), text)
		}
		w.blockDone()
	case atom.Code:
		if text := codeText(n); strings.Contains(strings.Trim(text, "\n"), "\n") {
			w.flush()
			w.b.code(codeLanguageOf(n), trimBlankLines(text))
			w.blockDone()
			return
		}
		w.children(n)
	case atom.Br:
		if w.text.Len() > 0 {
			w.text.WriteByte('\n')
		}
		w.space = false
	case atom.A:
		w.link(n)
	case atom.Table:
		w.flush()
		w.table(n)
	case atom.Ul, atom.Ol, atom.Menu:
		w.flush()
		w.list(n)
	default:
		w.other(n)
	}
}

func (w *htmlWalker) other(n *html.Node) {
	if !isBlock(n) {
		w.emptyAnchor(n)
		w.children(n)
		return
	}
	w.flush()
	w.emptyAnchor(n)
	w.children(n)
	w.flush()
}

func (w *htmlWalker) heading(n *html.Node) {
	w.flush()
	level := int(n.Data[1] - '0')
	own := headingID(n)
	if own == "" {
		own = w.anchor
	}
	text, written := headingAnchor(nodeText(n, 1000))
	if own == "" {
		own = written
	}
	each(n, func(a *html.Node) bool {
		if isTag(a, atom.A) && !skipped(a) {
			w.b.link(attr(a, "href"), nodeText(a, 300))
		}
		return !skipped(a)
	})
	w.b.heading(level, text, own)
	w.blockDone()
}

// emptyAnchor remembers the name of an element that holds nothing: old pages put
// it before a heading.
func (w *htmlWalker) emptyAnchor(n *html.Node) {
	if n.FirstChild != nil {
		return
	}
	for _, key := range []string{"id", "name"} {
		if v := attr(n, key); v != "" {
			w.anchor = cleanID(v)
			return
		}
	}
}

func (w *htmlWalker) link(n *html.Node) {
	w.b.link(attr(n, "href"), nodeText(n, 300))
	w.emptyAnchor(n)
	w.children(n)
}

func (w *htmlWalker) list(n *html.Node) {
	outer := w.indent
	marks := clip(outer, 16)
	number, err := strconv.Atoi(attr(n, "start"))
	if err != nil {
		number = 1
	}
	w.depth++
	first := true
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type != html.ElementNode || skipped(c) {
			continue
		}
		if !isTag(c, atom.Li) { // a list right in a list
			w.node(c)
			continue
		}
		w.mark = marks + "- "
		if isTag(n, atom.Ol) {
			w.mark = marks + strconv.Itoa(number) + ". "
			number++
		}
		w.tight = !first || w.depth > 1
		first = false
		w.indent = marks + "  "
		w.children(c)
		w.flush()
	}
	w.depth--
	w.indent, w.mark, w.tight = outer, "", false
}

// headingID finds a heading's anchor: its own id, one inside it, that of its
// permalink, or that of the section it opens.
func headingID(n *html.Node) string {
	if id := attr(n, "id"); id != "" {
		return cleanID(id)
	}
	var inside, linked string
	each(n, func(c *html.Node) bool {
		if id := attr(c, "id"); id != "" && inside == "" {
			inside = id
		}
		if isTag(c, atom.A) {
			if name := attr(c, "name"); name != "" && inside == "" {
				inside = name
			}
			if href := attr(c, "href"); isPermalink(c) && linked == "" {
				linked = href[strings.IndexByte(href, '#')+1:]
			}
		}
		return true
	})
	for _, id := range []string{inside, linked} {
		if id != "" {
			return cleanID(id)
		}
	}
	p := n.Parent
	for range 2 {
		if p == nil || p.Type != html.ElementNode || !isTag(p, atom.Section, atom.Div, atom.Header, atom.Article) || firstElement(p) == nil {
			break
		}
		if id := attr(p, "id"); id != "" && isTag(p, atom.Section, atom.Div) && opens(p, n) {
			return cleanID(id)
		}
		p = p.Parent
	}
	return ""
}

// opens reports whether heading is the first thing in section.
func opens(section, heading *html.Node) bool {
	for n := section; n != nil; n = firstElement(n) {
		if n == heading {
			return true
		}
	}
	return false
}

func firstElement(n *html.Node) *html.Node {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type == html.ElementNode && !isEmptyAnchor(c) {
			return c
		}
	}
	return nil
}

func isEmptyAnchor(n *html.Node) bool {
	return isTag(n, atom.A, atom.Span) && n.FirstChild == nil
}

// cleanID drops the prefix that GitHub puts before ids, which its addresses do
// not show.
func cleanID(id string) string { return strings.TrimPrefix(fold(id), "user-content-") }
