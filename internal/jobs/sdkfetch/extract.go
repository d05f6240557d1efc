package sdkfetch

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/archive"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/dts"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/goapi"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/license"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/npm"
	"github.com/jobyard/jobyard/internal/library"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// Bounds of what Extract hands back; together they stay well below the bound of
// a result.
const (
	maxSymbols     = 5000
	maxAPIBytes    = 8 << 20
	maxReadme      = 512 << 10
	maxFiles       = 20_000
	maxDeclaration = 4 << 20
)

// Archive is an archive to open, and what is wanted of it.
type Archive struct {
	Ecosystem string         `json:"ecosystem"`
	Name      string         `json:"name"`
	Version   string         `json:"version"`
	Data      []byte         `json:"data"`
	Limits    archive.Limits `json:"limits"`
	Readme    bool           `json:"readme,omitempty"`
	API       bool           `json:"api,omitempty"`
	Files     bool           `json:"files,omitempty"`
	// Sections asks for the readme in the library's form.
	Sections bool `json:"sections,omitempty"`
}

// Extracted is what an archive holds.
type Extracted struct {
	// Hash is the h1 hash of a module zip.
	Hash string `json:"hash,omitempty"`
	// License is the SPDX identifier of the license file.
	License string `json:"license,omitempty"`
	// Synopsis is the first sentence about a module.
	Synopsis string `json:"synopsis,omitempty"`
	// Manifest is an npm package's package.json.
	Manifest     *npm.Manifest     `json:"manifest,omitempty"`
	Readme       string            `json:"readme,omitempty"`
	API          []tasks.SDKSymbol `json:"api,omitempty"`
	APITruncated bool              `json:"api_truncated,omitempty"`
	Files        []tasks.SDKFile   `json:"files,omitempty"`
	Sections     []library.Section `json:"sections,omitempty"`
	Warnings     []string          `json:"warnings,omitempty"`
}

func (x *Extracted) warn(format string, args ...any) {
	x.Warnings = append(x.Warnings, fmt.Sprintf(format, args...))
}

// Extract opens an archive and reads what is wanted. It is pure: it uses no
// network, no disk and no clock.
func Extract(ctx context.Context, a Archive) (Extracted, error) {
	unpack, step := trace.Start(ctx, trace.Within, "unpack", "")
	c, err := open(progress.Part(unpack, 0, 0.4, "unpack the archive"), a)
	step.End()
	if err != nil {
		return Extracted{}, unpacking(err)
	}
	x := Extracted{Hash: c.Hash, License: license.OfFiles(c.Kept)}
	if c.Skipped > 0 {
		x.warn("%d files were not read, since they are over %d MiB together", c.Skipped, a.Limits.MaxKeptBytes>>20)
	}
	if a.Readme {
		x.readme(c)
	}
	if a.Sections {
		x.Sections = sections(x.Readme)
	}
	if a.Files {
		x.files(c)
	}
	reading, step := trace.Start(ctx, trace.Within, "read API", a.Ecosystem)
	defer step.End()
	reading = progress.Part(reading, 0.4, 1, "read the API")
	if a.Ecosystem == "go" {
		err = x.golang(reading, a, c)
	} else {
		err = x.node(reading, a, c)
	}
	x.trimAPI()
	return x, err
}

// open reads the archive and keeps the files that are looked into.
func open(ctx context.Context, a Archive) (archive.Contents, error) {
	meta := func(p string, size int64) bool {
		is, _ := license.IsFile(p)
		return size <= 4<<20 && (is || isReadme(p) || p == "package.json")
	}
	if a.Ecosystem == "go" {
		return archive.ReadZip(ctx, a.Data, a.Name+"@"+a.Version+"/", a.Limits, func(p string, size int64) bool {
			return meta(p, size) || a.API && goapi.Source(p) && size <= goapi.MaxFileBytes
		})
	}
	return archive.ReadTarball(ctx, a.Data, a.Limits, func(p string, size int64) bool {
		return meta(p, size) || a.API && dts.IsDeclaration(p) && size <= maxDeclaration
	})
}

// unpacking turns an archive's error into a fault.
func unpacking(err error) error {
	switch {
	case errors.Is(err, archive.ErrTooLarge):
		return fault.PermanentError(tasks.ReasonTooLarge, "%v", err)
	case errors.Is(err, archive.ErrUnsafe), errors.Is(err, archive.ErrDamaged):
		return fault.PermanentError(tasks.ReasonRejected, "%v", err)
	}
	return err
}

func isReadme(p string) bool {
	name := strings.ToLower(p)
	return strings.TrimSuffix(name, path.Ext(name)) == "readme"
}

