package expo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

const packagePath = "package.json"

// companions are packages that need others beside them.
func companions() map[string][]string {
	return map[string][]string{
		"expo-router":                  {"expo-constants", "expo-linking", "react-native-safe-area-context", "react-native-screens"},
		"react-native-reanimated":      {"react-native-worklets"},
		"react-native-web":             {"react-dom"},
		"expo-auth-session":            {"expo-crypto", "expo-web-browser"},
		"react-native-svg-transformer": {"react-native-svg"},
	}
}

// resolver chooses a version for each package.
type resolver struct {
	d     *template.Draft
	sdk   int
	table versions
	deps  map[string]string
	dev   map[string]string
}

// packageFile writes package.json.
func packageFile(p parameters, d *template.Draft) template.File {
	r := resolver{d, p.SDK, tables()[p.SDK], map[string]string{}, map[string]string{}}
	r.chosen("dependencies", "dependencies", p.Dependencies, r.deps)
	r.chosen("dev_dependencies", "devDependencies", p.DevDependencies, r.dev)
	for _, n := range needs(p) {
		r.need(n.name, n.why)
	}
	if p.TypeScript {
		r.fill(r.dev, "typescript")
		r.fill(r.dev, "@types/react")
	}
	if p.Metro.SVG {
		r.tool("react-native-svg-transformer", "metro.svg")
	}
	r.companions()
	for _, set := range []map[string]string{r.deps, r.dev} {
		for name, version := range set {
			d.Resolve(name, version)
		}
	}
	return template.File{
		Path: packagePath, Format: "json", Schema: "package",
		Data: tree.New().
			Set("name", p.Slug).
			Set("version", p.Version).
			Set("private", true).
			Set("main", entry(p)).
			Set("scripts", scripts(p)).
			Set("dependencies", sorted(r.deps)).
			Put("devDependencies", sorted(r.dev)),
		Merge: template.Merge{
			Keep:    [][]string{{"name"}, {"version"}, {"private"}, {"main"}, {"scripts", "*"}},
			Prepare: keepVersions,
		},
	}
}

type need struct{ name, why string }

// needs lists the packages that the other parameters call for.
func needs(p parameters) []need {
	out := []need{{"expo", "every app"}, {"react", "every app"}, {"react-native", "every app"}, {"expo-status-bar", "every app"}}
	if p.Router {
		out = append(out, need{"expo-router", "router"})
	}
	if p.on("web") {
		out = append(out, need{"react-native-web", "the platform web"})
	}
	if p.Splash != nil {
		out = append(out, need{"expo-splash-screen", "splash"})
	}
	if p.Updates != nil {
		out = append(out, need{"expo-updates", "updates"})
	}
	if p.Metro.SVG {
		out = append(out, need{"react-native-svg", "metro.svg"})
	}
	table := tables()[p.SDK]
	for _, pl := range p.Plugins {
		if _, known := table[pl.Name]; known {
			out = append(out, need{pl.Name, "its plugin"})
		}
	}
	if p.EAS != nil {
		for _, b := range p.EAS.Build {
			if b.Value.DevelopmentClient != nil && *b.Value.DevelopmentClient {
				out = append(out, need{"expo-dev-client", "the build profile " + b.Key})
				break
			}
		}
	}
	return out
}

// chosen reads the caller's packages: name, or name@range.
func (r resolver) chosen(field, section string, packages []string, into map[string]string) {
	for i, text := range packages {
		at := fmt.Sprintf("%s[%d]", field, i)
		name, version := text, ""
		if j := strings.LastIndex(text, "@"); j > 0 {
			name, version = text[:j], text[j+1:]
		}
		fits := r.table[name]
		_, twice := r.deps[name]
		_, twiceDev := r.dev[name]
		switch {
		case twice || twiceDev:
			r.d.Refuse(at, "stands twice: %s", name)
		case version == "" && fits == "":
			r.d.Refuse(at, "has no version that is known to fit SDK %d: write %s@ and a version", r.sdk, name)
		case version != "" && fits != "" && version != fits:
			r.d.Warn(packagePath, []string{section, name}, "SDK %d is made for %s, but %s was asked for", r.sdk, fits, version)
			fallthrough
		default:
			into[name] = first(version, fits)
		}
	}
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// need adds a package that the caller did not name.
func (r resolver) need(name, why string) {
	if _, named := r.deps[name]; named {
		return
	}
	if !r.fill(r.deps, name) {
		r.d.Error(packagePath, []string{"dependencies", name},
			"is needed by %s, but its version for SDK %d is not known: add %s@ and a version to dependencies", why, r.sdk, name)
	}
}

// tool checks that a development package of unknown version was named.
func (r resolver) tool(name, why string) {
	if r.deps[name] == "" && r.dev[name] == "" {
		r.d.Error(packagePath, []string{"devDependencies", name}, "is needed by %s: add %s@ and a version to dev_dependencies", why, name)
	}
}

// fill takes a version from the table.
func (r resolver) fill(set map[string]string, name string) bool {
	if r.deps[name] != "" || r.dev[name] != "" {
		return true
	}
	if r.table[name] == "" {
		return false
	}
	set[name] = r.table[name]
	return true
}

func (r resolver) companions() {
	all := companions()
	for _, name := range slices.Sorted(maps.Keys(r.deps)) {
		for _, other := range all[name] {
			r.need(other, name)
		}
	}
}

func entry(p parameters) string {
	if p.Router {
		return "expo-router/entry"
	}
	return "expo/AppEntry.js"
}

func scripts(p parameters) *tree.Object {
	o := tree.New().Set("start", "expo start")
	for _, platform := range []string{"android", "ios", "web"} {
		if p.on(platform) {
			o.Set(platform, "expo start --"+platform)
		}
	}
	if p.TypeScript {
		o.Set("typecheck", "tsc --noEmit")
	}
	return o
}

func sorted(set map[string]string) *tree.Object {
	o := tree.New()
	for _, name := range slices.Sorted(maps.Keys(set)) {
		o.Set(name, set[name])
	}
	return o
}

// keepVersions leaves the versions of an existing package.json alone and says
// where they differ from what fits the SDK. A package stays in the section
// where its project put it.
func keepVersions(existing, wanted *tree.Object, d *template.Draft) {
	for _, here := range []string{"dependencies", "devDependencies"} {
		set := wanted.Object(here)
		for _, m := range slices.Clone(set.Members()) {
			for _, there := range []string{"dependencies", "devDependencies"} {
				old, has := existing.Object(there).Get(m.Key)
				if !has {
					continue
				}
				set.Delete(m.Key)
				version, _ := old.(string)
				d.Resolve(m.Key, version)
				if old != m.Value {
					d.Warn(packagePath, []string{there, m.Key}, "conflict: it is at %q, but the template wants %v; it was not changed", version, m.Value)
				}
				break
			}
		}
		if set != nil && set.Len() == 0 {
			wanted.Delete(here)
		}
	}
}
