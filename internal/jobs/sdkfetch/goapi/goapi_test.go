package goapi

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/datatest"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/archive"
)

func scanText(t *testing.T, files map[string]string) Result {
	t.Helper()
	in := map[string][]byte{}
	for p, text := range files {
		in[p] = []byte(text)
	}
	res, err := Scan(t.Context(), "example.test/m", in, 100)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestScan_ListsWhatIsExported(t *testing.T) {
	t.Parallel()
	res := scanText(t, map[string]string{
		"m.go": `// Package m greets. It does more.
package m

// Limits.
const (
	Max = 3 // the most
	min = 1
	Low Level = iota
	High
)

// Level is a level.
type Level int

// String writes it.
func (l Level) String() string { return "" }

func (l Level) hidden() {}

// T holds things.
type T struct {
	// A is a.
	A int
	b int
}

// New makes a T.
func New[K comparable](k K) *T { return nil }

var Table = []int{` + strings.Repeat("1, ", 500) + `}
`,
		"sub/s_windows.go": "package sub\n\nfunc OnlyHere() {}",
		"internal/i.go":    "package i\n\nfunc No() {}",
		"cmd/x/main.go":    "package main\n\nfunc Main() {}",
		"m_test.go":        "package m\n\nfunc No() {}",
		"bad.go":           "package m\n\nfunc Bad( {",
		"gen.go":           "//go:build ignore\n\npackage main\n",
	})
	var got []string
	for _, s := range res.Symbols {
		got = append(got, fmt.Sprintf("%s %s %s", s.Package, s.Kind, s.Name))
	}
	want := []string{"example.test/m const Max", "example.test/m var Table", "example.test/m type Level", "example.test/m const Low",
		"example.test/m const High", "example.test/m method Level.String", "example.test/m type T", "example.test/m func New", "example.test/m/sub func OnlyHere"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if res.Synopsis != "Package m greets." || !slices.Equal(res.Broken, []string{"bad.go"}) {
		t.Errorf("got synopsis %q and broken %v", res.Synopsis, res.Broken)
	}
	for name, sig := range map[string]string{"New": "func New[K comparable](k K) *T", "Max": "const Max = 3", "Low": "const Low Level = 2", "High": "const High Level = 3",
		"Level.String": "func (l Level) String() string", "Table": "var Table = …"} {
		if s := find(res, name); s.Signature != sig {
			t.Errorf("%s: got %q, want %q", name, s.Signature, sig)
		}
	}
	if s := find(res, "T"); !strings.Contains(s.Signature, "A is a") || strings.Contains(s.Signature, " b ") || s.Doc != "T holds things." {
		t.Errorf("got %+v", s)
	}
	if s := find(res, "Max"); s.Doc != "the most" {
		t.Errorf("got %q", s.Doc)
	}
}

func TestScan_WritesEachValueOut(t *testing.T) {
	t.Parallel()
	res := scanText(t, map[string]string{"m.go": `package m

import "time"

type Bits uint8

const (
	_ Bits = 1 << iota
	hidden
	Read
	Write
	all = Read | Write
	All
)

const (
	KB, MB = 1 << (10 * (iota + 1)), 1 << (10 * (iota + 2))
	GB, TB
	x, Shown = Bits(iota), -iota
)

const Plain Bits = 7

var A, b, C int
var d, E = 1, 5 * time.Second
var F, g = make2()
var Fn = func(iota int) int { return iota }
`})
	for name, want := range map[string]string{
		"Read": "const Read Bits = 1 << 2", "Write": "const Write Bits = 1 << 3", "All": "const All = Read | Write",
		"KB": "const KB = 1 << (10 * (0 + 1))", "MB": "const MB = 1 << (10 * (0 + 2))", "TB": "const TB = 1 << (10 * (1 + 2))",
		"Shown": "const Shown = -2", "Plain": "const Plain Bits = 7", "A": "var A int", "C": "var C int",
		"E": "var E = 5 * time.Second", "F": "var F, g = make2()", "Fn": "var Fn = func(iota int) int { return iota }",
	} {
		if got := find(res, name).Signature; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func find(r Result, name string) Symbol {
	i := slices.IndexFunc(r.Symbols, func(s Symbol) bool { return s.Name == name })
	if i < 0 {
		return Symbol{}
	}
	return r.Symbols[i]
}

func TestScan_IsBounded(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"a.go": []byte("package a\n\nfunc A() {}\nfunc B() {}\nfunc C() {}")}
	res, err := Scan(t.Context(), "example.test/a", files, 2)
	if err != nil || len(res.Symbols) != 2 || !res.Truncated {
		t.Errorf("got %d symbols, truncated %v, %v", len(res.Symbols), res.Truncated, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Scan(ctx, "example.test/a", files, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// modules are the zips of the shared data.
func modules(tb testing.TB) map[string]string {
	root := datatest.Path(tb, "sdk", "gomod")
	out := map[string]string{}
	err := filepath.WalkDir(root, func(p string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(root, p); err == nil && strings.HasSuffix(p, ".zip") {
			mod, file, _ := strings.Cut(filepath.ToSlash(rel), "/@v/")
			out[mod+"@"+strings.TrimSuffix(file, ".zip")] = p
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func unzip(tb testing.TB, moduleVersion, file string) map[string][]byte {
	tb.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := archive.ReadZip(tb.Context(), raw, moduleVersion+"/", archive.DefaultLimits(), func(p string, n int64) bool { return Source(p) })
	if err != nil {
		tb.Fatal(err)
	}
	return c.Kept
}

// TestQuality_AgreesWithGoDoc unpacks each module to a disk and asks go/build and
// go/doc there, the way go doc does.
func TestQuality_AgreesWithGoDoc(t *testing.T) {
	t.Parallel()
	total, missed, extra := 0, 0, 0
	for mv, file := range modules(t) {
		files := unzip(t, mv, file)
		mod, _, _ := strings.Cut(mv, "@")
		res, err := Scan(t.Context(), mod, files, 100_000)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, s := range res.Symbols {
			got[s.Package+" "+s.Name] = true
		}
		want := goDoc(t, mod, files)
		for name := range want {
			if !got[name] {
				missed++
				t.Logf("%s: missed %s", mv, name)
			}
		}
		for name := range got {
			if !want[name] {
				extra++
				t.Logf("%s: extra %s", mv, name)
			}
		}
		total += len(want)
	}
	t.Logf("%d names compared", total)
	datatest.Quality(t, "sdk_fetch_go_api_recall", datatest.Share(total-missed, total), 1)
	datatest.Quality(t, "sdk_fetch_go_api_precision", datatest.Share(total-missed, total-missed+extra), 1)
}

func goDoc(t *testing.T, mod string, files map[string][]byte) map[string]bool {
	dir, names := t.TempDir(), map[string]bool{}
	dirs := map[string]bool{}
	for p, b := range files {
		full := filepath.Join(dir, filepath.FromSlash(p))
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, b, 0o644)); err != nil {
			t.Fatal(err)
		}
		dirs[path.Dir(p)] = true
	}
	for d := range dirs {
		bp, err := build.ImportDir(filepath.Join(dir, d), 0)
		if err != nil || bp.Name == "main" {
			continue
		}
		fset := token.NewFileSet()
		var parsed []*ast.File
		for _, name := range slices.Concat(bp.GoFiles, bp.CgoFiles) {
			f, err := parser.ParseFile(fset, filepath.Join(bp.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, f)
		}
		p, err := doc.NewFromFiles(fset, parsed, path.Join(mod, d))
		if err != nil {
			t.Fatal(err)
		}
		for name := range exported(p) {
			names[path.Join(mod, d)+" "+name] = true
		}
	}
	return names
}

func exported(p *doc.Package) map[string]bool {
	out := map[string]bool{}
	values := func(vs []*doc.Value) {
		for _, v := range vs {
			for _, n := range v.Names {
				out[n] = out[n] || ast.IsExported(n)
			}
		}
	}
	funcs := func(prefix string, fs []*doc.Func) {
		for _, f := range fs {
			out[prefix+f.Name] = true
		}
	}
	values(p.Consts)
	values(p.Vars)
	funcs("", p.Funcs)
	for _, t := range p.Types {
		out[t.Name] = true
		values(t.Consts)
		values(t.Vars)
		funcs("", t.Funcs)
		funcs(t.Name+".", t.Methods)
	}
	for n, is := range out {
		if !is {
			delete(out, n)
		}
	}
	return out
}

func FuzzScan(f *testing.F) {
	f.Add("package a\n\n// F does.\nfunc F[T any](x T) (y int) { return 1 }\ntype S struct{ A, b int }\nconst X, y = 1, 2")
	f.Fuzz(func(t *testing.T, src string) {
		res, err := Scan(t.Context(), "example.test/a", map[string][]byte{"a.go": []byte(src)}, 20)
		if err != nil || len(res.Symbols) > 20 {
			t.Fatalf("got %d symbols, %v", len(res.Symbols), err)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	files := unzip(b, "github.com/gorilla/mux@v1.8.1", datatest.Path(b, "sdk", "gomod", "github.com", "gorilla", "mux", "@v", "v1.8.1.zip"))
	for b.Loop() {
		if res, err := Scan(b.Context(), "github.com/gorilla/mux", files, 5000); err != nil || len(res.Symbols) == 0 {
			b.Fatal(err)
		}
	}
}
