package dts

import (
	"bytes"
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// manifest is what package.json says about types.
type manifest struct {
	Types   string          `json:"types"`
	Typings string          `json:"typings"`
	Main    string          `json:"main"`
	Exports json.RawMessage `json:"exports"`
}

// entry finds the declaration file that a program which imports the package
// sees: by exports, types, or what lies beside main.
func entry(raw []byte, has func(string) bool) string {
	var m manifest
	var loose map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil && json.Unmarshal(raw, &loose) == nil {
		// One field of an odd type must not hide the others.
		for name, into := range map[string]*string{"types": &m.Types, "typings": &m.Typings, "main": &m.Main} {
			_ = json.Unmarshal(loose[name], into)
		}
		m.Exports = loose["exports"]
	}
	// A program imports; what only requires is the second choice.
	for _, without := range []string{"require", "import"} {
		if f := exported(m.Exports, without, has, 0); f != "" {
			return f
		}
	}
	for _, p := range []string{m.Types, m.Typings, m.Main, "index.d.ts"} {
		if f := declarationOf(p, has); p != "" && f != "" {
			return f
		}
	}
	return ""
}

// exported walks the conditions of exports in their order, as Node does, and
// takes the first that leads to declarations without the condition named.
func exported(raw json.RawMessage, without string, has func(string) bool, depth int) string {
	var target string
	if json.Unmarshal(raw, &target) == nil {
		return declarationOf(target, has)
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil && depth < maxNesting {
		for _, one := range list {
			if f := exported(one, without, has, depth+1); f != "" {
				return f
			}
		}
		return ""
	}
	for _, member := range members(raw) {
		subpath := strings.HasPrefix(member.name, ".")
		if subpath && member.name != "." || !subpath && (member.name == without || !condition(member.name)) || depth >= maxNesting {
			continue
		}
		if f := exported(member.value, without, has, depth+1); f != "" {
			return f
		}
	}
	return ""
}

func condition(name string) bool {
	return slices.Contains([]string{"types", "import", "require", "node", "module", "default"}, name)
}

type member struct {
	name  string
	value json.RawMessage
}

// members lists an object's members in their order, which has a meaning here.
func members(raw json.RawMessage) []member {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	var out []member
	for dec.More() {
		t, err := dec.Token()
		name, isName := t.(string)
		var value json.RawMessage
		if err != nil || !isName || dec.Decode(&value) != nil {
			return out
		}
		out = append(out, member{name, value})
	}
	return out
}

// declarationOf finds the declaration file for a path as it may stand in an
// import: with the suffix of declarations, of a program, or none.
func declarationOf(p string, has func(string) bool) string {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	var try []string
	for _, s := range [][2]string{{".js", ".d.ts"}, {".mjs", ".d.mts"}, {".cjs", ".d.cts"}, {".jsx", ".d.ts"}, {".mts", ".d.mts"},
		{".cts", ".d.cts"}, {".tsx", ".d.ts"}, {".ts", ".d.ts"}} {
		if stem, ok := strings.CutSuffix(p, s[0]); ok {
			try = append(try, stem+s[1])
		}
	}
	try = append(try, p+".d.ts", p+".d.mts", p+".d.cts", path.Join(p, "index.d.ts"), path.Join(p, "index.d.mts"), path.Join(p, "index.d.cts"))
	if IsDeclaration(p) {
		try = append([]string{p}, try...)
	}
	for _, f := range try {
		if has(f) {
			return f
		}
	}
	return ""
}

// IsDeclaration reports whether a path is that of a declaration file.
func IsDeclaration(p string) bool {
	return strings.HasSuffix(p, ".d.ts") || strings.HasSuffix(p, ".d.mts") || strings.HasSuffix(p, ".d.cts")
}
