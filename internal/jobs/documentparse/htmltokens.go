package documentparse

import (
	"context"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// readTokens reads HTML as a stream of tokens, in linear time and without a
// tree: headings, code, links and all text, in order.
func readTokens(ctx context.Context, b *builder, src string) error {
	t := tokenReader{w: htmlWalker{b: b}}
	z := html.NewTokenizer(strings.NewReader(src))
	for n := 0; ; n++ {
		if n%10_000 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		t.token(z, kind)
	}
	t.endPiece()
	t.w.flush()
	b.markdown = plainMarkdown(b.blocks)
	return nil
}

// tokenReader keeps the little state that a stream needs.
type tokenReader struct {
	w     htmlWalker
	hide  atom.Atom // the element whose content is left out
	piece atom.Atom // a heading, pre, title or link that gathers text
	text  strings.Builder
	id    string
	href  string
}

func (t *tokenReader) token(z *html.Tokenizer, kind html.TokenType) {
	switch kind {
	case html.TextToken:
		if t.hide == 0 {
			t.write(string(z.Text()))
		}
	case html.StartTagToken, html.SelfClosingTagToken:
		t.start(z, kind == html.SelfClosingTagToken)
	case html.EndTagToken:
		name, _ := z.TagName()
		t.end(atom.Lookup(name))
	}
}

func (t *tokenReader) write(s string) {
	s = html.UnescapeString(s)
	if t.piece != 0 {
		t.text.WriteString(s)
		return
	}
	t.w.write(s)
	if t.href != "" && t.text.Len() < 300 {
		t.text.WriteString(s)
	}
}

func (t *tokenReader) start(z *html.Tokenizer, alone bool) {
	raw, more := z.TagName()
	name := atom.Lookup(raw)
	if t.hide != 0 {
		return
	}
	var id, href string
	for i := 0; more && i < 50; i++ {
		var key, val []byte
		key, val, more = z.TagAttr()
		switch string(key) {
		case "id":
			id = string(val)
		case "href":
			href = string(val)
		}
	}
	switch name {
	case atom.Script, atom.Style, atom.Template, atom.Noscript, atom.Svg, atom.Iframe, atom.Textarea:
		if !alone {
			t.hide = name
		}
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Pre, atom.Title:
		t.endPiece()
		t.w.flush()
		t.piece, t.id = name, id
	case atom.A:
		if t.piece == 0 {
			t.text.Reset()
			t.href = href
		}
	case atom.Br:
		t.write("\n")
	default:
		if isBlock(&html.Node{DataAtom: name}) && t.piece != atom.Pre {
			t.endPiece()
			t.w.flush()
		}
	}
}

func (t *tokenReader) end(name atom.Atom) {
	switch {
	case t.hide != 0:
		if name == t.hide {
			t.hide = 0
		}
	case t.piece != 0 && name == t.piece:
		t.endPiece()
	case name == atom.A && t.href != "":
		t.w.b.link(t.href, t.text.String())
		t.href = ""
		t.text.Reset()
	case isBlock(&html.Node{DataAtom: name}) && t.piece != atom.Pre:
		t.endPiece()
		t.w.flush()
	}
}

// endPiece hands the gathered heading, code or title over.
func (t *tokenReader) endPiece() {
	text := t.text.String()
	switch t.piece {
	case 0:
		return
	case atom.Pre:
		if text = trimBlankLines(text); text != "" {
			t.w.b.code("", text)
		}
	case atom.Title:
		if t.w.b.title == "" {
			t.w.b.title = clip(fold(text), 500)
		}
	default:
		t.w.b.heading(int(t.piece.String()[1]-'0'), text, cleanID(t.id))
	}
	t.w.blockDone()
	t.piece, t.href = 0, ""
	t.text.Reset()
}

// plainMarkdown writes blocks as Markdown where no better source is at hand.
func plainMarkdown(blocks []block) string {
	var s strings.Builder
	for i, bl := range blocks {
		if i > 0 {
			s.WriteString(separator(bl))
		}
		switch bl.kind {
		case blockHeading:
			s.WriteString(strings.Repeat("#", bl.level) + " " + bl.text)
		case blockCode:
			s.WriteString(strings.TrimRight(fenced(bl.detail, bl.text), "\n"))
		default:
			s.WriteString(bl.text)
		}
	}
	return s.String()
}
