package documentparse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// readHTML reads a page: its main content, less what stands around it on every
// page of a site. What is too large for a tree, or nested deeper than the
// parser takes, is read from the tokens.
func readHTML(ctx context.Context, b *builder, src string) error {
	nodes, why := htmlCost(src)
	if why != "" {
		b.warn("limit_exceeded", why+"; the page was read as a stream, with all its text")
		return readTokens(ctx, b, src)
	}
	doc, err := html.Parse(strings.NewReader(src))
	if err != nil {
		b.warn("nesting_limit", "the page is nested too deep for a tree; it was read as a stream, with all its text")
		return readTokens(ctx, b, src)
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	readMeta(b, doc)
	root := mainContent(doc, nodes)
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	normalize(root, b.base)
	w := htmlWalker{b: b}
	w.node(root)
	w.flush()
	b.markdown = htmlMarkdown(b, root, nodes)
	return nil
}

// readFragment reads HTML that stands in another document.
func readFragment(b *builder, src string) {
	body := &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body}
	nodes, err := html.ParseFragment(strings.NewReader(src), body)
	if _, why := htmlCost(src); err != nil || why != "" {
		_ = readTokens(context.Background(), b, src)
		return
	}
	w := htmlWalker{b: b}
	for _, n := range nodes {
		w.node(n)
	}
	w.flush()
}

// The bounds of a page that gets a tree. An extractor makes several copies of
// the tree; together they stay near 150 MB.
const (
	maxNodes         = 200_000
	maxTagAttributes = 2_000
	maxAttributes    = 300_000
)

// htmlCost counts the page's elements and texts, and says why it must not become
// a tree, or "".
func htmlCost(src string) (nodes int, why string) {
	if len(src) > maxHTML {
		return 0, fmt.Sprintf("the page is over %d bytes", maxHTML)
	}
	attributes := 0
	z := html.NewTokenizer(strings.NewReader(src))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return nodes, ""
		case html.TextToken, html.CommentToken:
			nodes++
		case html.StartTagToken, html.SelfClosingTagToken:
			nodes++
			_, more := z.TagName()
			n := 0
			for ; more && n <= maxTagAttributes; n++ {
				_, _, more = z.TagAttr()
			}
			if n > maxTagAttributes {
				return nodes, fmt.Sprintf("a tag has over %d attributes", maxTagAttributes)
			}
			attributes += n
		}
		if nodes > maxNodes || attributes > maxAttributes {
			return nodes, fmt.Sprintf("the page has over %d elements or %d attributes", maxNodes, maxAttributes)
		}
	}
}

// attr is an element's attribute, or "".
func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key && a.Namespace == "" {
			return a.Val
		}
	}
	return ""
}

func hasAttr(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

// find returns the first element below n, n included, that ok accepts.
func find(n *html.Node, ok func(*html.Node) bool) *html.Node {
	if n.Type == html.ElementNode && ok(n) {
		return n
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if hit := find(c, ok); hit != nil {
			return hit
		}
	}
	return nil
}

// each calls visit for every element below n, n included; below one for which
// visit returns false it does not go.
func each(n *html.Node, visit func(*html.Node) bool) {
	if n.Type == html.ElementNode && !visit(n) {
		return
	}
	for c := n.FirstChild; c != nil; {
		next := c.NextSibling // visit may take c away
		each(c, visit)
		c = next
	}
}

func isTag(n *html.Node, tags ...atom.Atom) bool {
	if n.Type != html.ElementNode {
		return false
	}
	return slices.Contains(tags, n.DataAtom)
}

// nodeText is the text below n on one line, up to limit bytes.
func nodeText(n *html.Node, limit int) string {
	var s strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if s.Len() > limit || skipped(n) {
			return
		}
		if n.Type == html.TextNode {
			s.WriteString(n.Data)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
		if isTag(n, atom.Br, atom.P, atom.Div, atom.Li, atom.Td, atom.Th, atom.Tr) {
			s.WriteByte(' ')
		}
	}
	walk(n)
	return clip(fold(s.String()), limit)
}
