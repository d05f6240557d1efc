package dts

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
)

// resolver follows exports through the files of one package.
type resolver struct {
	pkg     Package
	modules map[string]*module // nil where a file is absent or over a bound
	missing map[string]bool
	foreign map[string]bool
	// gathered are the files whose additions to others are known.
	gathered map[string]bool
	// work counts the look-ups, which hostile files could make endless.
	work int
	// scans counts the searches of all files for a path with a star.
	scans int
}

// found is what stands behind a name: a declaration, a whole file, or a name
// of another package.
type found struct {
	decl    *declaration
	module  *module
	foreign *link
}

// Scan lists what a program can import from the package: from the package
// itself or, where that exports nothing, from the paths inside it.
func Scan(ctx context.Context, p Package) (Result, error) {
	r := &resolver{pkg: p, modules: map[string]*module{}, gathered: map[string]bool{}, missing: map[string]bool{}, foreign: map[string]bool{}}
	var out Result
	entries, patterns := readManifest(p.Manifest).entries(r.has)
	if len(entries) == 0 {
		return out, nil
	}
	out.Entry = entries[0].file
	if entries[0].subpath == "" {
		for _, e := range entries[1:] {
			out.Unlisted = append(out.Unlisted, "."+e.subpath)
		}
		entries = entries[:1]
	}
	out.Unlisted = append(out.Unlisted, patterns...)
	listed := map[Symbol]bool{}
	for _, e := range entries {
		more, complete, err := r.entry(ctx, e)
		if err != nil {
			return Result{}, err
		}
		if more = slices.DeleteFunc(more, func(s Symbol) bool { return listed[s] }); len(more) > p.MaxSymbols-len(out.Symbols) {
			more, complete = more[:p.MaxSymbols-len(out.Symbols)], false
		}
		for _, s := range more {
			listed[s] = true
			s.Subpath = e.subpath
			out.Symbols = append(out.Symbols, s)
		}
		if out.Truncated = !complete; out.Truncated {
			break
		}
	}
	if len(out.Symbols) == 0 {
		out.Unlisted = append(out.Unlisted, r.ambients()...)
	}
	out.Foreign, out.Missing = slices.Sorted(maps.Keys(r.foreign)), slices.Sorted(maps.Keys(r.missing))
	return out, nil
}

// entry lists what one path exports, and reports whether that is all of it.
func (r *resolver) entry(ctx context.Context, e entry) ([]Symbol, bool, error) {
	if err := r.gather(ctx, e.file); err != nil {
		return nil, false, err
	}
	m := r.load(e.file)
	if m == nil {
		return nil, true, nil
	}
	start := &m.scope
	if own := r.ambient(r.pkg.Name + e.subpath); !m.isModule && own != nil {
		start = own
	}
	var out []Symbol
	for _, n := range r.names(start) {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		if len(out) > r.pkg.MaxSymbols || r.work > maxWork {
			return out, false, nil
		}
		out = append(out, symbols(n.name, r.export(n.in, n.name, 0))...)
	}
	return append(out, symbols("export =", r.callable(start))...), true, nil
}

// has reports whether a file is there; one star stands for any text.
func (r *resolver) has(f string) bool {
	before, after, pattern := strings.Cut(f, "*")
	if !pattern {
		_, ok := r.pkg.Files[f]
		return ok
	}
	if r.scans++; r.scans > maxScans {
		return false
	}
	for p := range r.pkg.Files {
		if len(p) > len(f)-1 && strings.HasPrefix(p, before) && strings.HasSuffix(p, after) {
			return true
		}
	}
	return false
}

// gather loads the entry and the files that it draws in for their effect, and
// hands what they declare for other files to those.
func (r *resolver) gather(ctx context.Context, entry string) error {
	queue := []string{entry}
	for len(queue) > 0 {
		f := queue[0]
		queue = queue[1:]
		m := r.load(f)
		if m == nil || r.gathered[f] {
			continue
		}
		r.gathered[f] = true
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, ref := range slices.Concat(m.references, m.sideImports) {
			if !strings.HasPrefix(ref, ".") && slices.Contains(m.references, ref) {
				ref = "./" + ref
			}
			if to := r.locate(m, ref); to != "" {
				queue = append(queue, to)
			}
		}
		for _, a := range m.ambient {
			if to := r.load(r.locate(m, a.name)); strings.HasPrefix(a.name, ".") && to != nil {
				to.added = append(to.added, a.body)
			}
		}
	}
	return nil
}

// ambient finds declare module "name", as a script may describe the package.
func (r *resolver) ambient(name string) *scope {
	for _, f := range slices.Sorted(maps.Keys(r.modules)) {
		m := r.modules[f]
		if m == nil {
			continue
		}
		for _, a := range m.ambient {
			if a.name == name {
				return a.body
			}
		}
	}
	return nil
}

