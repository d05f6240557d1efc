package documentparse

import (
	"regexp"
	"slices"
	"strings"
)

// stripMDX turns MDX into Markdown: imports and exports go, tags go but their
// children stay, texts in attributes become text, expressions go unless they
// are plain strings. Nothing is evaluated. meta is the object that the page
// exports about itself; unclosed tells of a brace or tag that never closes and
// was kept as text.
func stripMDX(src string) (out, meta string, unclosed bool) {
	m := mdxStripper{src: src, blank: true}
	for m.at < len(m.src) {
		m.line()
	}
	return m.out.String(), m.meta, m.failures > 0
}

// mdxStripper walks the source line by line; a tag or expression may carry it
// over several lines.
type mdxStripper struct {
	src string
	at  int
	out strings.Builder
	// blank tells that the line before was blank, or a statement.
	blank bool
	meta  string
	// open are the elements whose children stand on lines of their own; links
	// the inline ones that close as a Markdown link.
	open     []mdxElement
	links    []mdxLink
	failures int
}

type mdxElement struct {
	name          string
	indent, child int // columns; child is -1 until the first child's line
}

type mdxLink struct{ name, href string }

// maxFailures bounds the scans that found no end: each may cost scanLimit.
const maxFailures = 50

var (
	esmLine    = regexp.MustCompile(`^(?:import\s*(?:['"{*]|type\s|[\w$]+\s*,|[\w$]+\s+from\s)|export\s*(?:\{|\*|(?:default|const|let|var|function|async|class|type|interface|enum)\b))`)
	metaExport = regexp.MustCompile(`^export\s+(?:const|let|var)\s+(?:meta|metadata|frontmatter|frontMatter)\s*(?::\s*[\w.]+\s*)?=\s*\{`)
	linePrefix = regexp.MustCompile(`^(?:[ \t]*(?:>|[-+*][ \t]|\d{1,9}[.)][ \t]))*[ \t]*`)
)

func (m *mdxStripper) rest() string { return m.src[m.at:] }

// line handles what begins at the start of a line.
func (m *mdxStripper) line() {
	line, _, _ := strings.Cut(m.rest(), "\n")
	trimmed := strings.TrimLeft(line, " \t")
	if trimmed == "" {
		m.blank = true
		m.skip(len(line) + 1)
		m.newBlock()
		return
	}
	if m.blank && len(trimmed) == len(line) && m.failures < maxFailures && esmLine.MatchString(line) {
		end, closed := statementEnd(m.rest())
		if !closed {
			m.failures++
		}
		if at := metaExport.FindString(m.rest()); at != "" && m.meta == "" && end <= maxFrontMatter {
			m.meta = strings.TrimRight(m.rest()[len(at)-1:end], "; \t\r\n")
		}
		m.skip(end)
		return
	}
	m.blank = false
	indent := len(line) - len(trimmed)
	if n := len(m.open); n > 0 && m.open[n-1].child < 0 && !strings.HasPrefix(trimmed, "</") {
		m.open[n-1].child = max(indent, m.open[n-1].indent)
	}
	if fence, _ := openingFence(linePrefix.ReplaceAllString(line, "")); fence != "" {
		m.fence(fence)
		return
	}
	m.dedent()
	if !m.flowTags() {
		m.inline()
	}
}

// newBlock ends what stands before with one blank line.
func (m *mdxStripper) newBlock() {
	for m.out.Len() > 0 && !strings.HasSuffix(m.out.String(), "\n\n") {
		m.out.WriteByte('\n')
	}
}

func (m *mdxStripper) skip(n int) { m.at = min(m.at+n, len(m.src)) }

// dedent drops the indentation that the line has only as a child of elements.
func (m *mdxStripper) dedent() {
	cut := 0
	for _, e := range m.open {
		if e.child > e.indent {
			cut += e.child - e.indent
		}
	}
	for cut > 0 && m.at < len(m.src) && (m.src[m.at] == ' ' || m.src[m.at] == '\t') {
		m.at++
		cut--
	}
}

// fence copies a block of code as it is.
func (m *mdxStripper) fence(fence string) {
	for first := true; m.at < len(m.src); first = false {
		m.dedent()
		line, _, _ := strings.Cut(m.rest(), "\n")
		m.out.WriteString(line)
		m.out.WriteByte('\n')
		m.skip(len(line) + 1)
		if !first && closesFence(strings.TrimLeft(line, "> \t"), fence) {
			return
		}
	}
}

