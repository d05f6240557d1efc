package goapi

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
)

// value is what stands behind one name of a const or var declaration. A name
// in a group may repeat what an earlier line says: here it is written out.
type value struct {
	typ  ast.Expr
	expr ast.Expr
	// names are all that share expr, as in var a, b = f(); else nil.
	names []*ast.Ident
}

// valuesOf reads the declarations of files. It must run before go/doc, which
// takes the hidden names out of them and so loses the count of iota.
func valuesOf(files []*ast.File) map[string]value {
	out := map[string]value{}
	for _, f := range files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && (g.Tok == token.CONST || g.Tok == token.VAR) {
				group(g, out)
			}
		}
	}
	return out
}

func group(g *ast.GenDecl, out map[string]value) {
	said := &ast.ValueSpec{}
	for i, s := range g.Specs {
		spec, ok := s.(*ast.ValueSpec)
		if !ok {
			continue
		}
		if g.Tok == token.VAR || len(spec.Values) > 0 || spec.Type != nil {
			said = spec
		}
		for j, id := range spec.Names {
			v := value{typ: said.Type}
			switch {
			case len(said.Values) == 1 && len(spec.Names) > 1:
				v.expr, v.names = said.Values[0], slices.Clone(spec.Names)
			case j < len(said.Values):
				v.expr = said.Values[j]
			}
			if g.Tok == token.CONST {
				v.expr = counted(v.expr, i)
			}
			out[id.Name] = v
		}
	}
}

// counted is an expression with n in the place of iota.
func counted(e ast.Expr, n int) ast.Expr {
	switch e := e.(type) {
	case *ast.Ident:
		if e.Name == "iota" {
			return &ast.BasicLit{ValuePos: e.Pos(), Kind: token.INT, Value: strconv.Itoa(n)}
		}
	case *ast.ParenExpr:
		one := *e
		one.X = counted(e.X, n)
		return &one
	case *ast.UnaryExpr:
		one := *e
		one.X = counted(e.X, n)
		return &one
	case *ast.BinaryExpr:
		one := *e
		one.X, one.Y = counted(e.X, n), counted(e.Y, n)
		return &one
	case *ast.CallExpr:
		one := *e
		one.Args = make([]ast.Expr, len(e.Args))
		for i, a := range e.Args {
			one.Args[i] = counted(a, n)
		}
		return &one
	}
	return e
}

// value writes the declaration of one name, without a value that is too long.
func (w writer) value(tok token.Token, id *ast.Ident) string {
	v := w.named[id.Name]
	spec := &ast.ValueSpec{Names: []*ast.Ident{id}, Type: v.typ}
	if v.names != nil {
		spec.Names = v.names
	}
	tail := ""
	switch {
	case v.expr == nil:
	case v.expr.End()-v.expr.Pos() > maxValue:
		tail = " = …"
	default:
		spec.Values = []ast.Expr{v.expr}
	}
	if len(spec.Values) == 0 && spec.Type == nil {
		return tok.String() + " " + id.Name + tail // the printer wants one of them
	}
	return clip(w.print(&ast.GenDecl{Tok: tok, TokPos: id.Pos(), Specs: []ast.Spec{spec}})+tail, maxSignature)
}
