// Package goapi lists the exported names of a Go module's packages, as go doc
// would show them.
//
// It reads source files from memory with go/parser and go/doc and needs no
// toolchain, no dependencies and no disk. Internal, vendored and test packages
// are left out, and so are commands, which nobody can import.
package goapi

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/tasks"
)

// MaxFileBytes is the largest source file that is read: larger ones are tables,
// and take seconds.
const MaxFileBytes = 256 << 10

// Symbol is one exported name.
type Symbol struct {
	Package   string // import path
	Name      string // methods as Type.Method
	Kind      string // func, method, type, const, var
	Signature string
	Doc       string
}

// Result is the API of a module.
type Result struct {
	Symbols   []Symbol
	Truncated bool
	// Synopsis is the first sentence about the module's root package, or else
	// of its only package.
	Synopsis string
	// Broken names files that are not Go.
	Broken []string
}

// Source reports whether a file takes part in a module's API.
func Source(p string) bool {
	if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
		return false
	}
	for elem := range strings.SplitSeq(p, "/") {
		if elem == "internal" || elem == "vendor" || elem == "testdata" || strings.HasPrefix(elem, "_") || strings.HasPrefix(elem, ".") {
			return false
		}
	}
	return true
}

// Scan lists the API of the module whose files are given by path. It stops at
// maxSymbols.
func Scan(ctx context.Context, modulePath string, files map[string][]byte, maxSymbols int) (Result, error) {
	s := scanner{files: files, max: maxSymbols, dirs: map[string][]string{}}
	for p := range files {
		if Source(p) {
			s.dirs[path.Dir(p)] = append(s.dirs[path.Dir(p)], path.Base(p))
		}
	}
	for i, dir := range slices.Sorted(maps.Keys(s.dirs)) {
		if err := ctx.Err(); err != nil {
			return Result{}, fmt.Errorf("read the API of %s: %w", modulePath, err)
		}
		progress.Report(ctx, tasks.Progress{Done: int64(i), Total: int64(len(s.dirs))})
		slices.Sort(s.dirs[dir])
		s.directory(dir, path.Join(modulePath, dir))
	}
	slices.Sort(s.out.Broken)
	return s.out, nil
}

type scanner struct {
	files map[string][]byte
	dirs  map[string][]string
	max   int
	out   Result
}

// platforms are tried in order until one has files, so that a package for one
// system only is shown too.
func platforms() [][2]string {
	return [][2]string{{"linux", "amd64"}, {"windows", "amd64"}, {"darwin", "arm64"}, {"js", "wasm"}, {"wasip1", "wasm"}}
}

// directory adds the package of one directory.
func (s *scanner) directory(dir, importPath string) {
	for _, p := range platforms() {
		fset := token.NewFileSet()
		byName := map[string][]*ast.File{}
		for _, name := range s.matching(dir, p) {
			full := path.Join(dir, name)
			f, err := parser.ParseFile(fset, full, s.files[full], parser.ParseComments)
			if err != nil || f.Name == nil {
				if !slices.Contains(s.out.Broken, full) {
					s.out.Broken = append(s.out.Broken, full)
				}
				continue
			}
			byName[f.Name.Name] = append(byName[f.Name.Name], f)
		}
		if len(byName) == 0 {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(byName)) {
			s.pkg(fset, byName[name], name, importPath, dir)
		}
		return
	}
}

// matching lists the files of a directory that a platform builds.
func (s *scanner) matching(dir string, platform [2]string) []string {
	bc := build.Default
	bc.GOOS, bc.GOARCH, bc.CgoEnabled = platform[0], platform[1], true
	bc.JoinPath = path.Join
	bc.OpenFile = func(p string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(s.files[path.Clean(p)])), nil
	}
	var out []string
	for _, name := range s.dirs[dir] {
		if ok, err := bc.MatchFile(dir, name); ok || err != nil {
			out = append(out, name) // an error shows when it is parsed
		}
	}
	return out
}

func (s *scanner) pkg(fset *token.FileSet, files []*ast.File, name, importPath, dir string) {
	named := valuesOf(files)
	p, err := doc.NewFromFiles(fset, files, importPath)
	if err != nil {
		s.out.Broken = append(s.out.Broken, dir)
		return
	}
	if dir == "." || len(s.dirs) == 1 {
		s.out.Synopsis = clip(p.Synopsis(p.Doc), 400)
	}
	if name == "main" {
		return
	}
	w := writer{s: s, fset: fset, pkg: importPath, named: named}
	w.values("const", p.Consts)
	w.values("var", p.Vars)
	w.funcs("", p.Funcs)
	for _, t := range p.Types {
		w.add(t.Name, "type", w.print(withoutDoc(t.Decl)), t.Doc)
		w.values("const", t.Consts)
		w.values("var", t.Vars)
		w.funcs("", t.Funcs)
		w.funcs(t.Name+".", t.Methods)
	}
}
