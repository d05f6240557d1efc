package documentparse

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// skipped reports nodes that hold no text of the document.
func skipped(n *html.Node) bool {
	if n.Type == html.CommentNode {
		return true
	}
	if n.Type != html.ElementNode {
		return false
	}
	switch n.DataAtom {
	case atom.Script, atom.Style, atom.Template, atom.Noscript, atom.Iframe, atom.Svg, atom.Canvas, atom.Button,
		atom.Select, atom.Input, atom.Textarea, atom.Object, atom.Embed, atom.Audio, atom.Video, atom.Head:
		return true
	case atom.A:
		return isPermalink(n)
	}
	return false
}

// isPermalink reports the small link beside a heading that leads to itself.
func isPermalink(n *html.Node) bool {
	href := attr(n, "href")
	if !isTag(n, atom.A) || !strings.Contains(href, "#") || strings.HasSuffix(href, "#") {
		return false
	}
	if hasToken(n, permalinkTokens) {
		return len(plainText(n)) <= 40
	}
	if href[0] != '#' {
		return false
	}
	switch t := strings.TrimSpace(strings.Trim(plainText(n), "\u200b\u200d\ufeff")); t {
	case "#", "¶", "§", "🔗", "⚓", "Link", "Permalink", "Anchor":
		return true
	case "":
		return find(n, func(c *html.Node) bool { return isTag(c, atom.Img) }) == nil
	default:
		return strings.HasPrefix(t, "Link to ") || strings.HasPrefix(t, "Permalink to ") || strings.HasPrefix(t, "Direct link to ")
	}
}

// plainText is the text below n as it stands, up to some hundred bytes.
func plainText(n *html.Node) string {
	var s strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.TextNode {
			s.WriteString(clip(n.Data, 200))
		}
		for c := n.FirstChild; c != nil && s.Len() < 200; c = c.NextSibling {
			walk(c)
		}
	}
	walk(n)
	return s.String()
}

var permalinkTokens = map[string]bool{
	"headerlink": true, "header-anchor": true, "hash-link": true, "anchor-link": true, "anchorjs-link": true,
	"heading-anchor": true, "heading-link": true, "permalink": true, "direct-link": true, "sl-anchor-link": true,
	"docs-heading-link": true, "section-link": true, "zola-anchor": true,
}

// chromeTokens are classes and ids of what stands around the content on
// documentation sites.
var chromeTokens = map[string]bool{
	"toc": true, "table-of-contents": true, "tableofcontents": true, "on-this-page": true, "breadcrumb": true,
	"breadcrumbs": true, "theme-doc-breadcrumbs": true, "theme-doc-toc-mobile": true, "sidebar": true, "sphinxsidebar": true,
	"pagination": true, "pagination-nav": true, "pager": true, "prev-next": true, "prev-next-area": true, "prevnext": true,
	"next-prev": true, "page-nav": true, "edit-link": true, "edit-this-page": true, "theme-edit-this-page": true,
	"edit-page-link": true, "feedback": true, "page-feedback": true, "cookie-banner": true, "skip-link": true,
	"sr-only": true, "visually-hidden": true, "screen-reader-text": true, "copy-button": true, "copybtn": true,
	"btn-clipboard": true, "clipboard-copy": true, "copy-code-button": true, "line-numbers-rows": true, "linenos": true,
	"linenodiv": true, "lineno": true, "linenumber": true, "linenumbers": true, "line-numbers-wrapper": true, "gutter": true,
	"rouge-gutter": true, "gl": true, "hljs-ln-numbers": true, "ln": true, "blob-num": true, "share": true,
	"share-buttons": true, "social-share": true, "theme-doc-footer": true, "md-source-file": true, "theme-last-updated": true,
	"last-updated": true, "lastupdated": true, "vp-doc-footer": true, "docsearch": true, "search-box": true,
	"newsletter": true, "related-posts": true, "comments": true, "giscus": true, "mw-editsection": true, "navbox": true,
}

// hasToken reports whether a class or the id of n is one of tokens.
func hasToken(n *html.Node, tokens map[string]bool) bool {
	for _, a := range n.Attr {
		if a.Key != "class" && a.Key != "id" {
			continue
		}
		for t := range strings.FieldsSeq(clip(a.Val, 1000)) {
			if tokens[strings.ToLower(t)] {
				return true
			}
		}
	}
	return false
}

func isBlock(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Body, atom.Center, atom.Dd, atom.Details,
		atom.Dialog, atom.Div, atom.Dl, atom.Dt, atom.Fieldset, atom.Figcaption, atom.Figure, atom.Footer, atom.Form,
		atom.Header, atom.Hgroup, atom.Hr, atom.Html, atom.Legend, atom.Li, atom.Main, atom.Nav, atom.P, atom.Section,
		atom.Summary, atom.Caption, atom.Tbody, atom.Thead, atom.Tfoot, atom.Tr, atom.Td, atom.Th, atom.Option:
		return true
	}
	return false
}
