// Package localregistry serves Go modules and npm packages from source folders,
// for a demonstration without a network and for tests.
//
// It speaks the GOPROXY protocol below /go, with a checksum database that it
// signs with a key of its own, and the npm registry's below /npm. Archives are
// made when it starts: the same sources give the same bytes. It holds no state
// that changes and needs no stopping.
package localregistry

import (
	"crypto/rand"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

//go:embed testdata
var example embed.FS

// The places of the two protocols.
const (
	GoPath  = "/go"
	NPMPath = "/npm"
)

// sumName is the checksum database's name.
const sumName = "sum.localregistry.test"

// Example is a Go module and an npm package written for this purpose.
func Example() fs.FS {
	sub, err := fs.Sub(example, "testdata")
	if err != nil {
		panic(err) // only if the program was built without the folder
	}
	return sub
}

// Registry serves what it was made from. It is an http.Handler.
type Registry struct {
	mux   *http.ServeMux
	sumDB string
}

// New makes a registry from folders named go/<module path>@<version> and
// npm/<package name>@<version>. A module's go.mod is there as go.mod.txt, since
// a Go module may not hold another.
func New(src fs.FS) (*Registry, error) {
	signer, verifier, err := note.GenerateKey(rand.Reader, sumName)
	if err != nil {
		return nil, fmt.Errorf("make the key of the checksum database: %w", err)
	}
	r := &Registry{mux: http.NewServeMux(), sumDB: verifier}
	modules, err := readSources(src, "go")
	if err != nil {
		return nil, err
	}
	packages, err := readSources(src, "npm")
	if err != nil {
		return nil, err
	}
	if err := r.serveModules(modules, signer); err != nil {
		return nil, err
	}
	if err := r.servePackages(packages); err != nil {
		return nil, err
	}
	return r, nil
}

// SumDB is the value of GOSUMDB with which this registry's modules verify.
func (r *Registry) SumDB() string { return r.sumDB }

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.mux.ServeHTTP(w, req) }

// source is one version's folder.
type source struct {
	name, version string
	files         map[string][]byte
	paths         []string // sorted
	published     time.Time
}

// readSources reads all versions below a folder, in the order of their names.
func readSources(src fs.FS, kind string) ([]source, error) {
	var out []source
	byDir := map[string]int{}
	err := fs.WalkDir(src, kind, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		dir, rest, ok := splitVersion(strings.TrimPrefix(p, kind+"/"))
		if !ok {
			return nil
		}
		i, seen := byDir[dir]
		if !seen {
			i = len(out)
			byDir[dir] = i
			at := strings.LastIndexByte(dir, '@')
			out = append(out, source{name: dir[:at], version: dir[at+1:], files: map[string][]byte{}, published: day(i)})
		}
		data, err := fs.ReadFile(src, p)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(rest, ".mod.txt")
		if name != rest {
			name += ".mod"
		}
		out[i].files[name] = data
		out[i].paths = append(out[i].paths, name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the sources of %s: %w", kind, err)
	}
	return out, nil
}

// splitVersion cuts a path behind the element that ends in @version.
func splitVersion(p string) (dir, rest string, ok bool) {
	elems := strings.Split(p, "/")
	for i, e := range elems {
		if strings.LastIndexByte(e, '@') > 0 && i+1 < len(elems) {
			return path.Join(elems[:i+1]...), path.Join(elems[i+1:]...), true
		}
	}
	return "", "", false
}

// day dates the versions, the same each time.
func day(i int) time.Time { return time.Date(2026, time.January, 1+i, 12, 0, 0, 0, time.UTC) }
