package documentparse

import (
	"strings"

	readability "codeberg.org/readeck/go-readability/v2"
	trafilatura "github.com/markusmobius/go-trafilatura"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// mainContent finds the part of a page that is its document. Documentation says
// itself where it is, and its code and tables are too dear for extractors that
// are made for articles; for all other pages those are better.
func mainContent(doc *html.Node, nodes int) *html.Node {
	if root := documentation(doc); root != nil {
		stripChrome(root)
		return root
	}
	if body := find(doc, func(n *html.Node) bool { return isTag(n, atom.Body) }); body != nil && isBare(body) {
		stripChrome(body)
		return body
	}
	if root := article(doc, nodes); root != nil {
		restore(root, doc)
		return root
	}
	stripChrome(doc)
	return doc
}

// isBare reports a page without the things around the text that an extractor is
// there to remove: a short one, or one that no site's template has dressed.
func isBare(body *html.Node) bool {
	const short, plain = 600, 5
	if textLength(body) < short {
		return true
	}
	dressed := 0
	each(body, func(n *html.Node) bool {
		if isTag(n, atom.Nav, atom.Aside, atom.Header, atom.Footer, atom.Form, atom.Button) {
			dressed += plain
		}
		if hasAttr(n, "class") {
			dressed++
		}
		return dressed < plain
	})
	return dressed < plain
}

// largePage is the number of nodes from which only the faster extractor is
// asked: the time of the other grows faster than the page.
const largePage = 40_000

// article asks the extractors for articles. A short answer is only believed if
// the other extractor does not find much more.
func article(doc *html.Node, nodes int) *html.Node {
	const enough = 250
	var best *html.Node
	length := 0
	ask := func(extract func(*html.Node) *html.Node) {
		if length >= enough {
			return
		}
		if root := extract(doc); root != nil {
			if n := len(nodeText(root, 100*enough)); n > 2*length {
				best, length = root, n
			}
		}
	}
	if nodes < largePage {
		ask(byTrafilatura)
	}
	ask(byReadability)
	return best
}

func byTrafilatura(doc *html.Node) *html.Node {
	found, err := trafilatura.ExtractDocument(doc, trafilatura.Options{
		ExcludeComments: true, EnableFallback: true, // links come back by restore
		HtmlDateMode: trafilatura.Disabled, // dates come from readMeta, without today's date
	})
	if err != nil {
		return nil
	}
	return found.ContentNode
}

func byReadability(doc *html.Node) *html.Node {
	p := readability.NewParser()
	p.KeepClasses = true // languages of code are classes
	found, err := p.ParseDocument(doc, nil)
	if err != nil {
		return nil
	}
	return found.Node
}

// docsTokens are the classes that generators of documentation give to the
// element that holds the page's text.
var docsTokens = map[string]bool{
	"theme-doc-markdown": true, "md-content__inner": true, "vp-doc": true, "sl-markdown-content": true,
	"markdown-body": true, "markdown-section": true, "devsite-article-body": true, "mdx-content": true,
	"rst-content": true, "bd-article": true, "nextra-content": true, "docs-content": true, "doc-content": true,
	"documentation-content": true, "theme-default-content": true,
}

var docsGenerators = []string{
	"docusaurus", "vitepress", "vuepress", "mkdocs", "sphinx", "docutils", "gitbook", "nextra", "mintlify", "antora",
	"starlight", "typedoc", "javadoc", "rustdoc", "doxygen", "asciidoctor", "readme.io", "docsify", "mdbook", "pdoc",
}

// documentation returns the root of the text if the page is documentation: its
// generator says so, or its main part has code blocks or several headings with
// anchors.
func documentation(doc *html.Node) *html.Node {
	if root := biggest(doc, func(n *html.Node) bool { return hasToken(n, docsTokens) }); root != nil && hasText(root) {
		return root
	}
	root := biggest(doc, func(n *html.Node) bool {
		return isTag(n, atom.Main) || attr(n, "role") == "main"
	})
	if a := biggest(orDoc(root, doc), func(n *html.Node) bool { return isTag(n, atom.Article) }); a != nil {
		// One article that is most of the main part is the document; several
		// are a list of them.
		if root == nil || textLength(a)*2 > textLength(root) {
			root = a
		}
	}
	if root == nil || !hasText(root) {
		if !madeByDocs(doc) {
			return nil
		}
		return find(doc, func(n *html.Node) bool { return isTag(n, atom.Body) })
	}
	if madeByDocs(doc) || looksLikeDocs(root) {
		return root
	}
	return nil
}

func orDoc(n, doc *html.Node) *html.Node {
	if n == nil {
		return doc
	}
	return n
}

// biggest returns the outermost element that ok accepts; of several, the one
// with most text.
func biggest(doc *html.Node, ok func(*html.Node) bool) *html.Node {
	var best *html.Node
	most := 0
	each(doc, func(n *html.Node) bool {
		if !ok(n) {
			return !isTag(n, atom.Script, atom.Style, atom.Svg)
		}
		if l := textLength(n); l > most {
			best, most = n, l
		}
		return false
	})
	return best
}

func hasText(n *html.Node) bool { return textLength(n) > 0 }

// textLength counts the bytes of text that are no white space.
func textLength(n *html.Node) int {
	if skipped(n) {
		return 0
	}
	total := 0
	if n.Type == html.TextNode {
		for f := range strings.FieldsSeq(n.Data) {
			total += len(f)
		}
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		total += textLength(c)
	}
	return total
}

func madeByDocs(doc *html.Node) bool {
	return find(doc, func(n *html.Node) bool {
		if !isTag(n, atom.Meta) || !strings.EqualFold(attr(n, "name"), "generator") {
			return false
		}
		content := strings.ToLower(attr(n, "content"))
		for _, g := range docsGenerators {
			if strings.Contains(content, g) {
				return true
			}
		}
		return false
	}) != nil
}

// looksLikeDocs counts what articles of the press do not have.
func looksLikeDocs(root *html.Node) bool {
	code, anchored, tables := 0, 0, 0
	each(root, func(n *html.Node) bool {
		switch {
		case isTag(n, atom.Pre):
			if len(strings.TrimSpace(plainText(n))) >= 10 {
				code++
			}
			return false
		case isTag(n, atom.H2, atom.H3, atom.H4) && anchoredByTool(n):
			anchored++
		case isTag(n, atom.Th):
			tables++
		}
		return true
	})
	return code > 0 || anchored >= 3 || tables > 0 && anchored > 0
}

// anchoredByTool reports a heading whose anchor is made of its text, or that
// carries a permalink: editors of the press do neither.
func anchoredByTool(n *html.Node) bool {
	if id := cleanID(attr(n, "id")); id != "" && (id == slug(nodeText(n, 500)) || strings.EqualFold(id, slug(nodeText(n, 500)))) {
		return true
	}
	return find(n, isPermalink) != nil
}

// stripChrome takes away what is no text of the page: navigation, side bars,
// tables of contents, tools.
func stripChrome(root *html.Node) {
	all := textLength(root)
	each(root, func(n *html.Node) bool {
		if n == root || !isChrome(n) {
			return true
		}
		if length := textLength(n); length*2 > all || find(n, func(c *html.Node) bool { return isTag(c, atom.H1) }) != nil {
			return true // whatever it is called, it is the content
		}
		n.Parent.RemoveChild(n)
		return false
	})
}

func isChrome(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Nav, atom.Footer, atom.Dialog, atom.Form:
		return true
	case atom.Aside:
		return find(n, func(c *html.Node) bool { return isTag(c, atom.Nav) }) != nil || linkShare(n) > 60 || hasToken(n, chromeTokens)
	case atom.Html, atom.Body, atom.Main, atom.Article:
		return false
	}
	switch attr(n, "role") {
	case "navigation", "banner", "contentinfo", "search", "complementary", "tablist", "toolbar", "dialog":
		return true
	}
	if attr(n, "aria-hidden") == "true" && !isTag(n, atom.Pre, atom.Code) && attr(n, "role") != "tabpanel" {
		return true
	}
	return hasToken(n, chromeTokens)
}

// linkShare is how much of an element's text is in links, in percent.
func linkShare(n *html.Node) int {
	linked := 0
	each(n, func(c *html.Node) bool {
		if isTag(c, atom.A) {
			linked += textLength(c)
			return false
		}
		return true
	})
	return linked * 100 / max(textLength(n), 1)
}
