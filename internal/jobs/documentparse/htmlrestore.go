package documentparse

import (
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// restore gives back to the content what an extractor left out when it copied:
// the anchors of headings, code as it was written, and the links and code inside
// paragraphs. All are found by their text, so no text changes.
func restore(content, page *html.Node) {
	o := originals{ids: map[string]string{}, code: map[string]*html.Node{}, leaves: map[string]*html.Node{}}
	each(page, o.collect)
	each(content, o.give)
}

// originals are the page's elements by their text.
type originals struct {
	ids          map[string]string
	code, leaves map[string]*html.Node
}

// maxLeaf is the longest paragraph that is restored.
const maxLeaf = 5_000

func (o *originals) collect(n *html.Node) bool {
	switch {
	case skipped(n):
		return false
	case isHeading(n):
		if text, id := nodeText(n, maxLeaf), headingID(n); id != "" && o.ids[text] == "" {
			o.ids[text] = id
		}
	case isTag(n, atom.Pre):
		o.code[fold(codeText(n))] = n
		return false
	}
	if isLeaf(n) && find(n, hasMarkup) != nil {
		if text := nodeText(n, maxLeaf+1); text != "" && len(text) <= maxLeaf && o.leaves[text] == nil {
			o.leaves[text] = n
		}
	}
	return true
}

func (o *originals) give(n *html.Node) bool {
	if isHeading(n) && attr(n, "id") == "" {
		if id := o.ids[nodeText(n, maxLeaf)]; id != "" {
			setAttr(n, "id", id)
		}
	}
	if isTag(n, atom.Pre, atom.Code) && n.Parent != nil && !isTag(n.Parent, atom.Pre) {
		if from := o.code[fold(codeText(n))]; from != nil {
			n.Data, n.DataAtom = "pre", atom.Pre
			setCode(n, codeLanguageOf(from), codeText(from))
			return false
		}
	}
	if !isLeaf(n) {
		return true
	}
	if from := o.leaves[nodeText(n, maxLeaf)]; from != nil {
		removeChildren(n)
		for c := from.FirstChild; c != nil; c = c.NextSibling {
			n.AppendChild(cloneNode(c))
		}
		return false
	}
	return true
}

func isHeading(n *html.Node) bool {
	return isTag(n, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6)
}

// isLeaf reports a block that holds only inline content.
func isLeaf(n *html.Node) bool {
	if !isBlock(n) && !isHeading(n) {
		return false
	}
	return find(n, func(c *html.Node) bool {
		return c != n && (isBlock(c) || isHeading(c) || isTag(c, atom.Pre, atom.Table, atom.Ul, atom.Ol))
	}) == nil
}

func hasMarkup(n *html.Node) bool {
	return isTag(n, atom.A, atom.Code, atom.Kbd, atom.Em, atom.Strong, atom.B, atom.I)
}

func removeChildren(n *html.Node) {
	for n.FirstChild != nil {
		n.RemoveChild(n.FirstChild)
	}
}

func cloneNode(n *html.Node) *html.Node {
	c := &html.Node{Type: n.Type, Data: n.Data, DataAtom: n.DataAtom, Namespace: n.Namespace}
	c.Attr = append(c.Attr, n.Attr...)
	for k := n.FirstChild; k != nil; k = k.NextSibling {
		c.AppendChild(cloneNode(k))
	}
	return c
}
