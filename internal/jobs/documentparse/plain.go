package documentparse

import "strings"

// readPlain makes one section of paragraphs.
func readPlain(b *builder, text string) {
	addProse(b, text)
	b.markdown = clip(text, maxText)
}

// addProse adds text by paragraphs, several small ones in a block, so that the
// number of blocks stays small whatever the text is like.
func addProse(b *builder, text string) {
	const blockSize = 1 << 10
	for text = strings.Trim(text, "\n"); text != ""; text = strings.TrimLeft(text, "\n") {
		end := len(text)
		if i := strings.Index(text[min(blockSize, end):], "\n\n"); i >= 0 {
			end = min(blockSize, end) + i
		}
		b.paragraph(text[:end], false)
		text = text[end:]
	}
}

// readOutline is the linear reading of Markdown that would cost a full parser
// too much: headings with # and fenced code are found, all else is text as it
// stands.
func readOutline(b *builder, src string) {
	var prose strings.Builder
	flush := func() {
		addProse(b, prose.String())
		prose.Reset()
	}
	for src != "" {
		var line string
		line, src, _ = strings.Cut(src, "\n")
		if fence, info := openingFence(line); fence != "" {
			flush()
			var code string
			code, src = fencedBody(src, fence)
			b.code(fenceLanguage(info), code)
			continue
		}
		if level, text := atxHeading(line); level > 0 {
			flush()
			b.heading(level, text, "")
			continue
		}
		prose.WriteString(line)
		prose.WriteByte('\n')
	}
	flush()
}

// openingFence returns the fence that a line opens, or "".
func openingFence(line string) (fence, info string) {
	t := strings.TrimLeft(line, " \t")
	n := len(t) - len(strings.TrimLeft(t, "`"))
	if n < 3 {
		n = len(t) - len(strings.TrimLeft(t, "~"))
	}
	if n < 3 || t[0] == '`' && strings.Contains(t[n:], "`") {
		return "", ""
	}
	return t[:n], strings.TrimSpace(t[n:])
}

// closesFence reports whether line ends the code that fence began.
func closesFence(line, fence string) bool {
	t := strings.TrimSpace(line)
	return len(t) >= len(fence) && strings.Trim(t, fence[:1]) == ""
}

// fencedBody splits src at the line that closes fence.
func fencedBody(src, fence string) (code, rest string) {
	for pos := 0; pos < len(src); {
		line, _, _ := strings.Cut(src[pos:], "\n")
		if closesFence(line, fence) {
			return src[:pos], src[min(pos+len(line)+1, len(src)):]
		}
		pos += len(line) + 1
	}
	return src, ""
}

func atxHeading(line string) (level int, text string) {
	t := strings.TrimLeft(line, " ")
	level = len(t) - len(strings.TrimLeft(t, "#"))
	if level == 0 || level > 6 || len(line)-len(t) > 3 || len(t) > level && t[level] != ' ' && t[level] != '\t' {
		return 0, ""
	}
	return level, strings.TrimRight(strings.TrimSpace(strings.TrimRight(strings.TrimSpace(t[level:]), "#")), " ")
}

// fenceLanguage is the language in a fence's info string: its first word up to
// the attributes that tools put there, as in "rust,ignore" or "js{1,3}".
func fenceLanguage(info string) string {
	info = strings.TrimSpace(info)
	if strings.HasPrefix(info, "{") { // pandoc: {.python .numberLines}
		info = strings.TrimLeft(info, "{. ")
	}
	if i := strings.IndexAny(info, " \t,{}:="); i >= 0 {
		info = info[:i]
	}
	return info
}