// statementEnd is the length of an import or export: up to a blank line outside
// of all braces. If they never close it ends at the first blank line.
func statementEnd(src string) (end int, closed bool) {
	depth, first := 0, -1
	for i := 0; i < min(len(src), scanLimit); i++ {
		switch src[i] {
		case '{', '(', '[':
			depth++
		case '}', ')', ']':
			depth--
		case '"', '\'':
			i = skipString(src, i)
		case '`':
			if n := strings.IndexByte(src[i+1:min(len(src), i+scanLimit)], '`'); n >= 0 {
				i += n + 1
			}
		case '/':
			if end := skipComment(src, i); end > i {
				i = end
				if src[i] == '\n' {
					i--
				}
			}
		case '\n':
			next, _, _ := strings.Cut(src[i+1:], "\n")
			if strings.TrimSpace(next) != "" {
				continue
			}
			if depth <= 0 {
				return i + 1, true
			}
			if first < 0 {
				first = i + 1
			}
		}
	}
	switch {
	case first >= 0:
		return first, false
	case len(src) > scanLimit:
		return strings.IndexByte(src, '\n') + 1, false
	}
	return len(src), depth <= 0
}

// flowTags handles a line that holds nothing but tags: each stands as a block,
// with blank lines around it.
func (m *mdxStripper) flowTags() bool {
	start := m.at
	line, _, _ := strings.Cut(m.rest(), "\n")
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	column := m.column()
	var tags []jsxTag
	at := m.at + indent
	for at < len(m.src) && m.src[at] == '<' {
		if m.failures >= maxFailures {
			return false
		}
		if n := m.rawTable(at); n > 0 && len(tags) == 0 {
			m.at = n
			return true
		}
		t, ok := scanTag(m.src, at)
		if !ok {
			return false
		}
		tags = append(tags, t)
		at = t.end
		at += len(m.src[at:]) - len(strings.TrimLeft(m.src[at:], " \t"))
	}
	if len(tags) == 0 || at < len(m.src) && m.src[at] != '\n' {
		m.at = start
		return false
	}
	prefix := strings.Repeat(" ", indent)
	m.newBlock()
	for _, t := range tags {
		m.flowTag(t, prefix, column)
	}
	m.at = min(at+1, len(m.src))
	m.blank = true
	return true
}

// column is how far the current line was indented in the source.
func (m *mdxStripper) column() int {
	line := m.src[strings.LastIndexByte(m.src[:m.at], '\n')+1:]
	return len(line) - len(strings.TrimLeft(line, " \t"))
}

func (m *mdxStripper) flowTag(t jsxTag, prefix string, column int) {
	switch {
	case t.closing:
		for i, opened := range slices.Backward(m.open) {
			if opened.name == t.name {
				m.open = m.open[:i]
				break
			}
		}
	case !t.alone && !isVoid(t.name) && len(m.open) < maxNesting:
		m.open = append(m.open, mdxElement{t.name, column, -1})
	}
	if text := attrText(t); text != "" {
		m.out.WriteString(prefix + text)
		m.newBlock()
	}
}

// rawTable copies an HTML table as it is, since Markdown takes HTML, and
// returns the index behind it.
func (m *mdxStripper) rawTable(at int) int {
	const open, end = "<table", "</table>"
	src := m.src[at:min(len(m.src), at+4*scanLimit)]
	n := -1
	if strings.HasPrefix(src, open) {
		n = strings.Index(src, end)
	}
	if n < 0 {
		return 0
	}
	m.newBlock()
	for line := range strings.Lines(src[:n+len(end)]) {
		if strings.TrimSpace(line) != "" { // a blank line would end the HTML
			m.out.WriteString(strings.TrimLeft(line, " \t"))
		}
	}
	m.newBlock()
	return at + n + len(end)
}

// attrText is the Markdown of the texts that a component shows from its
// attributes.
func attrText(t jsxTag) string {
	var parts []string
	title := ""
	for _, name := range []string{"title", "label", "summary", "header"} {
		if title == "" {
			title = escapeMarkdown(fold(t.attrs[name]))
		}
	}
	href := t.attrs["href"]
	switch {
	case href != "" && title != "":
		parts = append(parts, "["+title+"](<"+escapeHref(href)+">)")
	case title != "":
		parts = append(parts, "**"+title+"**")
	}
	for _, name := range []string{"alt", "description"} {
		if text := escapeMarkdown(fold(t.attrs[name])); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " — ")
}

// escapeHref makes an address that can stand between < and >.
func escapeHref(href string) string { return hrefEscaper.Replace(href) }

var hrefEscaper = strings.NewReplacer("<", "%3C", ">", "%3E", "\n", "", "\\", "%5C")

var markdownEscaper = strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]",
	"<", "\\<", ">", "\\>", "#", "\\#", "|", "\\|", "~", "\\~")

// escapeMarkdown makes text that Markdown reads as it stands.
func escapeMarkdown(s string) string { return markdownEscaper.Replace(s) }

func isVoid(name string) bool {
	switch name {
	case "br", "hr", "img", "input", "source", "wbr", "meta", "link", "col":
		return true
	}
	return false
}
