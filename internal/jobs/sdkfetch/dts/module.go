package dts

// module is one declaration file.
type module struct {
	path string
	src  string
	scope
	// imports lead from a local name to another file or package.
	imports map[string]link
	// references and sideImports name files that may add to others.
	references, sideImports []string
	// ambient are the bodies of declare module "…".
	ambient []ambient
	// added are bodies that other files declare for this one.
	added []*scope
	// isModule tells that it has an import or export; else it is a script.
	isModule bool
}

type ambient struct {
	name string
	body *scope
}

// scope is the body of a file, a namespace or an ambient module.
type scope struct {
	parent *scope
	file   *module
	locals map[string][]*declaration
	order  []string
	// exports are what export lists and export default give, by name.
	exports map[string][]export
	listed  []string
	// stars are the files or packages of export * from.
	stars []string
	// whole is what export = names, as ["a", "b"] for a.b.
	whole []string
	// lists tells that there is an export list or assignment. Without one, a
	// declaration file exports all it declares, marked or not.
	lists bool
}

// export is a name and what stands behind it: a local entity, a declaration
// without a name, or a name of another file.
type export struct {
	name   string
	entity []string
	decl   *declaration
	link   *link
}

// link is a name of another file: all of it ("*"), what require returns ("="),
// or one export.
type link struct{ from, name string }

// declaration is one declared name.
type declaration struct {
	kind     string
	name     string
	exported bool
	// standard is true for export default: it is not exported by its own name.
	standard  bool
	doc       string
	signature string
	file      *module
	// body is set for namespaces.
	body *scope
	// entity and link are set for import a = …, which stands for another name.
	entity []string
	link   *link
}

func newScope(parent *scope, file *module) *scope {
	return &scope{parent: parent, file: file, locals: map[string][]*declaration{}, exports: map[string][]export{}}
}

func (s *scope) give(e export) {
	if s.exports[e.name] == nil {
		s.listed = append(s.listed, e.name)
	}
	s.exports[e.name] = append(s.exports[e.name], e)
}

func (s *scope) declare(d *declaration) {
	if s.locals[d.name] == nil {
		s.order = append(s.order, d.name)
	}
	s.locals[d.name] = append(s.locals[d.name], d)
}

// visible reports whether a declaration is exported from its scope.
func (s *scope) visible(d *declaration) bool {
	if d.standard {
		return false
	}
	// import a = b is only exported when it says so.
	return d.exported || !s.lists && d.entity == nil && d.link == nil
}
