package dts

import (
	"bytes"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/semver"
)

// manifest is what package.json says about types.
type manifest struct {
	Types    string          `json:"types"`
	Typings  string          `json:"typings"`
	Main     string          `json:"main"`
	Exports  json.RawMessage `json:"exports"`
	Versions json.RawMessage `json:"typesVersions"`
}

// readManifest is lenient: one field of an odd type must not hide the others.
func readManifest(raw []byte) manifest {
	var m manifest
	var loose map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil && json.Unmarshal(raw, &loose) == nil {
		for name, into := range map[string]*string{"types": &m.Types, "typings": &m.Typings, "main": &m.Main} {
			_ = json.Unmarshal(loose[name], into)
		}
		m.Exports, m.Versions = loose["exports"], loose["typesVersions"]
	}
	return m
}

// entry is a path that programs import, and the declaration file they see then.
type entry struct {
	// subpath is empty for the package itself, else as /sub.
	subpath, file string
}

// entries finds what programs can import, the package itself first. The second
// list has the patterns, as ./locale/*, which are not followed.
func (m manifest) entries(has func(string) bool) (out []entry, patterns []string) {
	f := m.root(has)
	if f != "" && !m.rootless() {
		out = append(out, entry{"", f})
	}
	add := func(subpath, file string) {
		known := func(e entry) bool { return e.file == file }
		if file != "" && len(out) < maxEntries && !slices.ContainsFunc(out, known) {
			out = append(out, entry{strings.TrimPrefix(subpath, "."), file})
		}
	}
	for _, sub := range members(m.Exports) {
		switch {
		case !strings.HasPrefix(sub.name, "./") || sub.name == "./*" || sub.name == "./package.json":
		case !strings.Contains(sub.name, "*"):
			add(sub.name, importedOrRequired(sub.value, has))
		case len(patterns) < maxEntries && importedOrRequired(sub.value, has) != "":
			patterns = append(patterns, sub.name)
		}
	}
	if f != "" && len(out) == 0 {
		out = append(out, entry{"", f}) // better than nothing: older compilers see it
	}
	if len(m.Exports) > 0 {
		return out, patterns
	}
	for _, sub := range m.redirects() {
		if !strings.Contains(sub.name, "*") && sub.name != "." && sub.name != "index" {
			add("./"+strings.TrimPrefix(sub.name, "./"), m.versioned(sub.name, has))
		}
	}
	return out, patterns
}

// rootless reports that exports has paths but not the package itself, which
// then cannot be imported.
func (m manifest) rootless() bool {
	subs := members(m.Exports)
	return len(subs) > 0 && !slices.ContainsFunc(subs, func(s member) bool { return s.name == "." || !strings.HasPrefix(s.name, ".") })
}

// root finds the declaration file of the package itself: by exports,
// typesVersions, types, or what lies beside main.
func (m manifest) root(has func(string) bool) string {
	if f := importedOrRequired(m.Exports, has); f != "" {
		return f
	}
	for _, p := range []string{m.Types, m.Typings, m.Main, "index.d.ts"} {
		if p == "" {
			continue
		}
		if f := m.versioned(p, has); f != "" {
			return f
		}
		if f := declarationOf(p, has); f != "" {
			return f
		}
	}
	return ""
}

// redirects are the paths of typesVersions for the TypeScript whose view is
// listed: the first range that holds it counts.
func (m manifest) redirects() []member {
	for _, r := range members(m.Versions) {
		if holdsTypeScript(r.name) {
			return members(r.value)
		}
	}
	return nil
}

// versioned follows typesVersions from a path, to nothing if it has none for it.
func (m manifest) versioned(p string, has func(string) bool) string {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	for _, r := range m.redirects() {
		before, after, star := strings.Cut(strings.TrimPrefix(path.Clean("/"+r.name), "/"), "*")
		if !star && p != before || star && (len(p) < len(before)+len(after) || !strings.HasPrefix(p, before) || !strings.HasSuffix(p, after)) {
			continue
		}
		rest := ""
		if star {
			rest = p[len(before) : len(p)-len(after)]
		}
		var targets []string
		_ = json.Unmarshal(r.value, &targets)
		for _, t := range targets {
			if f := declarationOf(strings.Replace(t, "*", rest, 1), has); f != "" {
				return f
			}
		}
		return ""
	}
	return ""
}

// holdsTypeScript reports whether a range of compiler versions holds ours.
func holdsTypeScript(text string) bool {
	v, err := semver.Parse(typeScript, semver.Options{})
	if err != nil {
		return false
	}
	r, err := semver.ParseRange(text, semver.Options{Loose: true})
	return err == nil && r.Match(v)
}

// importedOrRequired finds the declarations behind a value of exports. A program
// imports; what only requires is the second choice.
func importedOrRequired(raw json.RawMessage, has func(string) bool) string {
	for _, without := range []string{"require", "import"} {
		if f := exported(raw, without, has, 0); f != "" {
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
		if target == "" {
			return "" // null closes a path
		}
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
	if selector, ok := strings.CutPrefix(name, "types@"); ok {
		return holdsTypeScript(selector)
	}
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
