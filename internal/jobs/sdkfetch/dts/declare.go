package dts

import "strings"

// declaring reads one declaration, with its modifiers, into the scope.
func (p *parser) declaring(s *scope, d *declaration) {
	for p.startsDeclaration() && (p.ahead(0) == "declare" || p.ahead(0) == "async") {
		p.i++
	}
	from := p.i
	p.take("abstract")
	key := p.ahead(0)
	switch {
	case !p.startsDeclaration():
		p.skip()
	case key == "const" && p.ahead(1) == "enum":
		p.i += 2
		p.block(s, d, "enum", from)
	case key == "const" || key == "let" || key == "var":
		p.i++
		p.variables(s, d, key, from)
	case key == "function":
		p.i++
		d.kind, d.name = "func", p.optionalName("(", "<")
		p.skip()
		p.close(s, d, from)
	case key == "type":
		p.i++
		d.kind, d.name = "type", p.name()
		p.skip()
		p.close(s, d, from)
	case key == "class" || key == "interface" || key == "enum":
		p.i++
		p.block(s, d, key, from)
	case key == "namespace" || key == "module" || key == "global":
		p.i++
		p.namespace(s, d, key)
	default:
		p.skip()
	}
}

// optionalName takes a name, which export default may leave away.
func (p *parser) optionalName(unless ...string) string {
	for _, u := range unless {
		if p.ahead(0) == u {
			return "default"
		}
	}
	return p.name()
}

func (p *parser) close(s *scope, d *declaration, from int) {
	d.signature = p.signature(from, p.i)
	if d.name != "" {
		s.declare(d)
	}
}

// block reads a class, interface or enum: a head and a body in braces.
func (p *parser) block(s *scope, d *declaration, kind string, from int) {
	d.kind, d.name = kind, p.optionalName("{", "extends", "implements", "<")
	if p.until("{") {
		p.i++
		p.braces()
	}
	p.close(s, d, from)
}

// braces moves behind the brace that closes the one just taken.
func (p *parser) braces() {
	for open := 1; !p.done() && open > 0; p.i++ {
		if p.toks[p.i].kind != punct {
			continue
		}
		switch p.ahead(0) {
		case "{":
			open++
		case "}":
			open--
		}
	}
}

// variables reads the names of one const, let or var.
func (p *parser) variables(s *scope, d *declaration, key string, from int) {
	kind := "var"
	if key == "const" {
		kind = "const"
	}
	for start := from; !p.done(); start = p.i {
		one := *d
		one.kind, one.name = kind, p.name()
		more := p.until(",")
		one.signature = p.signature(start, p.i)
		if start != from {
			one.signature = key + " " + one.signature
		}
		if one.name != "" {
			s.declare(&one)
		}
		if !more {
			return
		}
		p.i++
	}
}

// namespace reads namespace a.b {…}, declare module "x" {…} and declare global.
func (p *parser) namespace(s *scope, d *declaration, key string) {
	if key == "global" && p.ahead(0) == "{" || p.depth >= maxNesting {
		p.until("{")
		p.i++
		p.braces()
		return
	}
	quoted := p.aheadIs(0, text)
	d.kind, d.name = "namespace", p.name()
	d.signature = "namespace " + d.name
	d.body = newScope(s, p.m)
	inner := d.body
	for p.take(".") {
		nested := &declaration{kind: "namespace", name: p.name(), exported: true, file: p.m, doc: d.doc, body: newScope(inner, p.m)}
		nested.signature = "namespace " + nested.name
		inner.declare(nested)
		inner = nested.body
	}
	if p.take("{") {
		p.depth++
		wasModule := p.m.isModule
		p.statements(inner)
		// Exports inside a body do not make a script a module.
		p.m.isModule = wasModule
		p.depth--
		p.take("}")
	} else {
		p.skip()
	}
	if quoted {
		p.m.ambient = append(p.m.ambient, ambient{d.name, d.body})
		return
	}
	s.declare(d)
}

