package documentparse

import (
	"regexp"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// codeText is the text of a block of code: white space stays, breaks and the
// elements that highlighters put around lines become line ends, line numbers
// and buttons go.
func codeText(n *html.Node) string {
	var s strings.Builder
	lines := 0 // elements that stand for one line each
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.TextNode {
			s.WriteString(n.Data)
			return
		}
		if skipped(n) || n.Type == html.ElementNode && hasToken(n, chromeTokens) {
			return
		}
		own := isCodeLine(n)
		if own && lines > 0 && !strings.HasSuffix(s.String(), "\n") {
			s.WriteByte('\n')
		}
		if own {
			lines++
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
		if isTag(n, atom.Br) {
			s.WriteByte('\n')
		}
	}
	walk(n)
	return strings.ReplaceAll(s.String(), "\u00a0", " ")
}

// isCodeLine recognizes the element of one line: a block in preformatted text,
// or a span that says so.
func isCodeLine(n *html.Node) bool {
	if isTag(n, atom.Div, atom.P, atom.Li, atom.Tr) {
		return find(n, func(c *html.Node) bool { return c != n && isTag(c, atom.Div, atom.P, atom.Li, atom.Tr, atom.Pre) }) == nil
	}
	return isTag(n, atom.Span, atom.Code) && (hasAttr(n, "data-line") || hasToken(n, lineTokens))
}

var lineTokens = map[string]bool{"line": true, "token-line": true, "view-line": true, "code-line": true}

var (
	languageClass = regexp.MustCompile(`^(?:language|lang|highlight-source|highlight-text|highlight|brush:?)-?:?([A-Za-z0-9+#_.-]+)$`)
	brushClass    = regexp.MustCompile(`brush:\s*([A-Za-z0-9+#_-]+)`)
)

// codeLanguageOf finds the language that a block of code is marked with: on
// itself, on the code element inside, or on a wrapper around it alone.
func codeLanguageOf(n *html.Node) string {
	nodes := []*html.Node{n}
	if c := find(n, func(c *html.Node) bool { return c != n && isTag(c, atom.Code) }); c != nil {
		nodes = append(nodes, c)
	}
	p := n.Parent
	for range 3 {
		if p == nil || !isTag(p, atom.Div, atom.Figure, atom.Pre, atom.Td, atom.Tr, atom.Tbody, atom.Table, atom.Section) {
			break
		}
		nodes = append(nodes, p)
		p = p.Parent
	}
	for _, c := range nodes {
		if lang := markedLanguage(c); lang != "" {
			return lang
		}
	}
	return ""
}

func markedLanguage(n *html.Node) string {
	for _, key := range []string{"data-lang", "data-language", "data-code-lang", "lang"} {
		if v := attr(n, key); v != "" && (key != "lang" || isTag(n, atom.Pre, atom.Code)) {
			return codeName(v)
		}
	}
	class := clip(attr(n, "class"), 1000)
	if m := brushClass.FindStringSubmatch(class); m != nil {
		return codeName(m[1])
	}
	tokens := strings.Fields(class)
	for i, t := range tokens {
		if m := languageClass.FindStringSubmatch(t); m != nil {
			if name := codeName(m[1]); name != "" {
				return name
			}
		}
		// hljs and pandoc name the language in a class of its own.
		if (t == "hljs" || t == "sourceCode") && isTag(n, atom.Code, atom.Pre) {
			for _, other := range [2]int{i + 1, i - 1} {
				if other >= 0 && other < len(tokens) && plainName.MatchString(tokens[other]) {
					return codeName(tokens[other])
				}
			}
		}
	}
	return ""
}

var plainName = regexp.MustCompile(`^[a-z][a-z0-9+#]{0,14}$`)

// codeName drops the names that mean "none".
func codeName(s string) string {
	switch s = strings.ToLower(strings.TrimSpace(s)); s {
	case "none", "plaintext", "plain", "default", "nohighlight", "no-highlight", "notranslate", "undefined", "highlight", "wrapper", "rouge":
		return ""
	}
	if len(s) > 30 {
		return ""
	}
	return s
}
