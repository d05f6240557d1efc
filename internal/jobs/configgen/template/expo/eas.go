package expo

import (
	"slices"
	"strconv"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

const easPath = "eas.json"

// easFile writes eas.json.
func easFile(p parameters, d *template.Draft) template.File {
	build := tree.New()
	for _, b := range p.EAS.Build {
		build.Set(b.Key, buildData(b.Key, b.Value, d))
	}
	submit := tree.New()
	for _, s := range p.EAS.Submit {
		submit.Set(s.Key, submitData(s.Value))
	}
	return template.File{
		Path: easPath, Format: "json", Schema: "eas",
		Data: tree.New().
			Set("cli", tree.New().Set("version", p.EAS.CLIVersion).Set("appVersionSource", p.EAS.AppVersionSource)).
			Set("build", build).
			Put("submit", submit),
		Merge: template.Merge{Keep: keepEAS(d)},
		Check: func(data *tree.Object, d *template.Draft) {
			checkExtends(d, "build", data.Object("build"))
			checkExtends(d, "submit", data.Object("submit"))
		},
	}
}

// keepEAS lists what an existing eas.json keeps because the caller left it open.
func keepEAS(d *template.Draft) [][]string {
	return d.KeepDefault(map[string][]string{
		"eas.cli_version":        {"cli", "version"},
		"eas.app_version_source": {"cli", "appVersionSource"},
		"eas.build":              {"build", "*"},
	})
}

func buildData(name string, b buildProfile, d *template.Draft) *tree.Object {
	o := tree.New().
		Put("extends", b.Extends).
		Opt("developmentClient", b.DevelopmentClient).
		Put("distribution", b.Distribution).
		Put("channel", b.Channel).
		Put("environment", b.Environment).
		Opt("autoIncrement", b.AutoIncrement).
		Put("node", b.Node).
		Put("resourceClass", b.ResourceClass)
	env := tree.New()
	for _, v := range b.Env {
		if template.Secret(v.Key, v.Value.Text) {
			d.Warn(easPath, []string{"build", name, "env", v.Key}, "looks like a secret and was left out: set it with eas env:create")
			continue
		}
		env.Set(v.Key, v.Value.Text)
	}
	o.Put("env", env)
	if b.IOS != nil {
		o.Put("ios", tree.New().Opt("simulator", b.IOS.Simulator).Put("buildConfiguration", b.IOS.BuildConfiguration))
	}
	if b.Android != nil {
		o.Put("android", tree.New().Put("buildType", b.Android.BuildType))
	}
	return o
}

func submitData(s submitProfile) *tree.Object {
	o := tree.New().Put("extends", s.Extends)
	if i := s.IOS; i != nil {
		o.Set("ios", tree.New().Put("appleId", i.AppleID).Put("ascAppId", i.AscAppID).Put("appleTeamId", i.AppleTeamID))
	}
	if a := s.Android; a != nil {
		o.Set("android", tree.New().
			Put("track", a.Track).
			Put("releaseStatus", a.ReleaseStatus).
			Put("serviceAccountKeyPath", a.ServiceAccountKeyPath))
	}
	return o
}

// check looks for faults that lie between the files.
func check(p parameters, d *template.Draft) {
	checkApp(p, d)
	if p.EAS == nil {
		return
	}
	for _, s := range p.EAS.Submit {
		if s.Value.IOS != nil && !p.on("ios") {
			d.Error(easPath, []string{"submit", s.Key, "ios"}, "the app is not made for ios: add it to platforms")
		}
		if s.Value.Android != nil && !p.on("android") {
			d.Error(easPath, []string{"submit", s.Key, "android"}, "the app is not made for android: add it to platforms")
		}
	}
	for _, b := range p.EAS.Build {
		if b.Value.Channel != "" && p.Updates == nil {
			d.Warn(easPath, []string{"build", b.Key, "channel"}, "has no effect without updates")
		}
		if dev := b.Value.DevelopmentClient; dev != nil && *dev && b.Value.Distribution == "store" {
			d.Error(easPath, []string{"build", b.Key, "distribution"}, "a development client cannot go to the store")
		}
	}
}

func checkApp(p parameters, d *template.Draft) {
	if p.IOS != nil && !p.on("ios") {
		d.Warn(appFile, []string{"expo", "ios"}, "has no effect, because ios is not one of the platforms")
	}
	if p.Android != nil && !p.on("android") {
		d.Warn(appFile, []string{"expo", "android"}, "has no effect, because android is not one of the platforms")
	}
	if p.Web != nil && !p.on("web") {
		d.Warn(appFile, []string{"expo", "web"}, "was left out, because web is not one of the platforms")
	}
	if p.Router && p.Scheme == "" {
		d.Warn(appFile, []string{"expo", "scheme"}, "should be set for links into an app with Expo Router")
	}
	if p.TypedRoutes != nil && *p.TypedRoutes && !p.Router {
		d.Error(appFile, []string{"expo", "experiments", "typedRoutes"}, "needs router")
	}
	if a := p.Android; a != nil {
		for i, permission := range a.Permissions {
			if slices.Contains(a.BlockedPermissions, permission) {
				d.Refuse("android.permissions["+strconv.Itoa(i)+"]", "is blocked as well: %s", permission)
			}
		}
	}
}

// checkIdentifiers asks for what EAS Build cannot do without.
func checkIdentifiers(p parameters, data *tree.Object, d *template.Draft) {
	if p.EAS == nil {
		return
	}
	app := data.Object("expo")
	if id, _ := app.Object("ios").Get("bundleIdentifier"); p.on("ios") && tree.Empty(id) {
		d.Error(appFile, []string{"expo", "ios", "bundleIdentifier"}, "must be set to build and submit for ios: give ios.bundle_identifier")
	}
	if id, _ := app.Object("android").Get("package"); p.on("android") && tree.Empty(id) {
		d.Error(appFile, []string{"expo", "android", "package"}, "must be set to build and submit for android: give android.package")
	}
}

// checkExtends looks for profiles that build on one that is missing, or on
// themselves.
func checkExtends(d *template.Draft, kind string, profiles *tree.Object) {
	extends := map[string]string{}
	for _, m := range profiles.Members() {
		profile, _ := m.Value.(*tree.Object)
		parent, _ := profile.Get("extends")
		extends[m.Key], _ = parent.(string)
	}
	for name, parent := range extends {
		if parent == "" {
			continue
		}
		at := []string{kind, name, "extends"}
		if _, ok := extends[parent]; !ok {
			d.Error(easPath, at, "there is no %s profile %s", kind, parent)
			continue
		}
		for steps := 0; parent != ""; parent = extends[parent] {
			if steps++; steps > len(extends) {
				d.Error(easPath, at, "the profiles build on each other in a circle")
				break
			}
		}
	}
}
