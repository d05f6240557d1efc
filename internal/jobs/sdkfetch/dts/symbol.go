package dts

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// symbols makes one symbol for each kind that a name has; the signatures of
// overloads and merged declarations are joined.
func symbols(name string, fs []found) []Symbol {
	var out []Symbol
	told := map[*declaration]bool{}
	for _, f := range fs {
		// Each overload of a default export leads to all of them.
		if f.decl != nil && told[f.decl] {
			continue
		}
		told[f.decl] = true
		s := describe(name, f)
		i := slices.IndexFunc(out, func(o Symbol) bool { return o.Kind == s.Kind })
		if i < 0 {
			out = append(out, s)
			continue
		}
		o := &out[i]
		if o.Doc == "" {
			o.Doc = s.Doc
		}
		if o.Signature != s.Signature && len(o.Signature) < maxSignature {
			o.Signature = clip(o.Signature+"\n"+s.Signature, maxSignature)
		}
	}
	return out
}

func describe(name string, f found) Symbol {
	switch {
	case f.module != nil:
		return Symbol{Name: name, Kind: "namespace", Signature: "namespace " + name, File: f.module.path}
	case f.foreign != nil:
		sig := "export { " + f.foreign.name + " } from \"" + f.foreign.from + "\""
		return Symbol{Name: name, Kind: "alias", Signature: clip(sig, maxSignature)}
	}
	d := f.decl
	return Symbol{Name: name, Kind: d.kind, Signature: renamed(d, name), Doc: d.doc, File: d.file.path}
}

// renamed is a declaration's signature under the name that it is exported by: a
// reader knows nothing of the name inside the file.
func renamed(d *declaration, name string) string {
	if name == d.name || name == "default" || name == "export =" {
		return d.signature
	}
	// A space is before it: the keyword of the declaration.
	before, after, ok := strings.Cut(d.signature, " "+d.name)
	if r, _ := utf8.DecodeRuneInString(after); !ok || r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) {
		return d.signature
	}
	return clip(before+" "+name+after, maxSignature)
}
