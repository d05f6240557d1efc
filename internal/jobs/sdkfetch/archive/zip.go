package archive

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/dirhash"

	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/tasks"
)

// ReadZip reads a module zip, all of whose files must lie below prefix, and
// computes its h1 hash.
func ReadZip(ctx context.Context, data []byte, prefix string, l Limits, keep Keep) (Contents, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return Contents{}, damaged(err)
	}
	if len(z.File) > l.MaxFiles {
		return Contents{}, fmt.Errorf("%w: over %d files", ErrTooLarge, l.MaxFiles)
	}
	r := newReading(ctx, len(data), l, keep)
	byName := make(map[string]*zip.File, len(z.File))
	var names []string
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue // a directory; it takes no part in the hash
		}
		if err := r.checkEntry(f, prefix, byName); err != nil {
			return Contents{}, err
		}
		byName[f.Name] = f
		names = append(names, f.Name)
	}
	r.files = len(names)
	// One pass unpacks for both the hash and what is kept.
	hash, err := dirhash.Hash1(names, func(name string) (io.ReadCloser, error) { return r.open(byName[name], prefix) })
	if err != nil {
		return Contents{}, damaged(err)
	}
	r.out.Hash = hash
	return r.finish(), nil
}

func (r *reading) checkEntry(f *zip.File, prefix string, seen map[string]*zip.File) error {
	name, below := strings.CutPrefix(f.Name, prefix)
	if !below {
		return fmt.Errorf("%w: the path %.80q is not below %q", ErrUnsafe, f.Name, prefix)
	}
	if err := checkName(name); err != nil {
		return err
	}
	if !f.Mode().IsRegular() {
		return fmt.Errorf("%w: %.80q is not a regular file", ErrUnsafe, f.Name)
	}
	if seen[f.Name] != nil || strings.ContainsRune(name, '\n') {
		return fmt.Errorf("%w: %.80q is there twice or spans lines", ErrUnsafe, f.Name)
	}
	if f.UncompressedSize64 > uint64(r.limits.MaxTotalBytes) {
		return fmt.Errorf("%w: over %d bytes unpacked", ErrTooLarge, r.limits.MaxTotalBytes)
	}
	return nil
}

// open opens one file for the hash and copies it aside if it is wanted.
func (r *reading) open(f *zip.File, prefix string) (io.ReadCloser, error) {
	rc, err := f.Open()
	if err != nil {
		return nil, err
	}
	name, size := strings.TrimPrefix(f.Name, prefix), int64(f.UncompressedSize64)
	progress.Report(r.ctx, tasks.Progress{Done: int64(len(r.out.Files)), Total: int64(r.files)})
	r.list(name, size)
	// The declared size is what zip lets through at most, so it bounds the copy.
	in := io.Reader(counted{r, io.LimitReader(rc, size+1)})
	if !r.wants(name, size) {
		return readCloser{in, rc}, nil
	}
	defer rc.Close()
	data, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	r.out.Kept[name] = data
	return io.NopCloser(bytes.NewReader(data)), nil
}

type readCloser struct {
	io.Reader
	io.Closer
}
