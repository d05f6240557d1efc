// Package archive reads the archives of package registries from memory: module
// zips and npm's gzipped tarballs.
//
// It promises never to touch a disk, never to hold more than its Limits allow
// and to say why it stopped: the bytes are damaged, a name or an entry is
// unsafe, or there is too much of it. Only the files that the caller wants to
// keep stay in memory; of the others it keeps name and size.
package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"
)

// The ways to fail.
var (
	ErrDamaged  = errors.New("archive is damaged")
	ErrUnsafe   = errors.New("archive is unsafe")
	ErrTooLarge = errors.New("archive is too large")
)

// Limits bound an archive once it is unpacked.
type Limits struct {
	// MaxFiles bounds the number of entries.
	MaxFiles int `json:"max_files"`
	// MaxTotalBytes bounds all files together.
	MaxTotalBytes int64 `json:"max_total_bytes"`
	// MaxKeptBytes bounds the files that are kept in memory.
	MaxKeptBytes int64 `json:"max_kept_bytes"`
	// MaxRatio bounds unpacked to packed bytes, beyond a few megabytes.
	MaxRatio int64 `json:"max_ratio"`
}

// DefaultLimits fit every package that was measured, and a runner's memory.
func DefaultLimits() Limits {
	return Limits{MaxFiles: 50_000, MaxTotalBytes: 512 << 20, MaxKeptBytes: 48 << 20, MaxRatio: 200}
}

const (
	// ratioFrom is where MaxRatio begins to count: small files compress well.
	ratioFrom = 8 << 20
	// maxName bounds a path.
	maxName = 1024
)

// File is one file: its path below the package's root and its size.
type File struct {
	Path string
	Size int64
}

// Contents are what an archive holds.
type Contents struct {
	// Files lists all files by path.
	Files []File
	// Kept holds the bytes of the files that keep asked for.
	Kept map[string][]byte
	// Hash is the h1 hash of a module zip.
	Hash string
	// Skipped counts files that keep asked for and MaxKeptBytes ruled out.
	Skipped int
}

// Keep says whether a file's bytes are wanted.
type Keep func(path string, size int64) bool

// reading is one archive being read; it holds the counters of the limits.
type reading struct {
	ctx    context.Context //nolint:containedctx // lives as long as one call, which its readers must heed
	limits Limits
	packed int64
	total  int64
	kept   int64
	files  int // in the archive, where that is known
	keep   Keep
	out    Contents
}

func newReading(ctx context.Context, packed int, l Limits, keep Keep) *reading {
	return &reading{ctx: ctx, limits: l, packed: int64(packed), keep: keep, out: Contents{Kept: map[string][]byte{}}}
}

// add takes the size of unpacked bytes into account.
func (r *reading) add(n int64) error {
	r.total += n
	if n < 0 || r.total > r.limits.MaxTotalBytes {
		return fmt.Errorf("%w: over %d bytes unpacked", ErrTooLarge, r.limits.MaxTotalBytes)
	}
	if r.total > ratioFrom && r.total > r.limits.MaxRatio*max(r.packed, 1) {
		return fmt.Errorf("%w: unpacks to over %d times its size", ErrTooLarge, r.limits.MaxRatio)
	}
	return r.ctx.Err()
}

// wants reports whether a file is kept, and books its size.
func (r *reading) wants(name string, size int64) bool {
	if !r.keep(name, size) {
		return false
	}
	if r.kept+size > r.limits.MaxKeptBytes {
		r.out.Skipped++
		return false
	}
	r.kept += size
	return true
}

func (r *reading) list(name string, size int64) {
	r.out.Files = append(r.out.Files, File{name, size})
}

func (r *reading) finish() Contents {
	slices.SortStableFunc(r.out.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return r.out
}

// counted counts what is read towards the limits.
type counted struct {
	r    *reading
	from io.Reader
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if over := c.r.add(int64(n)); over != nil {
		return 0, over // no bytes with it: io.ReadFull would take them and drop the error
	}
	return n, err
}

// damaged marks an error of a decoder; our own errors and the context's pass.
func damaged(err error) error {
	if err == nil || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrUnsafe) || errors.Is(err, ErrDamaged) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// checkName refuses a path that could lead out of the package's root.
func checkName(name string) error {
	if len(name) > maxName || !utf8.ValidString(name) || !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\\x00") {
		return fmt.Errorf("%w: it holds the path %.80q", ErrUnsafe, name)
	}
	return nil
}
