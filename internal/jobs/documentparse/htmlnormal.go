package documentparse

import (
	"strconv"
	"strings"

	htmltomarkdown "github.com/JohannesKaufmann/html-to-markdown/v2/converter"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/base"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/commonmark"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/table"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// normalize brings a tree of content into the form that both the walker and the
// Markdown converter read: headings carry their anchors, code is plain text with
// a language, addresses are absolute and safe.
func normalize(root *html.Node, base linkBase) {
	each(root, func(n *html.Node) bool {
		if isHeading(n) {
			if id := headingID(n); id != "" {
				setAttr(n, "id", id)
			}
		}
		return true
	})
	each(root, func(n *html.Node) bool {
		switch {
		case n != root && skipped(n):
			if n.Parent != nil {
				n.Parent.RemoveChild(n)
			}
			return false
		case isTag(n, atom.Pre):
			setCode(n, codeLanguageOf(n), codeText(n))
			return false
		case isTag(n, atom.A):
			safeAttr(n, "href", base)
			if attr(n, "href") == "" {
				n.Data, n.DataAtom = "span", atom.Span // text that leads nowhere, perhaps an anchor
			}
		case isTag(n, atom.Img):
			safeAttr(n, "src", base)
		}
		return true
	})
}

// setCode makes a block of plain code of pre, whatever highlighters put there.
func setCode(pre *html.Node, language, text string) {
	removeChildren(pre)
	code := &html.Node{Type: html.ElementNode, Data: "code", DataAtom: atom.Code}
	if language != "" {
		setAttr(code, "class", "language-"+language)
	}
	code.AppendChild(&html.Node{Type: html.TextNode, Data: trimBlankLines(text)})
	pre.Attr = nil
	pre.AppendChild(code)
}

func setAttr(n *html.Node, key, value string) {
	for i := range n.Attr {
		if n.Attr[i].Key == key {
			n.Attr[i].Val = value
			return
		}
	}
	n.Attr = append(n.Attr, html.Attribute{Key: key, Val: value})
}

func dropAttr(n *html.Node, key string) {
	kept := n.Attr[:0]
	for _, a := range n.Attr {
		if a.Key != key {
			kept = append(kept, a)
		}
	}
	n.Attr = kept
}

// safeAttr makes an address absolute, or drops it.
func safeAttr(n *html.Node, key string, base linkBase) {
	if !hasAttr(n, key) {
		return
	}
	if href, ok := base.resolve(attr(n, key)); ok {
		setAttr(n, key, href)
		return
	}
	dropAttr(n, key)
}

// The bounds of the Markdown converter: it holds many copies, and it compares
// each bracket with the text behind it and each text with its neighbors.
const (
	maxConverted      = 2 << 20
	maxConvertedNodes = 60_000
	maxBracketWork    = 1_000_000_000
)

// htmlMarkdown converts the content to Markdown.
func htmlMarkdown(b *builder, root *html.Node, nodes int) string {
	brackets := 0
	for _, bl := range b.blocks {
		brackets += strings.Count(bl.text, "[")
	}
	if b.size > maxConverted || nodes > maxConvertedNodes || brackets*b.size > maxBracketWork {
		return plainMarkdown(b.blocks)
	}
	tameTables(root)
	conv := htmltomarkdown.NewConverter(htmltomarkdown.WithPlugins(
		base.NewBasePlugin(), commonmark.NewCommonmarkPlugin(), table.NewTablePlugin(
			table.WithHeaderPromotion(true), table.WithCellPaddingBehavior(table.CellPaddingBehaviorMinimal)),
	))
	out, err := conv.ConvertNode(root)
	if err != nil || len(out) == 0 {
		return plainMarkdown(b.blocks)
	}
	return clip(string(out), maxText)
}

// tameTables keeps the converter from filling up tables without end: spans go
// where they are wide, and tables that are no data are layout.
func tameTables(root *html.Node) {
	work := 0
	each(root, func(n *html.Node) bool {
		if !isTag(n, atom.Table) {
			return true
		}
		rows, wide := tableRows(n), 0
		for _, row := range rows {
			cells := cellsOf(row)
			wide = max(wide, len(cells))
			for _, c := range cells {
				for _, key := range []string{"colspan", "rowspan"} {
					if span, err := strconv.Atoi(attr(c, key)); err != nil || span > 20 || span < 1 {
						dropAttr(c, key)
					}
				}
				work += max(1, spanOf(c, "colspan", 20)*spanOf(c, "rowspan", 20))
			}
		}
		if work += wide * len(rows); !isDataTable(n, rows) || work > maxTableCells {
			setAttr(n, "role", "presentation")
		}
		return true
	})
}
