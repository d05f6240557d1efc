package documentparse

import (
	"regexp"
	"strings"
)

// inline copies the rest of a line without tags and expressions. Code spans and
// escapes stay as they are.
func (m *mdxStripper) inline() {
	heading := strings.HasPrefix(strings.TrimLeft(m.rest(), " "), "#")
	for m.at < len(m.src) {
		i := strings.IndexAny(m.rest(), "\n\\`{<")
		if i < 0 {
			m.copy(len(m.rest()))
			return
		}
		m.copy(i)
		switch m.src[m.at] {
		case '\n':
			m.copy(1)
			return
		case '\\':
			m.copy(2)
		case '`':
			m.codeSpan()
		case '{':
			m.expression(heading)
		case '<':
			m.inlineTag()
		}
	}
}

// copy writes the next n bytes.
func (m *mdxStripper) copy(n int) {
	n = min(n, len(m.src)-m.at)
	m.out.WriteString(m.src[m.at : m.at+n])
	m.at += n
}

// codeSpan copies up to the run of backticks of the same length, if there is
// one in this paragraph.
func (m *mdxStripper) codeSpan() {
	rest := m.rest()
	ticks := len(rest) - len(strings.TrimLeft(rest, "`"))
	body := rest[ticks:min(len(rest), ticks+scanLimit)]
	if end := strings.Index(body, "\n\n"); end >= 0 {
		body = body[:end]
	}
	if m.failures < maxFailures {
		for i := 0; i < len(body); {
			j := strings.IndexByte(body[i:], '`')
			if j < 0 {
				break
			}
			i += j
			run := len(body[i:]) - len(strings.TrimLeft(body[i:], "`"))
			if i += run; run == ticks {
				m.copy(ticks + i)
				return
			}
		}
		if len(body) > 4096 { // only long scans for nothing are worth counting
			m.failures++
		}
	}
	m.copy(ticks)
}

var commentID = regexp.MustCompile(`^/\*\s*([\w.:-]{1,200})\s*\*/$`)

// expression drops what is in braces, but keeps a plain string, and the anchor
// that a heading ends with.
func (m *mdxStripper) expression(heading bool) {
	end := -1
	if m.failures < maxFailures {
		if end = matchBrace(m.src, m.at); end < 0 {
			m.failures++
		}
	}
	if end < 0 {
		m.copy(1)
		return
	}
	inner := strings.TrimSpace(m.src[m.at+1 : end-1])
	if s, ok := stringLiteral(inner); ok {
		m.out.WriteString(escapeMarkdown(s))
	} else if id := commentID.FindStringSubmatch(inner); id != nil && heading {
		m.out.WriteString("{#" + id[1] + "}")
	}
	m.at = end
}

// inlineTag drops one tag. A pair with an address becomes a link, a break a
// space.
func (m *mdxStripper) inlineTag() {
	if rest := m.rest(); strings.HasPrefix(rest, "<!--") {
		if end := strings.Index(rest[:min(len(rest), scanLimit)], "-->"); end >= 0 {
			m.at += end + 3
			return
		}
	}
	if strings.HasSuffix(m.src[max(m.at-2, 0):m.at], "](") { // a link's address, not a tag
		n := strings.IndexAny(m.rest(), ">\n")
		m.copy(max(n, 0) + 1)
		return
	}
	var t jsxTag
	ok := false
	if m.failures < maxFailures {
		t, ok = scanTag(m.src, m.at)
	}
	if !ok {
		// A < before a space or digit is text; what looks like a tag and has
		// no end is a fault.
		if m.at+1 < len(m.src) && jsxName.MatchString(m.src[m.at+1:]) && m.failures < maxFailures {
			m.failures++
		}
		m.out.WriteString("\\<")
		m.at++
		return
	}
	m.at = t.end
	switch last := len(m.links) - 1; {
	case t.closing && last >= 0 && m.links[last].name == t.name:
		if href := m.links[last].href; href != "" {
			m.out.WriteString("](<" + href + ">)")
		}
		m.links = m.links[:last]
	case t.name == "br":
		m.out.WriteByte(' ')
	case t.closing || isVoid(t.name):
	case t.alone:
		m.out.WriteString(attrText(t))
	default:
		href := escapeHref(t.attrs["href"])
		if href != "" {
			m.out.WriteByte('[')
		} else if text := attrText(t); text != "" {
			m.out.WriteString(text + " ")
		}
		if len(m.links) < maxNesting {
			m.links = append(m.links, mdxLink{t.name, href})
		}
	}
}
