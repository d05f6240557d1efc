package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/datatest"
)

func all(string, int64) bool { return true }

type item struct {
	name, body string
	kind       byte
	mode       os.FileMode
}

func zipOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, it := range items {
		h := &zip.FileHeader{Name: it.name, Method: zip.Deflate}
		h.SetMode(it.mode | 0o644)
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, it.body)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for _, it := range items {
		h := &tar.Header{Name: it.name, Typeflag: it.kind, Mode: 0o644, Size: int64(len(it.body))}
		if it.kind == tar.TypeSymlink {
			h.Linkname = "/etc/passwd"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, it.body)
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name, body string) item { return item{name: name, body: body, kind: tar.TypeReg} }

func TestReadZip_RefusesHostileArchives(t *testing.T) {
	t.Parallel()
	small := Limits{MaxFiles: 3, MaxTotalBytes: 64 << 20, MaxKeptBytes: 1 << 20, MaxRatio: 100}
	zeros := strings.Repeat("\x00", 12<<20)
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"a bomb":               {zipOf(t, file("m@v/a", zeros)), ErrTooLarge},
		"too many files":       {zipOf(t, file("m@v/a", ""), file("m@v/b", ""), file("m@v/c", ""), file("m@v/d", "")), ErrTooLarge},
		"a path outside":       {zipOf(t, file("m@v/../../etc/x", "x")), ErrUnsafe},
		"another module":       {zipOf(t, file("n@v/a", "x")), ErrUnsafe},
		"an absolute path":     {zipOf(t, file("/etc/x", "x")), ErrUnsafe},
		"a backslash":          {zipOf(t, file(`m@v/..\x`, "x")), ErrUnsafe},
		"a symbolic link":      {zipOf(t, item{name: "m@v/l", body: "/etc/passwd", mode: os.ModeSymlink}), ErrUnsafe},
		"one name twice":       {zipOf(t, file("m@v/a", "x"), file("m@v/a", "y")), ErrUnsafe},
		"no zip":               {[]byte("not a zip at all"), ErrDamaged},
		"nothing":              {nil, ErrDamaged},
		"a zip cut in two":     {zipOf(t, file("m@v/a", "x"))[:40], ErrDamaged},
		"a broken checksum":    {broken(zipOf(t, file("m@v/a", "some text that is stored"))), ErrDamaged},
		"a name of 2000 bytes": {zipOf(t, file("m@v/"+strings.Repeat("a", 2000), "")), ErrUnsafe},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ReadZip(t.Context(), c.data, "m@v/", small, all); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// broken flips one bit inside the first file's compressed bytes.
func broken(b []byte) []byte {
	b[40] ^= 0x10
	return b
}

func TestReadTarball_RefusesHostileArchives(t *testing.T) {
	t.Parallel()
	small := Limits{MaxFiles: 3, MaxTotalBytes: 64 << 20, MaxKeptBytes: 1 << 20, MaxRatio: 100}
	good := tarOf(t, file("package/a", strings.Repeat("abc", 5000)))
	declared := declaredTar(t)
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"a bomb":              {tarOf(t, file("package/a", strings.Repeat("\x00", 12<<20))), ErrTooLarge},
		"too many entries":    {tarOf(t, file("p/a", ""), file("p/b", ""), file("p/c", ""), file("p/d", "")), ErrTooLarge},
		"a path outside":      {tarOf(t, file("package/../../x", "x")), ErrUnsafe},
		"an absolute path":    {tarOf(t, file("/etc/x", "x")), ErrUnsafe},
		"a symbolic link":     {tarOf(t, item{name: "package/l", kind: tar.TypeSymlink}), ErrUnsafe},
		"a device":            {tarOf(t, item{name: "package/d", kind: tar.TypeChar}), ErrUnsafe},
		"a huge header":       {tarOf(t, file("package/"+strings.Repeat("a/", 400<<10)+"x", "")), ErrUnsafe},
		"a declared terabyte": {declared, ErrTooLarge},
		"half a gzip":         {good[:len(good)/2], ErrDamaged},
		"no gzip":             {[]byte("plain"), ErrDamaged},
		"nothing":             {nil, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ReadTarball(t.Context(), c.data, small, all); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// declaredTar declares a file of a terabyte that is not there.
func declaredTar(t *testing.T) []byte {
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	if err := w.WriteHeader(&tar.Header{Name: "package/a", Typeflag: tar.TypeReg, Size: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	_ = gz.Close()
	return b.Bytes()
}

func TestReadTarball_StripsTheFirstElementAndKeepsWhatIsWanted(t *testing.T) {
	t.Parallel()
	data := tarOf(t, file("odd/README.md", "# hi"), file("odd/lib/x.js", "xxxxx"), file("./odd/a", "1"), file("beside", "2"))
	c, err := ReadTarball(t.Context(), data, DefaultLimits(), func(p string, _ int64) bool { return p == "README.md" })
	if err != nil {
		t.Fatal(err)
	}
	want := []File{{"README.md", 4}, {"a", 1}, {"lib/x.js", 5}}
	if len(c.Files) != 3 || c.Files[0] != want[0] || c.Files[1] != want[1] || c.Files[2] != want[2] {
		t.Errorf("got %v, want %v", c.Files, want)
	}
	if len(c.Kept) != 1 || string(c.Kept["README.md"]) != "# hi" {
		t.Errorf("got %q, want only the readme", c.Kept)
	}
}

func TestRead_BoundsWhatIsKept(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.MaxKeptBytes = 10
	for _, read := range []func() (Contents, error){
		func() (Contents, error) {
			return ReadTarball(t.Context(), tarOf(t, file("p/a", "12345678"), file("p/b", "12345678")), l, all)
		},
		func() (Contents, error) {
			return ReadZip(t.Context(), zipOf(t, file("p/a", "12345678"), file("p/b", "12345678")), "p/", l, all)
		},
	} {
		c, err := read()
		if err != nil || len(c.Kept) != 1 || c.Skipped != 1 || len(c.Files) != 2 {
			t.Errorf("got %d kept, %d skipped of %d, %v, want 1, 1 of 2", len(c.Kept), c.Skipped, len(c.Files), err)
		}
	}
}

func TestRead_StopsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, zipErr := ReadZip(ctx, zipOf(t, file("m/a", "x")), "m/", DefaultLimits(), all)
	_, tarErr := ReadTarball(ctx, tarOf(t, file("m/a", "x")), DefaultLimits(), all)
	if !errors.Is(zipErr, context.Canceled) || !errors.Is(tarErr, context.Canceled) {
		t.Errorf("got %v and %v, want context.Canceled", zipErr, tarErr)
	}
}

func TestReadZip_HashesAsTheGoCommandDoes(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(datatest.Path(t, "sdk", "gomod", "rsc.io", "quote", "@v", "v1.5.2.zip"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadZip(t.Context(), data, "rsc.io/quote@v1.5.2/", DefaultLimits(), all)
	if want := "h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y="; err != nil || c.Hash != want {
		t.Errorf("got %s, %v, want %s", c.Hash, err, want)
	}
}

func FuzzReadZip(f *testing.F) {
	f.Add(zipOf(f, file("m/a", "x"), file("m/b/c", "y")))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := Limits{MaxFiles: 100, MaxTotalBytes: 1 << 20, MaxKeptBytes: 1 << 16, MaxRatio: 100}
		c, err := ReadZip(t.Context(), data, "m/", l, all)
		checkContents(t, c, err, l)
	})
}

func FuzzReadTarball(f *testing.F) {
	f.Add(tarOf(f, file("m/a", "x"), file("m/b/c", "y")))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := Limits{MaxFiles: 100, MaxTotalBytes: 1 << 20, MaxKeptBytes: 1 << 16, MaxRatio: 100}
		c, err := ReadTarball(t.Context(), data, l, all)
		checkContents(t, c, err, l)
	})
}

func checkContents(t *testing.T, c Contents, err error, l Limits) {
	t.Helper()
	if err != nil {
		return
	}
	kept := int64(0)
	for name, b := range c.Kept {
		kept += int64(len(b))
		if checkName(name) != nil {
			t.Fatalf("kept the unsafe path %q", name)
		}
	}
	if len(c.Files) > l.MaxFiles || kept > l.MaxKeptBytes {
		t.Fatalf("got %d files and %d bytes over the limits", len(c.Files), kept)
	}
}
