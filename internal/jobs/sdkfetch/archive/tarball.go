package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jobyard/jobyard/internal/progress"
)

// ReadTarball reads a gzipped tar and strips the first element of each path, as
// npm does, whatever it is called.
func ReadTarball(ctx context.Context, data []byte, l Limits, keep Keep) (Contents, error) {
	gz, err := gzip.NewReader(progress.Reader(ctx, bytes.NewReader(data), int64(len(data))))
	if err != nil {
		return Contents{}, damaged(err)
	}
	defer gz.Close()
	r := newReading(ctx, len(data), l, keep)
	t := tar.NewReader(counted{r, gz})
	seen := map[string]bool{}
	for entries := 0; ; entries++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return r.finish(), nil
		}
		if err != nil {
			return Contents{}, damaged(err)
		}
		if entries == l.MaxFiles {
			return Contents{}, fmt.Errorf("%w: over %d entries", ErrTooLarge, l.MaxFiles)
		}
		if err := r.entry(t, h, seen); err != nil {
			return Contents{}, damaged(err)
		}
	}
}

// entry takes one entry. Links and devices are refused: npm never packs them.
func (r *reading) entry(t *tar.Reader, h *tar.Header, seen map[string]bool) error {
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil
	case tar.TypeReg:
	default:
		return fmt.Errorf("%w: %.80q is not a regular file", ErrUnsafe, h.Name)
	}
	full := strings.TrimPrefix(h.Name, "./")
	if err := checkName(full); err != nil {
		return err
	}
	_, name, nested := strings.Cut(full, "/")
	if !nested {
		return nil // beside the package's root, where npm does not look
	}
	// A sparse file declares more than it holds, and all of that would be read.
	if h.Size > r.limits.MaxTotalBytes {
		return fmt.Errorf("%w: over %d bytes unpacked", ErrTooLarge, r.limits.MaxTotalBytes)
	}
	if !seen[name] {
		r.list(name, h.Size)
	}
	seen[name] = true
	if !r.wants(name, h.Size) {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(t, h.Size))
	if err != nil {
		return err
	}
	r.out.Kept[name] = data
	return nil
}
