// Package tsconfig is the tsconfig template: a TypeScript project's
// tsconfig.json.
package tsconfig

import (
	_ "embed"
	"strings"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

var (
	//go:embed parameters.json
	parametersSchema []byte
	//go:embed output.json
	outputSchema []byte
)

const example = `{
  "target": "es2023",
  "out_dir": "dist",
  "root_dir": "src",
  "paths": { "@/*": ["./src/*"] },
  "include": ["src"]
}`

// Template describes tsconfig.
func Template() template.Template {
	return template.Template{
		Name:        "tsconfig",
		Version:     "1.0.0",
		Description: "A TypeScript project's tsconfig.json.",
		Parameters:  parametersSchema,
		Outputs:     map[string][]byte{"tsconfig": outputSchema},
		Example:     example,
		Write:       template.Writer(write),
	}
}

type parameters struct {
	File             string                     `json:"file"`
	Extends          string                     `json:"extends"`
	Target           string                     `json:"target"`
	Module           string                     `json:"module"`
	ModuleResolution string                     `json:"module_resolution"`
	Lib              []string                   `json:"lib"`
	JSX              string                     `json:"jsx"`
	Strict           bool                       `json:"strict"`
	StrictExtras     bool                       `json:"strict_extras"`
	Declaration      *bool                      `json:"declaration"`
	SourceMap        *bool                      `json:"source_map"`
	Composite        *bool                      `json:"composite"`
	NoEmit           *bool                      `json:"no_emit"`
	AllowJS          *bool                      `json:"allow_js"`
	OutDir           string                     `json:"out_dir"`
	RootDir          string                     `json:"root_dir"`
	Paths            template.Ordered[[]string] `json:"paths"`
	Types            []string                   `json:"types"`
	Include          []string                   `json:"include"`
	Exclude          []string                   `json:"exclude"`
	References       []string                   `json:"references"`
}

func write(p parameters, d *template.Draft) {
	d.CheckPath("file", p.File)
	check(p, d)
	paths := tree.New()
	for _, e := range p.Paths {
		paths.Set(e.Key, e.Value)
	}
	var references []*tree.Object
	for _, r := range p.References {
		references = append(references, tree.New().Set("path", r))
	}
	options := tree.New().
		Put("target", p.Target).
		Put("module", p.Module).
		Put("moduleResolution", p.ModuleResolution).
		Put("lib", p.Lib).
		Put("jsx", p.JSX).
		Set("strict", p.Strict)
	if p.StrictExtras {
		for _, name := range []string{"noUncheckedIndexedAccess", "noImplicitOverride", "noFallthroughCasesInSwitch", "noImplicitReturns"} {
			options.Set(name, true)
		}
	}
	options.Opt("composite", p.Composite).
		Opt("declaration", p.Declaration).
		Opt("sourceMap", p.SourceMap).
		Opt("noEmit", p.NoEmit).
		Opt("allowJs", p.AllowJS).
		Put("rootDir", p.RootDir).
		Put("outDir", p.OutDir).
		Put("paths", paths).
		Put("types", p.Types).
		Set("skipLibCheck", true)
	d.Add(template.File{
		Path: p.File, Format: "jsonc", Schema: "tsconfig",
		Data: tree.New().Put("extends", p.Extends).Set("compilerOptions", options).
			Put("include", p.Include).Put("exclude", p.Exclude).Put("references", references),
		Merge: template.Merge{
			Keep: append(d.KeepDefault(map[string][]string{
				"target": {"compilerOptions", "target"},
				"module": {"compilerOptions", "module"},
				"strict": {"compilerOptions", "strict"},
			}), []string{"compilerOptions", "skipLibCheck"}),
			Union: [][]string{{"include"}, {"exclude"}, {"compilerOptions", "types"}},
			ByKey: []template.ListKey{{Place: []string{"references"}, Key: "path"}},
		},
	})
}

// check looks for options that contradict each other: what the compiler would
// say, before it runs.
func check(p parameters, d *template.Draft) {
	at := func(name string) []string { return []string{"compilerOptions", name} }
	yes := func(b *bool) bool { return b != nil && *b }
	node := strings.HasPrefix(p.Module, "node")
	switch {
	case p.ModuleResolution == "bundler" && (node || p.Module == "commonjs"):
		d.Error(p.File, at("moduleResolution"), "bundler needs module esnext, es2022, es2020 or preserve, got %s", p.Module)
	case p.ModuleResolution == "nodenext" && p.Module != "nodenext", p.ModuleResolution == "node16" && !node:
		d.Error(p.File, at("moduleResolution"), "%s needs the same module, got %s", p.ModuleResolution, p.Module)
	}
	if yes(p.NoEmit) && p.OutDir != "" {
		d.Warn(p.File, at("outDir"), "has no effect with noEmit")
	}
	if yes(p.Composite) && p.Declaration != nil && !*p.Declaration {
		d.Error(p.File, at("declaration"), "must not be false in a composite project")
	}
	if yes(p.NoEmit) && yes(p.Composite) {
		d.Warn(p.File, at("noEmit"), "a composite project that emits nothing cannot be referred to")
	}
	if yes(p.AllowJS) && p.OutDir == "" && !yes(p.NoEmit) {
		d.Error(p.File, at("allowJs"), "needs outDir or noEmit, or the output would overwrite its source")
	}
}
