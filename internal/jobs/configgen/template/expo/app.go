package expo

import (
	"slices"
	"strconv"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

const appFile = "app.json"

// app writes app.json.
type app struct {
	p parameters
	d *template.Draft
}

func (a app) file() template.File {
	p := a.p
	o := tree.New().
		Set("name", p.Name).
		Set("slug", p.Slug).
		Put("owner", p.Owner).
		Put("description", p.Description).
		Set("version", p.Version).
		Set("platforms", p.Platforms).
		Set("orientation", p.Orientation).
		Put("icon", p.Icon).
		Put("scheme", p.Scheme).
		Set("userInterfaceStyle", p.UserInterfaceStyle).
		Put("ios", a.ios()).
		Put("android", a.android()).
		Put("web", a.web()).
		Put("plugins", a.plugins()).
		Put("experiments", tree.New().Opt("typedRoutes", p.TypedRoutes).Opt("reactCompiler", p.ReactCompiler))
	if u := p.Updates; u != nil {
		o.Set("runtimeVersion", tree.New().Set("policy", u.RuntimeVersion)).Set("updates", tree.New().Set("url", u.URL))
	}
	extra, _ := a.public(p.Extra.Value, []string{"expo", "extra"}).(*tree.Object)
	if p.EAS != nil && p.EAS.ProjectID != "" {
		if extra == nil {
			extra = tree.New()
		}
		extra.Set("eas", tree.New().Set("projectId", p.EAS.ProjectID))
	}
	o.Put("extra", extra)
	return template.File{
		Path: appFile, Format: "json", Schema: "app", Data: tree.New().Set("expo", o),
		Merge: template.Merge{
			Keep: a.d.KeepDefault(map[string][]string{
				"slug":                 {"expo", "slug"},
				"version":              {"expo", "version"},
				"platforms":            {"expo", "platforms"},
				"orientation":          {"expo", "orientation"},
				"user_interface_style": {"expo", "userInterfaceStyle"},
				"ios.supports_tablet":  {"expo", "ios", "supportsTablet"},
				"web.output":           {"expo", "web", "output"},
			}),
			Union: [][]string{{"expo", "android", "permissions"}, {"expo", "android", "blockedPermissions"}, {"expo", "ios", "associatedDomains"}},
			Prepare: func(existing, wanted *tree.Object, _ *template.Draft) {
				mergePlugins(existing.Object("expo"), wanted.Object("expo"))
			},
		},
		Check: func(data *tree.Object, d *template.Draft) { checkIdentifiers(p, data, d) },
	}
}

func (a app) ios() *tree.Object {
	i := a.p.IOS
	if i == nil {
		return nil
	}
	return tree.New().
		Put("bundleIdentifier", i.BundleIdentifier).
		Put("buildNumber", i.BuildNumber).
		Opt("supportsTablet", i.SupportsTablet).
		Put("associatedDomains", i.AssociatedDomains).
		Put("infoPlist", a.public(i.InfoPlist.Value, []string{"expo", "ios", "infoPlist"}))
}

func (a app) android() *tree.Object {
	n := a.p.Android
	if n == nil {
		return nil
	}
	o := tree.New().Put("package", n.Package).Put("versionCode", n.VersionCode)
	if icon := n.AdaptiveIcon; icon != nil {
		o.Set("adaptiveIcon", tree.New().Set("foregroundImage", icon.ForegroundImage).Set("backgroundColor", icon.BackgroundColor))
	}
	return o.Put("permissions", n.Permissions).Put("blockedPermissions", n.BlockedPermissions)
}

func (a app) web() *tree.Object {
	if !a.p.on("web") {
		return nil
	}
	o := tree.New().Set("bundler", "metro")
	if w := a.p.Web; w != nil {
		o.Put("output", w.Output).Put("favicon", w.Favicon)
	}
	return o
}

func (a app) plugins() []any {
	var out []any
	seen := map[string]bool{}
	add := func(name string, options any) {
		if seen[name] {
			return
		}
		seen[name] = true
		if tree.Empty(options) {
			out = append(out, name)
			return
		}
		out = append(out, []any{name, options})
	}
	// The caller's come first: one that is named with options wins over ours.
	for i, p := range a.p.Plugins {
		if seen[p.Name] {
			a.d.Refuse("plugins["+strconv.Itoa(i)+"]", "stands twice: %s", p.Name)
		}
		add(p.Name, a.public(p.Options.Value, []string{"expo", "plugins", strconv.Itoa(i), "1"}))
	}
	if a.p.Router {
		add("expo-router", nil)
	}
	if s := a.p.Splash; s != nil {
		add("expo-splash-screen", tree.New().
			Set("image", s.Image).
			Set("imageWidth", s.ImageWidth).
			Set("resizeMode", s.ResizeMode).
			Set("backgroundColor", s.BackgroundColor))
	}
	return out
}

// public leaves out what looks like a secret: app.json is in the repository,
// and most of it is in the app.
func (a app) public(v any, place []string) any {
	o, ok := v.(*tree.Object)
	if !ok {
		return v
	}
	out := tree.New()
	for _, m := range o.Members() {
		at := append(slices.Clip(place), m.Key)
		if text, ok := m.Value.(string); ok && template.Secret(m.Key, text) {
			a.d.Warn(appFile, at, "looks like a secret and was left out: everybody who has the app can read it; keep it on a server or in an EAS secret")
			continue
		}
		out.Set(m.Key, a.public(m.Value, at))
	}
	return out
}

// mergePlugins joins the plugins of an existing app.json with the wanted ones
// by name, and writes the outcome into wanted.
func mergePlugins(existing, wanted *tree.Object) {
	old, _ := existing.Get("plugins")
	have, isList := old.([]any)
	fresh, _ := wanted.Get("plugins")
	want, _ := fresh.([]any)
	if !isList || len(want) == 0 {
		return
	}
	out := append([]any{}, have...)
	place := map[string]int{}
	for i, p := range out {
		place[pluginName(p)] = i
	}
	for _, p := range want {
		i, known := place[pluginName(p)]
		switch _, plain := p.(string); {
		case !known:
			out = append(out, p)
		case !plain: // with options; a plain name changes nothing
			out[i] = p
		}
	}
	wanted.Set("plugins", out)
}

func pluginName(p any) string {
	if pair, ok := p.([]any); ok && len(pair) > 0 {
		p = pair[0]
	}
	name, _ := p.(string)
	return name
}
