package npm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/semver"
	"github.com/jobyard/jobyard/tasks"
)

// numbered is a version with its number as it stands in the packument.
type numbered struct {
	text string
	semver.Version
}

// sorted lists the versions, newest first. What is not a version is left out.
func (p *Packument) sorted() []numbered {
	out := make([]numbered, 0, len(p.Versions))
	for text := range p.Versions {
		if v, err := semver.Parse(text, semver.Options{Loose: true}); err == nil {
			out = append(out, numbered{text, v})
		}
	}
	slices.SortFunc(out, func(a, b numbered) int {
		if c := b.Compare(a.Version); c != 0 {
			return c
		}
		return strings.Compare(b.text, a.text)
	})
	return out
}

// Numbers lists up to limit versions, newest first.
func (p *Packument) Numbers(limit int) []string {
	out := []string{}
	for _, v := range p.sorted() {
		if len(out) == limit {
			break
		}
		out = append(out, v.text)
	}
	return out
}

// CheckSpec refuses what is neither version, range nor tag.
func CheckSpec(spec string) error {
	if strings.ContainsAny(spec, ":/") {
		return tasks.Invalid("version", fmt.Sprintf("must be a version, range or tag of the registry, not a place or alias, got %.80q", spec))
	}
	if strings.IndexFunc(spec, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		return tasks.Invalid("version", "must not hold control characters")
	}
	if !isRange(spec) && strings.ContainsAny(spec, " <>=^~|*@") {
		return tasks.Invalid("version", fmt.Sprintf("is not a range as npm writes it, got %.80q", spec))
	}
	return nil
}

func isRange(spec string) bool {
	_, err := semver.ParseRange(spec, semver.Options{Loose: true})
	return err == nil
}

// Pick finds the version that npm would install for an exact version, a range
// or a tag: in a range it prefers the one tagged latest, then the highest that
// is not deprecated.
func (p *Packument) Pick(spec string) (string, error) {
	if spec == "" || spec == "latest" {
		return p.tagged("latest")
	}
	if v, err := semver.Parse(spec, semver.Options{Loose: true}); err == nil {
		for _, have := range p.sorted() {
			if have.Compare(v) == 0 {
				return have.text, nil
			}
		}
		return "", p.missing("has no version " + spec)
	}
	r, err := semver.ParseRange(spec, semver.Options{Loose: true})
	if err != nil {
		return p.tagged(spec)
	}
	return p.best(r, spec)
}

func (p *Packument) best(r semver.Range, spec string) (string, error) {
	if latest := p.Tags["latest"]; p.Versions[latest] != nil {
		if v, err := semver.Parse(latest, semver.Options{Loose: true}); err == nil && r.Match(v) {
			return latest, nil
		}
	}
	deprecated := ""
	for _, v := range p.sorted() {
		if !r.Match(v.Version) {
			continue
		}
		if p.Versions[v.text].Deprecated.text == "" {
			return v.text, nil
		}
		if deprecated == "" {
			deprecated = v.text
		}
	}
	if deprecated != "" {
		return deprecated, nil
	}
	return "", p.missing("has no version that matches " + spec)
}

// tagged follows a tag; a package without the tag latest has its highest
// release in that place.
func (p *Packument) tagged(tag string) (string, error) {
	if v := p.Tags[tag]; p.Versions[v] != nil {
		return v, nil
	}
	if tag != "latest" {
		return "", p.missing("has no version or tag " + tag)
	}
	versions := p.sorted()
	for _, v := range versions {
		if len(v.Pre) == 0 {
			return v.text, nil
		}
	}
	if len(versions) > 0 {
		return versions[0].text, nil
	}
	return "", p.missing("has no version")
}

// missing says what there is instead.
func (p *Packument) missing(what string) error {
	tags := slices.Sorted(maps.Keys(p.Tags))
	return fault.PermanentError(tasks.ReasonNotFound, "%s %s; the newest are %s, the tags %s", p.Name, fault.Clean(what, 120),
		strings.Join(p.Numbers(5), ", "), strings.Join(tags[:min(len(tags), 10)], ", "))
}
