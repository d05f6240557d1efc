package gomod

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// Facts are what a go.mod says.
type Facts struct {
	// Requires maps the modules that are needed directly to their versions.
	Requires map[string]string
	// Go is the language version, empty if the file does not say.
	Go string
	// Deprecated is the author's notice; it counts in the latest version's file.
	Deprecated string
	retracted  []retraction
}

// retraction is a stretch of versions that the author took back.
type retraction struct {
	low, high, why string
}

// ParseMod reads a go.mod, leniently: what a dependency's file may hold beyond
// what is wanted here is skipped, as the go command does.
func ParseMod(data []byte) (Facts, error) {
	f, err := modfile.ParseLax("go.mod", data, nil)
	if err != nil {
		return Facts{}, fault.PermanentError(tasks.ReasonRejected, "the module's go.mod cannot be read").Because(fmt.Errorf("parse go.mod: %w", err))
	}
	out := Facts{Requires: map[string]string{}}
	if f.Go != nil {
		out.Go = f.Go.Version
	}
	if f.Module != nil {
		out.Deprecated = f.Module.Deprecated
	}
	for _, r := range f.Require {
		if !r.Indirect {
			out.Requires[r.Mod.Path] = r.Mod.Version
		}
	}
	for _, r := range f.Retract {
		out.retracted = append(out.retracted, retraction{r.Low, r.High, r.Rationale})
	}
	return out, nil
}

// Retracted returns the reasons for which the author took a version back, none
// if it stands. The facts must be those of the latest version.
func (f Facts) Retracted(version string) []string {
	var out []string
	for _, r := range f.retracted {
		if semver.Compare(r.low, version) <= 0 && semver.Compare(version, r.high) <= 0 {
			out = append(out, cmp.Or(fault.Clean(r.why, 500), "retracted by module author"))
		}
	}
	return out
}

// made reports whether a go.mod was made up by the proxy for a version that has
// none: such a file holds the module line alone.
func made(data []byte, path string) bool {
	return bytes.Equal(bytes.TrimSpace(data), []byte("module "+modfile.AutoQuote(path)))
}

// Repository guesses where a module's source is: what the proxy says, or the
// path itself on a host of which that is known.
func Repository(path string, in Info) string {
	if u := in.Origin.URL; strings.HasPrefix(u, "https://") && len(u) < 500 && !strings.Contains(u, "@") {
		return strings.TrimSuffix(u, ".git")
	}
	parts := strings.Split(path, "/")
	switch parts[0] {
	case "github.com", "gitlab.com", "bitbucket.org", "codeberg.org":
		if len(parts) >= 3 {
			return "https://" + strings.Join(parts[:3], "/")
		}
	}
	return ""
}
