package goapi

import (
	"go/ast"
	"go/doc"
	"go/printer"
	"go/token"
	"slices"
	"strings"
)

// Bounds of one name's texts, in bytes.
const (
	maxSignature = 2000
	maxDoc       = 4000
	// maxValue is how long the value of a constant or variable may be to be shown.
	maxValue = 300
)

// writer turns what go/doc found in one package into symbols.
type writer struct {
	s    *scanner
	fset *token.FileSet
	pkg  string
	// named holds the constants and variables by name.
	named map[string]value
}

func (w writer) add(name, kind, signature, text string) {
	if len(w.s.out.Symbols) >= w.s.max {
		w.s.out.Truncated = true
		return
	}
	w.s.out.Symbols = append(w.s.out.Symbols, Symbol{w.pkg, name, kind, signature, clip(strings.TrimSpace(text), maxDoc)})
}

// funcs adds functions, or methods with their type's name before.
func (w writer) funcs(prefix string, fs []*doc.Func) {
	for _, f := range fs {
		kind := "func"
		if prefix != "" {
			kind = "method"
		}
		decl := *f.Decl
		decl.Doc, decl.Body = nil, nil
		w.add(prefix+f.Name, kind, w.print(&decl), f.Doc)
	}
}

// values adds each exported name of a group; the group's text stands for names
// without one of their own.
func (w writer) values(kind string, vs []*doc.Value) {
	for _, v := range vs {
		for _, spec := range v.Decl.Specs {
			vs, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			text := strings.TrimSpace(vs.Doc.Text() + vs.Comment.Text())
			if text == "" {
				text = v.Doc
			}
			for _, id := range vs.Names {
				if id.IsExported() && slices.Contains(v.Names, id.Name) {
					w.add(id.Name, kind, w.value(v.Decl.Tok, id), text)
				}
			}
		}
	}
}

func withoutDoc(d *ast.GenDecl) *ast.GenDecl {
	one := *d
	one.Doc = nil
	return &one
}

func (w writer) print(node any) string {
	var b strings.Builder
	if err := (&printer.Config{Mode: printer.UseSpaces, Tabwidth: 4}).Fprint(&b, w.fset, node); err != nil {
		return ""
	}
	return clip(b.String(), maxSignature)
}

func clip(s string, limit int) string {
	if len(s) <= limit {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
