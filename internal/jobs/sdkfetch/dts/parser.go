package dts

// parser reads the statements of one file.
type parser struct {
	src  string
	toks []token
	i    int
	m    *module
	// depth counts the namespaces that are open.
	depth int
}

// parse reads a declaration file; it never fails, what it cannot read it skips.
func parse(path, src string) *module {
	m := &module{path: path, src: src, imports: map[string]link{}}
	m.scope = *newScope(nil, m)
	p := &parser{src: src, m: m}
	p.toks, m.references = scan(src)
	p.statements(&m.scope)
	return m
}

func (p *parser) done() bool { return p.i >= len(p.toks) }

// text returns the text of the token n places ahead.
func (p *parser) ahead(n int) string {
	if p.i+n >= len(p.toks) {
		return ""
	}
	t := p.toks[p.i+n]
	return p.src[t.start:t.end]
}

func (p *parser) aheadIs(n int, k tokenKind) bool {
	return p.i+n < len(p.toks) && p.toks[p.i+n].kind == k
}

func (p *parser) take(s string) bool {
	if p.ahead(0) != s || p.aheadIs(0, text) {
		return false
	}
	p.i++
	return true
}

// name takes an identifier or a quoted name.
func (p *parser) name() string {
	if !p.aheadIs(0, word) && !p.aheadIs(0, text) {
		return ""
	}
	s := p.ahead(0)
	if p.aheadIs(0, text) {
		s = unquote(s)
	}
	p.i++
	return s
}

func unquote(s string) string {
	if len(s) >= 2 {
		return s[1 : len(s)-1]
	}
	return s
}

// entity takes a.b.c.
func (p *parser) entity() []string {
	var parts []string
	for p.aheadIs(0, word) {
		parts = append(parts, p.name())
		if !p.take(".") {
			break
		}
	}
	return parts
}

// statements reads up to the end of the file or the scope's closing brace.
func (p *parser) statements(s *scope) {
	for !p.done() && p.ahead(0) != "}" {
		before := p.i
		p.statement(s)
		if p.i == before {
			p.i++
		}
	}
}

func (p *parser) statement(s *scope) {
	d := &declaration{file: p.m, doc: p.doc(p.i)}
	switch {
	case p.ahead(0) == "import" && p.ahead(1) != "(":
		p.m.isModule = true
		p.i++
		p.importing(s, d)
	case p.ahead(0) == "export":
		p.m.isModule = true
		p.i++
		p.exporting(s, d)
	default:
		p.declaring(s, d)
	}
}

// exporting reads what follows export.
func (p *parser) exporting(s *scope, d *declaration) {
	switch {
	case p.take("="):
		s.lists = true
		s.whole = p.entity()
		p.skip()
	case p.take("import"):
		d.exported = true
		p.importing(s, d)
	case p.ahead(0) == "as" && p.ahead(1) == "namespace":
		p.skip() // a global name for scripts
	case p.take("default"):
		p.standard(s, d)
	case p.ahead(0) == "{" || p.ahead(0) == "*" || p.ahead(0) == "type" && (p.ahead(1) == "{" || p.ahead(1) == "*"):
		s.lists = true
		p.take("type")
		if p.take("*") {
			p.star(s)
		} else {
			p.list(s)
		}
		p.skip()
	default:
		d.exported = true
		p.declaring(s, d)
	}
}

// star reads export * from "x" and export * as n from "x".
func (p *parser) star(s *scope) {
	name := ""
	if p.take("as") {
		name = p.name()
	}
	if !p.take("from") {
		return
	}
	from := p.name()
	if name == "" {
		s.stars = append(s.stars, from)
		return
	}
	s.give(export{name: name, link: &link{from, "*"}})
}

// list reads export { a, b as c } with or without a source.
func (p *parser) list(s *scope) {
	var list []export
	p.names(func(orig, name string) {
		list = append(list, export{name: name, entity: []string{orig}})
	})
	from := ""
	if p.take("from") {
		from = p.name()
	}
	for _, e := range list {
		if from != "" {
			e.link, e.entity = &link{from, e.entity[0]}, nil
		}
		s.give(e)
	}
}

// names reads { a, type b, c as d }.
func (p *parser) names(add func(orig, name string)) {
	p.take("{")
	for !p.done() && !p.take("}") {
		if p.ahead(0) == "type" && (p.aheadIs(1, word) || p.aheadIs(1, text)) && p.ahead(1) != "as" {
			p.i++
		}
		orig := p.name()
		name := orig
		if p.take("as") {
			name = p.name()
		}
		if orig == "" {
			p.i++
			continue
		}
		add(orig, name)
		p.take(",")
	}
}