// readme takes the readme in the root, Markdown before other forms.
func (x *Extracted) readme(c archive.Contents) {
	best, rank := "", 9
	order := []string{".md", ".markdown", ".mdx", ".rst", ".adoc", ".txt", ""}
	for _, f := range c.Files {
		if !isReadme(f.Path) || c.Kept[f.Path] == nil {
			continue
		}
		for i, ext := range order {
			if strings.EqualFold(path.Ext(f.Path), ext) && i < rank {
				best, rank = f.Path, i
			}
		}
	}
	text := string(c.Kept[best])
	if len(text) > maxReadme {
		text = text[:maxReadme]
		x.warn("the readme was cut at %d KiB", maxReadme>>10)
	}
	x.Readme = strings.ToValidUTF8(strings.TrimPrefix(text, "\uFEFF"), "\uFFFD")
}

func (x *Extracted) files(c archive.Contents) {
	x.Files = []tasks.SDKFile{}
	for _, f := range c.Files {
		if len(x.Files) == maxFiles {
			x.warn("the list of files was cut at %d of %d", maxFiles, len(c.Files))
			return
		}
		x.Files = append(x.Files, tasks.SDKFile{Path: f.Path, Size: f.Size})
	}
}

// golang reads a module's API.
func (x *Extracted) golang(ctx context.Context, a Archive, c archive.Contents) error {
	if !a.API {
		return nil
	}
	res, err := goapi.Scan(ctx, a.Name, c.Kept, maxSymbols)
	if err != nil {
		return err
	}
	large := 0
	for _, f := range c.Files {
		if goapi.Source(f.Path) && f.Size > goapi.MaxFileBytes {
			large++
		}
	}
	if large > 0 {
		x.warn("%d source files over %d KiB were not read for the API", large, goapi.MaxFileBytes>>10)
	}
	if len(res.Broken) > 0 {
		x.warn("%d source files are not valid Go and were not read, as %s", len(res.Broken), res.Broken[0])
	}
	x.Synopsis, x.APITruncated = res.Synopsis, res.Truncated
	for _, s := range res.Symbols {
		x.API = append(x.API, tasks.SDKSymbol(s))
	}
	return nil
}

// node reads package.json and what the declarations export.
func (x *Extracted) node(ctx context.Context, a Archive, c archive.Contents) error {
	raw := c.Kept["package.json"]
	m, err := npm.ParseManifest(raw)
	if err != nil {
		x.warn("package.json is missing or cannot be read")
	} else {
		x.Manifest = &m
	}
	if !a.API {
		return nil
	}
	res, err := dts.Scan(ctx, dts.Package{Name: a.Name, Manifest: raw, Files: c.Kept, MaxSymbols: maxSymbols})
	if err != nil {
		return err
	}
	if declarations := countDeclarations(c); res.Entry == "" && declarations > 0 {
		x.warn("no import path leads to the package's %d TypeScript declarations, so its API is not known", declarations)
	} else if res.Entry == "" {
		x.warn("the package has no TypeScript declarations, so its API is not known")
	}
	if n := len(res.Unlisted); n > 0 {
		x.warn("import paths that the API does not list: %d, as %s", n, strings.Join(res.Unlisted[:min(n, 5)], ", "))
	}
	if len(res.Foreign) > 0 {
		x.warn("the API also passes on everything of %s, which is not listed", strings.Join(res.Foreign[:min(len(res.Foreign), 10)], ", "))
	}
	if len(res.Missing) > 0 {
		x.warn("%d declaration files are missing or too large, as %s", len(res.Missing), res.Missing[0])
	}
	x.APITruncated = res.Truncated
	for _, s := range res.Symbols {
		x.API = append(x.API, tasks.SDKSymbol{Package: a.Name + s.Subpath, Name: s.Name, Kind: s.Kind, Signature: s.Signature, Doc: s.Doc})
	}
	return nil
}

func countDeclarations(c archive.Contents) int {
	n := 0
	for _, f := range c.Files {
		if dts.IsDeclaration(f.Path) {
			n++
		}
	}
	return n
}

// trimAPI keeps the API's texts within their bound.
func (x *Extracted) trimAPI() {
	total := 0
	for i, s := range x.API {
		total += len(s.Package) + len(s.Name) + len(s.Signature) + len(s.Doc)
		if total > maxAPIBytes {
			x.API, x.APITruncated = x.API[:i], true
			break
		}
	}
	if x.APITruncated {
		x.warn("the API was cut at %d names", len(x.API))
	}
}
