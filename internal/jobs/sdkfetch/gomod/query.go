package gomod

import (
	"fmt"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/jobyard/jobyard/tasks"
)

// queryKind is how a version was asked for.
type queryKind int

const (
	byLatest   queryKind = iota
	byExact              // v1.2.3, or a pseudo-version
	byPrefix             // v1, v1.2
	byRelation           // <v1.2.3, >=v1.2
	byRevision           // a branch or commit, which only the proxy can resolve
)

// query is a version as it was asked for.
type query struct {
	kind queryKind
	// op and version are the relation's; version is also the exact one or the prefix.
	op, version string
}

// parseQuery reads a version query as the go command does, for a module.
func parseQuery(path, text string) (query, error) {
	invalid := func(format string, args ...any) (query, error) {
		return query{}, tasks.Invalid("version", fmt.Sprintf(format, args...))
	}
	switch text {
	case "", "latest":
		return query{kind: byLatest}, nil
	case "upgrade", "patch", "none", "all":
		return invalid("must stand alone: %q compares with a module you already use; use latest, v1, >=v1.2.3 or an exact version", text)
	}
	for _, op := range []string{"<=", ">=", "<", ">"} {
		v, ok := strings.CutPrefix(text, op)
		if !ok {
			continue
		}
		if !semver.IsValid(v) {
			return invalid("must have a version as v1.2.3 behind %s, got %.60q", op, v)
		}
		if short(v) && (op == "<=" || op == ">") {
			return invalid("is ambiguous: write all three numbers behind %s", op)
		}
		return query{byRelation, op, v}, nil
	}
	switch {
	case short(text):
		return query{kind: byPrefix, version: text}, nil
	case semver.IsValid(text):
		return exact(path, text)
	case semver.IsValid("v" + text):
		return invalid("must begin with v, as v%s", text)
	case strings.ContainsAny(text, "^~*|&, "):
		return invalid("must be latest, an exact version, a prefix as v1.2, or one of < <= > >= and a version; Go has no range as %.60q", text)
	}
	if _, err := module.EscapeVersion(text); err != nil {
		return invalid("must be a version, branch or commit that a module proxy can be asked for, got %.60q", text)
	}
	return query{kind: byRevision, version: text}, nil
}

// short reports whether a version leaves numbers away.
func short(v string) bool {
	return semver.IsValid(v) && semver.Canonical(v) != v && !strings.ContainsAny(v, "-+")
}

// exact checks that the module may have the version at all.
func exact(path, v string) (query, error) {
	v = module.CanonicalVersion(v)
	_, major, _ := module.SplitPathVersion(path)
	if major == "" && semver.Compare(semver.Major(v), "v2") >= 0 && !strings.HasSuffix(v, "+incompatible") {
		// A path without /v2 can only have such a version from before modules.
		v += "+incompatible"
	}
	if err := module.CheckPathMajor(v, major); err != nil {
		return query{}, tasks.Invalid("version", fmt.Sprintf("does not fit the module's path: %s has versions %s only", path, wanted(major)))
	}
	return query{kind: byExact, version: v}, nil
}

func wanted(major string) string {
	if p := module.PathMajorPrefix(major); p != "" {
		return p
	}
	return "v0 and v1"
}

// matches reports whether a listed version answers the query.
func (q query) matches(v string) bool {
	switch q.kind {
	case byLatest:
		return true
	case byPrefix:
		return strings.HasPrefix(v, q.version+".")
	}
	d := semver.Compare(v, q.version)
	switch q.op {
	case "<":
		return d < 0
	case "<=":
		return d <= 0
	case ">":
		return d > 0
	case ">=":
		return d >= 0
	}
	return false
}

// pick chooses among versions in ascending order: releases before prereleases,
// the nearest to a lower bound, else the highest.
func (q query) pick(versions []string, allowed func(string) bool) string {
	var release, pre string
	lowest := q.op == ">" || q.op == ">="
	for _, v := range versions {
		if !q.matches(v) || !allowed(v) {
			continue
		}
		best := &release
		if semver.Prerelease(v) != "" {
			best = &pre
		}
		if *best == "" || !lowest {
			*best = v
		}
	}
	if release != "" {
		return release
	}
	return pre
}
