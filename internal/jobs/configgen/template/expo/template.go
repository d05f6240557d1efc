// Package expo is the expo-app template: the configuration of an Expo project
// (app.json, eas.json, package.json, tsconfig.json, babel and metro), with the
// versions of packages that fit the SDK.
//
// The versions are tables of facts, one file for each SDK. Adding an SDK is a
// table, a line in tables and its number in parameters.json.
package expo

import (
	_ "embed"
	"strings"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

var (
	//go:embed parameters.json
	parametersSchema []byte
	//go:embed app.json
	appSchema []byte
	//go:embed eas.json
	easSchema []byte
	//go:embed package.json
	packageSchema []byte
)

const example = `{
  "name": "Field Notes",
  "scheme": "fieldnotes",
  "router": true,
  "ios": { "bundle_identifier": "com.example.fieldnotes" },
  "android": { "package": "com.example.fieldnotes", "permissions": ["CAMERA"] },
  "plugins": [{ "name": "expo-camera", "options": { "cameraPermission": "Takes pictures of plants." } }],
  "dependencies": ["expo-camera", "zustand@^5.0.0"],
  "eas": {}
}`

// Template describes expo-app.
func Template() template.Template {
	return template.Template{
		Name:        "expo-app",
		Version:     "1.0.0",
		Description: "An Expo project: app.json, eas.json, package.json, tsconfig.json, babel and metro configuration.",
		Parameters:  parametersSchema,
		Outputs:     map[string][]byte{"app": appSchema, "eas": easSchema, "package": packageSchema},
		Example:     example,
		Write:       template.Writer(write),
	}
}

// versions maps packages to the range that fits one SDK.
type versions map[string]string

func tables() map[int]versions { return map[int]versions{57: sdk57(), 54: sdk54()} }

func write(p parameters, d *template.Draft) {
	if p.Slug == "" {
		p.Slug = slug(p.Name)
	}
	if p.Slug == "" {
		d.Refuse("slug", "must be set, because name has no letters or digits to make it from")
		return
	}
	a := app{p: p, d: d}
	d.Add(a.file())
	d.Add(packageFile(p, d))
	if p.TypeScript {
		d.Add(tsconfigFile(p))
	}
	if p.EAS != nil {
		d.Add(easFile(p, d))
	}
	d.Add(template.File{Path: "babel.config.js", Format: "js", Text: babelText(p)})
	d.Add(template.File{Path: "metro.config.js", Format: "js", Text: metroText(p)})
	d.Add(template.File{Path: ".gitignore", Format: "text", Text: gitignore, Lines: true})
	check(p, d)
}

// slug makes a slug of a name: "Field Notes" becomes field-notes.
func slug(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9')
	})
	s := strings.Join(words, "-")
	return strings.TrimRight(s[:min(len(s), 100)], "-")
}

func tsconfigFile(p parameters) template.File {
	include := []string{"**/*.ts", "**/*.tsx"}
	if p.Router {
		include = append(include, ".expo/types/**/*.ts", "expo-env.d.ts")
	}
	return template.File{
		Path: "tsconfig.json", Format: "jsonc",
		Data: tree.New().
			Set("extends", "expo/tsconfig.base").
			Set("compilerOptions", tree.New().
				Set("strict", true).
				Set("paths", tree.New().Set("@/*", []string{"./*"}))).
			Set("include", include),
		Merge: template.Merge{
			Keep:  [][]string{{"compilerOptions", "strict"}, {"compilerOptions", "paths", "*"}},
			Union: [][]string{{"include"}},
		},
	}
}

const gitignore = `# Packages
node_modules/

# Expo
.expo/
dist/
web-build/
expo-env.d.ts

# Native projects, made by expo prebuild
/ios
/android

# Keys and local settings
*.jks
*.p8
*.p12
*.key
*.mobileprovision
.env
.env*.local

# Metro
.metro-health-check*

# Logs and systems
npm-debug.*
yarn-debug.*
yarn-error.*
.DS_Store
*.pem
*.tsbuildinfo
`
