package dts

// behind finds what an export list's entry stands for.
func (r *resolver) behind(s *scope, e export, step int) []found {
	switch {
	case e.decl != nil && e.decl.standard && s.locals[e.decl.name] != nil:
		return r.local(s, e.decl.name, step) // with its overloads and merged kinds
	case e.decl != nil:
		return []found{{decl: e.decl}}
	case e.link != nil:
		return r.linked(s.file, *e.link, step+1)
	}
	return r.entity(s, e.entity, step+1)
}

// linked finds a name of another file or package.
func (r *resolver) linked(from *module, l link, step int) []found {
	m, local := r.follow(from, l.from)
	if !local {
		return []found{{foreign: &l}}
	}
	if m == nil || step > maxSteps {
		return nil
	}
	if l.name == "*" || l.name == "=" {
		if whole := r.wholeOf(&m.scope, step); whole != nil {
			return whole
		}
		return []found{{module: m}}
	}
	out := r.export(&m.scope, l.name, step+1)
	if out == nil && l.name == "default" {
		return r.wholeOf(&m.scope, step)
	}
	return out
}

// local finds a name as the statements of a scope see it.
func (r *resolver) local(s *scope, name string, step int) []found {
	for ; s != nil; s = s.parent {
		var out []found
		for _, d := range s.locals[name] {
			out = append(out, r.declared(s, d, step)...)
		}
		if s.parent == nil && s.file != nil {
			if l, ok := s.file.imports[name]; ok {
				out = append(out, r.linked(s.file, l, step+1)...)
			}
		}
		if out != nil {
			return out
		}
	}
	return nil
}

// declared follows a declaration that stands for another name.
func (r *resolver) declared(s *scope, d *declaration, step int) []found {
	switch {
	case step > maxSteps:
		return nil
	case d.link != nil:
		return r.linked(s.file, *d.link, step+1)
	case len(d.entity) == 1 && d.entity[0] == d.name:
		return nil
	case d.entity != nil:
		return r.entity(s, d.entity, step+1)
	}
	return []found{{decl: d}}
}

// entity finds a.b.c.
func (r *resolver) entity(s *scope, parts []string, step int) []found {
	if r.work++; len(parts) == 0 || step > maxSteps || r.work > maxWork {
		return nil
	}
	out := r.local(s, parts[0], step)
	for _, name := range parts[1:] {
		var next []found
		for _, f := range out {
			next = append(next, r.member(f, name, step+1)...)
		}
		out = next
	}
	return out
}

// member finds an exported name inside a namespace, file or package.
func (r *resolver) member(f found, name string, step int) []found {
	switch {
	case f.module != nil:
		return r.export(&f.module.scope, name, step+1)
	case f.foreign != nil:
		return []found{{foreign: &link{f.foreign.from, name}}}
	case f.decl.body != nil:
		return r.export(f.decl.body, name, step+1)
	}
	return nil
}
