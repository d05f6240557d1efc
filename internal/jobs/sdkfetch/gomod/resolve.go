package gomod

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/upstream"
	"github.com/jobyard/jobyard/tasks"
)

// Found is the version that a query means, and what its latest sibling says.
type Found struct {
	Info
	// Versions lists the module's versions in ascending order.
	Versions []string
	// Latest is the version whose go.mod speaks for the module; it may be retracted.
	Latest string
	// LatestMod holds its facts, nil if they could not be read.
	LatestMod *Facts
	// head is what the proxy holds to be the latest, where no version is listed.
	head Info
}

// Newest is the version that latest means, empty if the module has none that is
// listed and stands.
func (f Found) Newest() string {
	return query{}.pick(f.Versions, func(v string) bool { return f.LatestMod == nil || len(f.LatestMod.Retracted(v)) == 0 })
}

// Resolve finds the version that a query means.
func (c *Client) Resolve(ctx context.Context, t *upstream.Trace, path, version string) (Found, error) {
	if err := CheckPath(path); err != nil {
		return Found{}, err
	}
	q, err := parseQuery(path, version)
	if err != nil {
		return Found{}, err
	}
	if err := c.usable(path); err != nil {
		return Found{}, err
	}
	var out Found
	var pseudo string
	out.Versions, pseudo, err = c.list(ctx, t, path)
	if err != nil && !isNotFound(err) {
		return Found{}, err
	}
	if out.Versions, err = c.withoutIncompatible(ctx, t, path, out.Versions); err != nil {
		return Found{}, err
	}
	if out.head, err = c.head(ctx, t, path, pseudo, &out); err != nil {
		return Found{}, err
	}
	out.Info, err = c.choose(ctx, t, path, q, &out)
	return out, err
}

// head finds the version that speaks for the module, and reads its go.mod. That
// a module has none is no fault yet: an exact version may still be there. As for
// the go command, the newest pseudo-version of the list stands in where the proxy
// names no latest.
func (c *Client) head(ctx context.Context, t *upstream.Trace, path, pseudo string, out *Found) (Info, error) {
	var in Info
	out.Latest = query{}.pick(out.Versions, anyVersion)
	if out.Latest == "" {
		var err error
		in, err = c.latest(ctx, t, path)
		if isNotFound(err) && pseudo != "" {
			in, err = c.stat(ctx, t, path, pseudo)
		}
		if err != nil && !isNotFound(err) {
			return in, err
		}
		out.Latest = in.Version
	}
	if out.Latest == "" {
		return in, nil
	}
	mod, err := c.Mod(ctx, t, path, out.Latest)
	if err != nil {
		if fault.Of(err).Verdict == fault.Permanent {
			return in, nil // what it would say is unknown then
		}
		return in, err
	}
	if f, err := ParseMod(mod); err == nil {
		out.LatestMod = &f
	}
	return in, nil
}

func anyVersion(string) bool { return true }

// choose picks the version and asks for its time.
func (c *Client) choose(ctx context.Context, t *upstream.Trace, path string, q query, found *Found) (Info, error) {
	if q.kind == byExact || q.kind == byRevision {
		in, err := c.stat(ctx, t, path, q.version)
		if isNotFound(err) {
			return in, notFound(path, q, found.Versions)
		}
		if err == nil && q.kind == byExact && in.Version != q.version {
			return in, fault.PermanentError(tasks.ReasonUpstream, "the module proxy answers %s with another version, %s", q.version, fault.Clean(in.Version, 80))
		}
		return in, err
	}
	stands := func(v string) bool { return found.LatestMod == nil || len(found.LatestMod.Retracted(v)) == 0 }
	v := q.pick(found.Versions, stands)
	if v == "" {
		v = q.pick(found.Versions, anyVersion) // all are retracted; the result says so
	}
	switch {
	case v == "" && q.kind == byLatest && found.head.Version != "":
		return found.head, nil
	case v == "":
		return Info{}, notFound(path, q, found.Versions)
	}
	return c.stat(ctx, t, path, v)
}

// withoutIncompatible drops the +incompatible versions of a module whose highest
// compatible version has a go.mod: its author has left them behind.
func (c *Client) withoutIncompatible(ctx context.Context, t *upstream.Trace, path string, versions []string) ([]string, error) {
	old := func(v string) bool { return strings.HasSuffix(v, "+incompatible") }
	at := slices.IndexFunc(versions, old)
	if at <= 0 {
		return versions, nil
	}
	mod, err := c.Mod(ctx, t, path, versions[at-1])
	if isNotFound(err) || err == nil && made(mod, path) {
		return versions, nil
	}
	if err != nil {
		return nil, err
	}
	return versions[:at], nil
}

// notFound says what is missing and what is near.
func notFound(path string, q query, versions []string) error {
	if len(versions) == 0 {
		if q.kind == byLatest {
			return fault.PermanentError(tasks.ReasonNotFound, "there is no module %s; a package inside a module is asked for by the module's path", path)
		}
		return fault.PermanentError(tasks.ReasonNotFound, "there is no version %s of %s, and none is listed", q.op+q.version, path)
	}
	what := "no version " + q.version
	if q.kind == byPrefix || q.kind == byRelation {
		what = "no version matches " + q.op + q.version
	}
	hint := ""
	if v, ok := strings.CutSuffix(q.version, "+incompatible"); ok {
		hint = fmt.Sprintf("; from v2 on a module's path ends in its major version, as %s/%s", path, semver.Major(v))
	}
	return fault.PermanentError(tasks.ReasonNotFound, "%s has %s; there are %s%s", path, what, strings.Join(near(versions, q.version), ", "), hint)
}

// near returns up to five versions around the one that is missing, the highest
// if there is nothing to compare.
func near(versions []string, missing string) []string {
	at := len(versions)
	if semver.IsValid(missing) {
		at, _ = slices.BinarySearchFunc(versions, missing, semver.Compare)
	}
	from := max(0, min(at-3, len(versions)-5))
	return versions[from:min(len(versions), from+5)]
}
