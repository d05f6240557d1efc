package tasks

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// SDKFetchPayload asks for one version of a package.
type SDKFetchPayload struct {
	// Ecosystem is npm or go.
	Ecosystem string `json:"ecosystem"`
	// Name is the package's name or the module's path.
	Name string `json:"name"`
	// Version is exact, a range (npm), a tag, or latest (the default).
	Version string `json:"version,omitempty"`
	// Include chooses parts: readme, api, dependencies, files. Empty means
	// readme, api and dependencies.
	Include []string `json:"include,omitempty"`
	// Index puts the readme and the API into the library.
	Index bool `json:"index,omitempty"`
}

// SDKParts are the values of Include.
func SDKParts() []string { return []string{"readme", "api", "dependencies", "files"} }

// Wants reports whether the part is asked for.
func (p SDKFetchPayload) Wants(part string) bool {
	if len(p.Include) == 0 {
		return part != "files"
	}
	return slices.Contains(p.Include, part)
}

// Validate implements Payload. Rules of the ecosystem's own names and ranges
// are checked by the job.
func (p SDKFetchPayload) Validate() error {
	var f faults
	f.check(p.Ecosystem == "npm" || p.Ecosystem == "go", "ecosystem", `must be "npm" or "go", got %q`, clip(p.Ecosystem, 40))
	f.check(p.Name != "", "name", "must not be empty")
	f.check(len(p.Name) <= 300, "name", "must not be over 300 bytes, got %d", len(p.Name))
	f.check(!strings.ContainsAny(p.Name, "\x00 \t\r\n\\?#%"), "name", "must not hold spaces, backslashes or any of ? # %%")
	f.check(!strings.Contains("/"+p.Name+"/", "/../") && !strings.Contains("/"+p.Name+"/", "/./"), "name", `must not hold "." or ".." as a path element`)
	f.check(len(p.Version) <= 256, "version", "must not be over 256 bytes, got %d", len(p.Version))
	for i, part := range p.Include {
		f.check(slices.Contains(SDKParts(), part), fmt.Sprintf("include[%d]", i), "must be one of %v, got %q", SDKParts(), clip(part, 40))
	}
	return f.err()
}

// SDKFetchResult describes one version of a package.
type SDKFetchResult struct {
	Ecosystem   string    `json:"ecosystem"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	PublishedAt time.Time `json:"published_at,omitzero"`
	Description string    `json:"description"`
	License     string    `json:"license"`
	Homepage    string    `json:"homepage"`
	Repository  string    `json:"repository"`
	// Deprecated is the author's notice, empty if there is none, null if the
	// source does not tell.
	Deprecated *string `json:"deprecated"`
	// Retracted holds the reasons for which the author took the version back
	// (Go); empty if it stands.
	Retracted        []string          `json:"retracted,omitempty"`
	Dependencies     map[string]string `json:"dependencies"`      // name to range
	PeerDependencies map[string]string `json:"peer_dependencies"` // name to range
	Engines          map[string]string `json:"engines"`           // node, npm, go
	Dist             SDKDist           `json:"dist"`
	API              []SDKSymbol       `json:"api"`
	// APITruncated tells that API was cut at its bound.
	APITruncated bool              `json:"api_truncated,omitempty"`
	Readme       string            `json:"readme"`
	Files        []SDKFile         `json:"files,omitempty"`
	Versions     []string          `json:"versions"` // newest first, bounded
	Tags         map[string]string `json:"tags"`
	Sources      []SDKSource       `json:"sources"`
	// Token is the place in the corpus log after which a search sees it.
	Token string `json:"token,omitempty"`
	// Warnings say what is missing or was cut, for people.
	Warnings []string `json:"warnings,omitempty"`
}

// SDKDist is the archive that was fetched.
type SDKDist struct {
	// Integrity is sha512-… (npm) or h1:… (go).
	Integrity string `json:"integrity"`
	// Verified tells that the archive's bytes match Integrity from an
	// independent statement; VerifiedBy names it: sri, sumdb.
	Verified   bool   `json:"verified"`
	VerifiedBy string `json:"verified_by,omitempty"`
	Size       int64  `json:"size"` // bytes of the archive
}

// SDKSymbol is one exported name.
type SDKSymbol struct {
	Package   string `json:"package"`
	Name      string `json:"name"` // methods as Type.Method
	Kind      string `json:"kind"` // func, method, type, const, var, class, interface, namespace, enum; alias for a name of another package
	Signature string `json:"signature"`
	Doc       string `json:"doc"`
}

// SDKFile is one file of the archive.
type SDKFile struct {
	Path string `json:"path"`
	Size int64  `json:"size"` // bytes
}

// SDKSource tells how one upstream source answered.
type SDKSource struct {
	Source string `json:"source"` // versions, latest, info, mod, zip, packument, tarball, sumdb
	OK     bool   `json:"ok"`
	Error  string `json:"error,omitempty"`
	ETag   string `json:"etag,omitempty"`
	AgeS   int64  `json:"age_s"` // seconds since it was fetched; 0 is now
}
