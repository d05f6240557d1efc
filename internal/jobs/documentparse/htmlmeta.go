package documentparse

import (
	"encoding/json"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// metaNames maps the names of meta elements to the metadata they fill, the best
// first.
var metaNames = []struct{ field, name string }{
	{"description", "og:description"}, {"description", "description"}, {"description", "twitter:description"},
	{"author", "author"}, {"author", "article:author"}, {"author", "parsely-author"}, {"author", "dc.creator"},
	{"published", "article:published_time"}, {"published", "datepublished"}, {"published", "date"},
	{"published", "dc.date"}, {"published", "pubdate"}, {"published", "parsely-pub-date"},
	{"modified", "article:modified_time"}, {"modified", "og:updated_time"}, {"modified", "last-modified"},
	{"site", "og:site_name"}, {"site", "application-name"}, {"generator", "generator"}, {"keywords", "keywords"},
	{"version", "docsearch:version"}, {"version", "docusaurus_version"},
}

// readMeta fills metadata, title and base from a page's head and JSON-LD.
func readMeta(b *builder, doc *html.Node) {
	meta := map[string]string{}
	var title, canonical string
	var headings []string
	var linked linkedData
	each(doc, func(n *html.Node) bool {
		switch n.DataAtom {
		case atom.Html:
			b.declared = clip(attr(n, "lang"), 40)
		case atom.Base:
			b.base = b.base.at(attr(n, "href"))
		case atom.Title:
			if title == "" && n.Parent != nil && n.Parent.DataAtom == atom.Head {
				title = nodeTextRaw(n)
			}
		case atom.Link:
			if strings.EqualFold(attr(n, "rel"), "canonical") {
				canonical = attr(n, "href")
			}
		case atom.Meta:
			addMeta(meta, n)
		case atom.H1:
			headings = append(headings, nodeText(n, 500))
		case atom.Script:
			if strings.EqualFold(attr(n, "type"), "application/ld+json") && n.FirstChild != nil && len(n.FirstChild.Data) < 256<<10 {
				linked.read(n.FirstChild.Data)
			}
		}
		return true
	})
	for _, m := range metaNames {
		b.set(m.field, meta[m.name])
	}
	b.set("author", linked.author)
	b.set("published", linked.published)
	b.set("modified", linked.modified)
	if href, ok := b.base.resolve(canonical); ok {
		b.set("canonical", href)
	}
	b.title = pageTitle(title, meta["og:title"], headings)
}

func addMeta(meta map[string]string, n *html.Node) {
	for _, key := range []string{"name", "property", "itemprop"} {
		if name := strings.ToLower(attr(n, key)); name != "" && meta[name] == "" {
			meta[name] = strings.TrimSpace(attr(n, "content"))
		}
	}
}

// nodeTextRaw is the text of an element that holds only text.
func nodeTextRaw(n *html.Node) string {
	if n.FirstChild == nil || n.FirstChild.Type != html.TextNode {
		return ""
	}
	return fold(n.FirstChild.Data)
}

// pageTitle prefers the heading that the title element also names: it is the
// title without the site's name.
func pageTitle(title, shared string, headings []string) string {
	for _, h := range headings {
		if h != "" && (containsFold(title, h) || containsFold(shared, h)) {
			return h
		}
	}
	for _, t := range []string{fold(shared), title} {
		if t != "" {
			return t
		}
	}
	return ""
}

func containsFold(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}

// linkedData is what JSON-LD says of a page.
type linkedData struct{ author, published, modified string }

func (l *linkedData) read(src string) {
	var v any
	if json.Unmarshal([]byte(src), &v) == nil {
		l.walk(v, 0)
	}
}

func (l *linkedData) walk(v any, depth int) {
	if depth > 6 {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			l.walk(e, depth+1)
		}
	case map[string]any:
		setOnce(&l.published, asText(v["datePublished"]))
		setOnce(&l.modified, asText(v["dateModified"]))
		setOnce(&l.author, personName(v["author"]))
		l.walk(v["@graph"], depth+1)
		l.walk(v["mainEntity"], depth+1)
	}
}

func setOnce(to *string, value string) {
	if *to == "" {
		*to = value
	}
}

func personName(v any) string {
	switch v := v.(type) {
	case []any:
		var names []string
		for _, e := range v[:min(len(v), 20)] {
			if name := personName(e); name != "" {
				names = append(names, name)
			}
		}
		return strings.Join(names, ", ")
	case map[string]any:
		return asText(v["name"])
	}
	return asText(v)
}
