package gomod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/upstream"
	"github.com/jobyard/jobyard/tasks"
)

// maxVersions bounds a list of versions.
const maxVersions = 20_000

// Info is what a proxy says about a version.
type Info struct {
	Version string
	Time    time.Time
	Origin  struct{ URL string }
}

// CheckPath refuses what is not a module path, with the field at fault.
func CheckPath(path string) error {
	if err := module.CheckPath(path); err != nil {
		return tasks.Invalid("name", fmt.Sprintf("must be a Go module path as example.com/module: %v", unwrapped(err)))
	}
	return nil
}

// unwrapped is the bare reason of a module error, without the path again.
func unwrapped(err error) error {
	if p, ok := errors.AsType[*module.InvalidPathError](err); ok {
		return p.Err
	}
	return err
}

// escaped joins a module's escaped path and the rest of a protocol path.
func escaped(path, rest string) (string, error) {
	p, err := module.EscapePath(path)
	if err != nil {
		return "", tasks.Invalid("name", err.Error())
	}
	return p + rest, nil
}

func escapedVersion(path, version, suffix string) (string, error) {
	v, err := module.EscapeVersion(version)
	if err != nil {
		return "", tasks.Invalid("version", fmt.Sprintf("cannot be asked for at a module proxy: %v", err))
	}
	return escaped(path, "/@v/"+v+suffix)
}

// list returns the module's versions in ascending order, without
// pseudo-versions, and the newest of those apart.
func (c *Client) list(ctx context.Context, t *upstream.Trace, path string) (out []string, pseudo string, err error) {
	p, err := escaped(path, "/@v/list")
	if err != nil {
		return nil, "", err
	}
	body, err := c.get(ctx, t, "versions", p, false)
	if err != nil {
		return nil, "", err
	}
	var newest time.Time
	for line := range bytes.Lines(body) {
		// Old proxies put the time behind the version.
		v, _, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if len(v) > 256 || module.CanonicalVersion(v) != v || module.Check(path, v) != nil {
			continue
		}
		if at, err := module.PseudoVersionTime(v); err != nil {
			out = append(out, v)
		} else if at.After(newest) {
			pseudo, newest = v, at
		}
		if len(out) == maxVersions {
			break
		}
	}
	semver.Sort(out)
	return slices.Compact(out), pseudo, nil
}

// latest asks for what the proxy holds to be the latest.
func (c *Client) latest(ctx context.Context, t *upstream.Trace, path string) (Info, error) {
	p, err := escaped(path, "/@latest")
	if err != nil {
		return Info{}, err
	}
	return c.info(ctx, t, "latest", path, p)
}

// stat asks what a version, branch or commit stands for.
func (c *Client) stat(ctx context.Context, t *upstream.Trace, path, rev string) (Info, error) {
	p, err := escapedVersion(path, rev, ".info")
	if err != nil {
		return Info{}, err
	}
	return c.info(ctx, t, "info", path, p)
}

func (c *Client) info(ctx context.Context, t *upstream.Trace, source, path, at string) (Info, error) {
	body, err := c.get(ctx, t, source, at, false)
	if err != nil {
		return Info{}, err
	}
	var in Info
	if err := json.Unmarshal(body, &in); err != nil {
		return Info{}, fault.RetryableError(tasks.ReasonUpstream, "the module proxy's %s is not readable", source).Because(err)
	}
	if err := module.Check(path, in.Version); err != nil {
		return Info{}, fault.PermanentError(tasks.ReasonUpstream, "the module proxy's %s names a version that the module cannot have", source).Because(err)
	}
	return in, nil
}

// Mod fetches a version's go.mod.
func (c *Client) Mod(ctx context.Context, t *upstream.Trace, path, version string) ([]byte, error) {
	p, err := escapedVersion(path, version, ".mod")
	if err != nil {
		return nil, err
	}
	return c.get(ctx, t, "mod", p, false)
}

// Zip fetches a version's files.
func (c *Client) Zip(ctx context.Context, t *upstream.Trace, path, version string) ([]byte, error) {
	p, err := escapedVersion(path, version, ".zip")
	if err != nil {
		return nil, err
	}
	return c.get(ctx, t, "zip", p, true)
}
