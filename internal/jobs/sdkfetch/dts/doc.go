// Package dts lists what a package's TypeScript declarations export.
//
// Declaration files hold no bodies, so no parser of the language is needed: a
// scanner finds the tokens, brackets are matched, and only the forms of
// declaration, import and export are read. Exports are then followed through
// the files of the package; what comes from another package is named but not
// resolved. Nothing is executed, nothing is fetched.
//
// It promises to end on any input within its bounds: files, bytes of a file,
// nesting and number of names are limited.
package dts

// Bounds of one scan.
const (
	maxFiles     = 3000
	maxFileBytes = 4 << 20
	maxNesting   = 64
	// maxSteps bounds how often a name is looked up behind another.
	maxSteps = 40
	// maxWork bounds the look-ups of a whole scan; a package of 5,000 names
	// needs about 20,000.
	maxWork = 200_000
	// maxEntries bounds the paths of a package that are followed.
	maxEntries = 1000
	// maxScans bounds how often all files are searched for a path with a star.
	maxScans = 500
	// maxSignature and maxDoc bound the texts of one name, in bytes.
	maxSignature = 2000
	maxDoc       = 4000
)

// typeScript is the compiler whose view of a package is listed, where a package
// has another for older ones.
const typeScript = "5.9.3"

// Symbol is one exported name of one kind. A name that is both, as a type and a
// constant, appears twice.
type Symbol struct {
	Name string
	// Kind is func, class, interface, type, const, var, enum, namespace, or
	// alias for a name that another package declares.
	Kind      string
	Signature string
	Doc       string
	// File is where it is declared.
	File string
	// Subpath is where it can be imported from: empty for the package itself,
	// else as /sub. What several paths export alike is listed under the first.
	Subpath string
}

// Package is what Scan reads.
type Package struct {
	// Name is the package's own name.
	Name string
	// Manifest is package.json.
	Manifest []byte
	// Files are the declaration files by path.
	Files map[string][]byte
	// MaxSymbols bounds the list.
	MaxSymbols int
}

// Result is what programs can import.
type Result struct {
	// Entry is the declaration file that was read first, that of the package
	// itself if it has one; empty if there is none.
	Entry     string
	Symbols   []Symbol
	Truncated bool
	// Foreign lists packages all of whose exports are passed on, which are
	// missing here.
	Foreign []string
	// Missing lists files that are referred to and absent, or over a bound.
	Missing []string
	// Unlisted are paths with declarations of their own that were not followed:
	// those beside the package itself, those with a star, as ./locale/*, and, of
	// a package that exports nothing by its name, the modules it declares.
	Unlisted []string
}
