// Package workflow is the github-workflow-go template: a GitHub Actions
// workflow that tests and lints a Go module.
package workflow

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

// The major versions of the actions that the workflow uses.
const (
	checkout = "actions/checkout@v5"
	setupGo  = "actions/setup-go@v6"
	upload   = "actions/upload-artifact@v4"
	lint     = "golangci/golangci-lint-action@v8"
)

const example = `{
  "go_versions": ["1.26.x", "stable"],
  "os": ["ubuntu-latest", "macos-latest"],
  "env": { "CGO_ENABLED": "1", "DEPLOY_TOKEN": "taken from the repository's secrets" }
}`

// Template describes github-workflow-go.
func Template() template.Template {
	return template.Template{
		Name:        "github-workflow-go",
		Version:     "1.0.0",
		Description: "A GitHub Actions workflow that tests and lints a Go module.",
		Formats:     []string{"yaml"},
		Parameters:  parametersSchema,
		Outputs:     map[string][]byte{"workflow": outputSchema},
		Example:     example,
		Write:       template.Writer(write),
	}
}

type parameters struct {
	File           string                            `json:"file"`
	Name           string                            `json:"name"`
	Branches       []string                          `json:"branches"`
	GoVersions     []string                          `json:"go_versions"`
	OS             []string                          `json:"os"`
	Race           bool                              `json:"race"`
	Lint           bool                              `json:"lint"`
	Coverage       bool                              `json:"coverage"`
	TimeoutMinutes int                               `json:"timeout_minutes"`
	Packages       string                            `json:"packages"`
	Env            template.Ordered[template.Scalar] `json:"env"`
}

func write(p parameters, d *template.Draft) {
	file := ".github/workflows/" + p.File
	jobs := tree.New().Set("test", testJob(p))
	if p.Lint {
		jobs.Set("lint", job(p, "ubuntu-latest", nil,
			tree.New().Set("uses", checkout),
			tree.New().Set("uses", setupGo).Set("with", tree.New().Set("go-version-file", "go.mod")),
			tree.New().Set("uses", lint)))
	}
	data := tree.New().
		Set("name", p.Name).
		Set("on", tree.New().
			Set("push", tree.New().Set("branches", p.Branches)).
			Set("pull_request", nil)).
		Set("permissions", tree.New().Set("contents", "read")).
		Set("concurrency", tree.New().
			Set("group", "${{ github.workflow }}-${{ github.ref }}").
			Set("cancel-in-progress", true)).
		Put("env", env(p, d, file)).
		Set("jobs", jobs)
	d.Add(template.File{Path: file, Format: "yaml", Data: data, Schema: "workflow", Merge: template.Merge{
		// Steps, with actions that are pinned or newer, are the project's own
		// choice.
		Keep: append(d.KeepDefault(map[string][]string{
			"name":            {"name"},
			"branches":        {"on", "push", "branches"},
			"timeout_minutes": {"jobs", "*", "timeout-minutes"},
		}), []string{"on", "pull_request"}, []string{"permissions"}, []string{"concurrency"}, []string{"jobs", "*", "steps"}),
	}})
}

func env(p parameters, d *template.Draft, file string) *tree.Object {
	o := tree.New()
	for _, v := range p.Env {
		value := v.Value.Text
		if template.Secret(v.Key, value) {
			value = "${{ secrets." + v.Key + " }}"
			d.Warn(file, []string{"env", v.Key}, "looks like a secret: it was written as a reference, add %s to the repository's secrets", v.Key)
		}
		o.Set(v.Key, value)
	}
	return o
}

func testJob(p parameters) *tree.Object {
	matrix := tree.New()
	runsOn := p.OS[0]
	if len(p.OS) > 1 {
		matrix.Set("os", p.OS)
		runsOn = "${{ matrix.os }}"
	}
	version := tree.New().Set("go-version-file", "go.mod")
	if len(p.GoVersions) > 0 {
		matrix.Set("go", p.GoVersions)
		version = tree.New().Set("go-version", "${{ matrix.go }}")
	}
	test := "go test"
	if p.Race {
		test += " -race"
	}
	steps := []*tree.Object{
		tree.New().Set("uses", checkout),
		tree.New().Set("uses", setupGo).Set("with", version),
		tree.New().Set("run", "go vet "+p.Packages),
	}
	if !p.Coverage {
		steps = append(steps, tree.New().Set("run", test+" "+p.Packages))
	} else {
		artifact := []string{"coverage"}
		for _, m := range matrix.Members() {
			artifact = append(artifact, "${{ matrix."+m.Key+" }}")
		}
		steps = append(steps,
			tree.New().Set("run", test+" -coverprofile=coverage.out "+p.Packages),
			tree.New().Set("uses", upload).Set("with", tree.New().Set("name", strings.Join(artifact, "-")).Set("path", "coverage.out")))
	}
	return job(p, runsOn, matrix, steps...)
}

func job(p parameters, runsOn string, matrix *tree.Object, steps ...*tree.Object) *tree.Object {
	o := tree.New().Set("runs-on", runsOn).Set("timeout-minutes", p.TimeoutMinutes)
	if matrix.Len() > 0 {
		o.Set("strategy", tree.New().Set("fail-fast", false).Set("matrix", matrix))
	}
	return o.Set("steps", steps)
}