// ambients names the modules that the package declares for others, as @types/node
// does for those of the platform.
func (r *resolver) ambients() []string {
	seen := map[string]bool{}
	for _, m := range r.modules {
		if m == nil {
			continue
		}
		for _, a := range m.ambient {
			if !strings.HasPrefix(a.name, ".") && !strings.Contains(a.name, "*") {
				seen[a.name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// locate finds the file that a module names relative to itself.
func (r *resolver) locate(m *module, ref string) string {
	if !strings.HasPrefix(ref, ".") {
		return ""
	}
	p := path.Join(path.Dir(m.path), ref)
	if p == ".." || strings.HasPrefix(p, "../") {
		return ""
	}
	return declarationOf(p, r.has)
}

// load parses a file once.
func (r *resolver) load(f string) *module {
	if m, ok := r.modules[f]; ok || f == "" {
		return m
	}
	src, ok := r.pkg.Files[f]
	if !ok || len(src) > maxFileBytes || len(r.modules) >= maxFiles {
		r.missing[f] = true
		r.modules[f] = nil
		return nil
	}
	m := parse(f, string(src))
	r.modules[f] = m
	return m
}

// follow finds the module behind a source: nil and false if it is foreign.
func (r *resolver) follow(from *module, ref string) (*module, bool) {
	if !strings.HasPrefix(ref, ".") {
		return nil, false
	}
	f := r.locate(from, ref)
	if f == "" {
		r.missing[path.Join(path.Dir(from.path), ref)] = true
		return nil, true
	}
	return r.load(f), true
}

// listing is an exported name and the scope that gives it: behind export * that
// is another one, and looking there at once spares the way.
type listing struct {
	name string
	in   *scope
}

// names lists what a scope exports, its own names before those of export *.
func (r *resolver) names(s *scope) []listing {
	var out []listing
	seen, visited := map[string]bool{}, map[*scope]bool{}
	var visit func(s *scope, own bool, depth int)
	add := func(s *scope, name string, own bool) {
		if !seen[name] && (own || name != "default") {
			seen[name] = true
			out = append(out, listing{name, s})
		}
	}
	visit = func(s *scope, own bool, depth int) {
		if visited[s] || depth > maxSteps {
			return
		}
		visited[s] = true
		for _, body := range r.bodies(s) {
			for _, name := range body.order {
				if slices.ContainsFunc(body.locals[name], body.visible) {
					add(s, name, own)
				}
			}
			for _, name := range body.listed {
				add(s, name, own)
			}
			for _, ref := range body.stars {
				m, local := r.follow(body.file, ref)
				if !local {
					r.foreign[ref] = true
				} else if m != nil {
					visit(&m.scope, false, depth+1)
				}
			}
		}
		for _, f := range r.wholeOf(s, 0) {
			switch {
			case f.module != nil:
				visit(&f.module.scope, own, depth+1)
			case f.decl != nil && f.decl.body != nil:
				visit(f.decl.body, own, depth+1)
			}
		}
	}
	visit(s, true, 0)
	return out
}

// bodies are a scope and what other files add to it.
func (r *resolver) bodies(s *scope) []*scope {
	out := []*scope{s}
	if s.file != nil && s == &s.file.scope {
		out = append(out, s.file.added...)
	}
	return out
}

// wholeOf resolves export =.
func (r *resolver) wholeOf(s *scope, step int) []found {
	if len(s.whole) == 0 {
		return nil
	}
	return r.entity(s, s.whole, step+1)
}

// callable is what export = hands out besides the members of its namespace.
func (r *resolver) callable(s *scope) []found {
	return slices.DeleteFunc(r.wholeOf(s, 0), func(f found) bool {
		return f.decl == nil || f.decl.kind == "namespace"
	})
}

// export finds what a scope exports under a name.
func (r *resolver) export(s *scope, name string, step int) []found {
	return r.search(s, name, step, map[*scope]bool{})
}

// search is export along export *, which may lead in circles: visited breaks them.
func (r *resolver) search(s *scope, name string, step int, visited map[*scope]bool) []found {
	if r.work++; step > maxSteps || r.work > maxWork || visited[s] {
		return nil
	}
	visited[s] = true
	var out []found
	for _, body := range r.bodies(s) {
		for _, d := range body.locals[name] {
			if body.visible(d) {
				out = append(out, r.declared(body, d, step)...)
			}
		}
		for _, e := range body.exports[name] {
			out = append(out, r.behind(body, e, step)...)
		}
	}
	for _, f := range r.wholeOf(s, step) {
		out = append(out, r.member(f, name, step)...)
	}
	if name == "default" {
		return out // export * leaves it out
	}
	for _, body := range r.bodies(s) {
		for i := 0; i < len(body.stars) && len(out) == 0; i++ {
			if m, _ := r.follow(body.file, body.stars[i]); m != nil {
				out = r.search(&m.scope, name, step+1, visited)
			}
		}
	}
	return out
}