// standard reads what follows export default.
func (p *parser) standard(s *scope, d *declaration) {
	if p.startsDeclaration() && p.ahead(0) != "type" {
		d.standard = true
		p.declaring(s, d)
		s.give(export{name: "default", decl: d})
		return
	}
	s.lists = true
	from := p.i
	if e := p.entity(); len(e) > 0 {
		s.give(export{name: "default", entity: e})
		p.skip()
		return
	}
	p.skip()
	d.kind, d.name, d.signature = "const", "default", p.signature(from, p.i)
	s.give(export{name: "default", decl: d})
}

// importing reads what follows import.
func (p *parser) importing(s *scope, d *declaration) {
	if p.aheadIs(0, text) {
		p.m.sideImports = append(p.m.sideImports, p.name())
		p.skip()
		return
	}
	if p.ahead(0) == "type" && p.ahead(1) != "from" && p.ahead(1) != "," && p.ahead(1) != "=" {
		p.i++
	}
	local := map[string]string{}
	if p.aheadIs(0, word) {
		name := p.name()
		if p.take("=") {
			p.equals(s, d, name)
			return
		}
		local[name] = "default"
		p.take(",")
	}
	if p.take("*") {
		p.take("as")
		local[p.name()] = "*"
	} else if p.ahead(0) == "{" {
		p.names(func(orig, name string) { local[name] = orig })
	}
	if p.take("from") {
		from := p.name()
		for name, orig := range local {
			p.m.imports[name] = link{from, orig}
		}
	}
	p.skip()
}

// equals reads import a = b.c and import a = require("x").
func (p *parser) equals(s *scope, d *declaration, name string) {
	d.kind, d.name = "alias", name
	if p.ahead(0) == "require" && p.ahead(1) == "(" {
		p.i += 2
		d.link = &link{p.name(), "="}
	} else {
		d.entity = p.entity()
	}
	p.skip()
	if d.link != nil || d.entity != nil {
		s.declare(d)
	}
}

// startsStatement reports whether the token at i begins a statement, given that
// it stands at the start of a line.
func (p *parser) startsStatement(i int) bool {
	at := p.i
	defer func() { p.i = at }()
	p.i = i
	switch p.ahead(0) {
	case "export", "import":
		return p.ahead(1) != ":" && p.ahead(1) != "?" && p.ahead(1) != "("
	}
	return p.startsDeclaration()
}

func (p *parser) startsDeclaration() bool {
	if !p.aheadIs(0, word) {
		return false
	}
	switch p.ahead(0) {
	case "declare", "abstract", "async", "const", "let", "var", "function", "class", "interface", "enum", "namespace", "type":
		return p.aheadIs(1, word) || p.ahead(0) == "const" || p.ahead(0) == "function" || p.ahead(0) == "class"
	case "module", "global":
		return p.aheadIs(1, word) || p.aheadIs(1, text) || p.ahead(1) == "{"
	}
	return false
}

// skip moves behind the end of the statement.
func (p *parser) skip() { p.until("") }

// until moves to the end of the statement, or onto the stop mark if it comes
// first, outside of all brackets. It reports whether it stands on the mark.
func (p *parser) until(stop string) bool {
	round, angle := 0, 0
	for ; !p.done(); p.i++ {
		s, t := p.ahead(0), p.toks[p.i]
		if t.kind == text {
			continue
		}
		if round == 0 && p.i > 0 && t.newline && !continues(p.src, p.toks[p.i-1]) && p.startsStatement(p.i) {
			return false
		}
		switch s {
		case stop:
			if round == 0 && angle == 0 {
				return true
			}
		case ";":
			if round == 0 {
				p.i++
				return false
			}
		}
		switch s {
		case "(", "[", "{":
			round++
		case ")", "]", "}":
			if round == 0 {
				return false // the scope's own brace
			}
			round--
		case "<":
			angle++
		case ">":
			angle = max(0, angle-1)
		}
	}
	return false
}

// continues reports whether a statement cannot end on this token.
func continues(src string, t token) bool {
	switch src[t.start:t.end] {
	case "=", "|", "&", ":", "=>", ",", "<", "(", "[", "{", "?", ".", "...":
		return t.kind == punct
	case "extends", "keyof", "typeof", "infer", "is", "in", "readonly", "new", "unique", "asserts", "implements":
		return t.kind == word
	}
	return false
}