// signature writes the tokens from to before end without comments and what is
// private, keeping the lines.
func (p *parser) signature(from, end int) string {
	for from < end && (p.textAt(from) == "export" || p.textAt(from) == "declare" || p.textAt(from) == "default") {
		from++
	}
	var b strings.Builder
	depth := 0
	for i := from; i < end && i < len(p.toks) && b.Len() <= maxSignature; i++ {
		depth += p.opens(i)
		if depth == 1 {
			i = p.behindPrivate(i, end)
		}
		if i == end {
			break
		}
		t := p.toks[i]
		if i > from {
			b.WriteString(p.gap(p.toks[i-1].end, t))
		}
		b.WriteString(p.src[t.start:t.end])
	}
	return clip(strings.TrimRight(b.String(), ";, \n\t"), maxSignature)
}

// opens is 1 for a bracket that opens, -1 for one that closes.
func (p *parser) opens(i int) int {
	if p.toks[i].kind != punct {
		return 0
	}
	switch p.textAt(i) {
	case "{", "(", "[":
		return 1
	case "}", ")", "]":
		return -1
	}
	return 0
}

// behindPrivate moves over members of a class that begin at i and that nobody
// outside can name. A private constructor stays: it says that new is not for all.
func (p *parser) behindPrivate(i, end int) int {
	for i > 0 && i+1 < end && p.toks[i].newline && p.toks[i].kind == word {
		private := p.textAt(i) == "private" && p.toks[i+1].kind == word && p.textAt(i+1) != "constructor"
		if !private && p.textAt(i)[0] != '#' {
			break
		}
		i = p.behindMember(i, end)
	}
	return i
}

// behindMember moves over one member, which ends at a semicolon, with its line,
// or at the brace of its class.
func (p *parser) behindMember(i, end int) int {
	depth := 0
	for from := i; i < end; i++ {
		t := p.toks[i]
		if depth == 0 && i > from && t.newline && t.kind == word && !continues(p.src, p.toks[i-1]) {
			return i
		}
		if depth += p.opens(i); depth < 0 {
			return i
		}
		if depth == 0 && p.textAt(i) == ";" {
			return i + 1
		}
	}
	return i
}

func (p *parser) textAt(i int) string { return p.src[p.toks[i].start:p.toks[i].end] }

// gap is the white space before a token: a line break with its indentation, a
// space, or nothing.
func (p *parser) gap(from int, t token) string {
	if !t.newline {
		if from == t.start {
			return ""
		}
		return " "
	}
	line := p.src[from:t.start]
	indent := line[strings.LastIndexByte(line, '\n')+1:]
	if strings.TrimSpace(indent) != "" || len(indent) > 40 {
		indent = " "
	}
	return "\n" + indent
}

// doc returns the description of the JSDoc before token i, without its tags.
func (p *parser) doc(i int) string {
	if p.done() || p.toks[i].docEnd == 0 {
		return ""
	}
	return cleanDoc(p.src[p.toks[i].docStart:p.toks[i].docEnd])
}

// cleanDoc takes the stars off a JSDoc comment and stops at the first tag.
// A notice of deprecation is kept, since readers need it.
func cleanDoc(c string) string {
	c = strings.TrimSuffix(strings.TrimPrefix(c, "/**"), "*/")
	var lines []string
	deprecated, tagged, fenced := "", false, false
	for line := range strings.SplitSeq(c, "\n") {
		line = strings.TrimRight(line, " \t\r")
		if star := strings.TrimLeft(line, " \t"); strings.HasPrefix(star, "*") {
			line = strings.TrimPrefix(star[1:], " ")
		} else {
			line = strings.TrimLeft(line, " \t")
		}
		word := strings.TrimSpace(line)
		if word == "/**" {
			continue // a comment that opens twice
		}
		if strings.HasPrefix(word, "```") {
			fenced = !fenced
		}
		if notice, ok := strings.CutPrefix(word, "@deprecated"); ok && !fenced {
			deprecated = strings.TrimSpace("Deprecated: " + strings.TrimSpace(notice))
		}
		tagged = tagged || strings.HasPrefix(word, "@") && !fenced
		if !tagged {
			lines = append(lines, line)
		}
	}
	doc := strings.TrimSpace(strings.Join(lines, "\n"))
	if deprecated != "" {
		doc = strings.TrimSpace(doc + "\n\n" + deprecated)
	}
	return clip(doc, maxDoc)
}

func clip(s string, limit int) string {
	if len(s) <= limit {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
