package dts

import "slices"

// symbols makes one symbol for each kind that a name has; the signatures of
// overloads and merged declarations are joined.
func symbols(name string, fs []found) []Symbol {
	var out []Symbol
	for _, f := range fs {
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
	return Symbol{Name: name, Kind: d.kind, Signature: d.signature, Doc: d.doc, File: d.file.path}
}
