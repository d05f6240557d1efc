package configgen

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/jobyard/jobyard/internal/datatest"
	"github.com/jobyard/jobyard/internal/jobs/configgen/schema"
	"github.com/jobyard/jobyard/internal/jobs/configgen/syntax"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
	"github.com/jobyard/jobyard/tasks"
)

// Every package that Expo's own table lists gets the range that it lists.
func TestQuality_ExpoVersionsAreThoseOfTheSDK(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(datatest.Path(t, "sdk", "npm"), "expo-*-bundledNativeModules.json"))
	if err != nil || len(files) == 0 {
		t.Skipf("shared data absent: bundledNativeModules.json: %v", err)
	}
	j, all, equal := newJob(t), 0, 0
	for _, file := range files {
		var table map[string]string
		readJSON(t, file, &table)
		sdk := strings.TrimPrefix(filepath.Base(file), "expo-")[:2]
		var names []string
		for name := range table {
			names = append(names, name)
		}
		raw, err := json.Marshal(names)
		if err != nil {
			t.Fatal(err)
		}
		r, err := j.Handle(t.Context(), tasks.ConfigGenPayload{
			Template: "expo-app", Parameters: json.RawMessage(`{"name":"x","sdk":` + sdk + `,"dependencies":` + string(raw) + `}`),
		})
		if err != nil {
			t.Fatalf("SDK %s: %v", sdk, err)
		}
		all += len(table)
		for name, want := range table {
			if got := r.Resolved[name]; got != want {
				t.Logf("SDK %s, %s: got %q, want %q", sdk, name, got, want)
				continue
			}
			equal++
		}
	}
	datatest.Quality(t, "config_gen_expo_versions", datatest.Share(equal, all), 1)
}

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// The files pass the schemas that editors use for them.
func TestOutputs_pass_published_schemas(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	published := map[string]string{"app.json": "expo-53.0.0.json", "eas.json": "eas.schema.json", "tsconfig.json": "tsconfig.json"}
	schemas := map[string]*schema.Schema{}
	for file, name := range published {
		raw, err := os.ReadFile(datatest.Path(t, "sdk", "config-schemas", name))
		if err != nil {
			t.Fatal(err)
		}
		s, err := schema.Compile(name, raw)
		if err != nil {
			t.Fatal(err)
		}
		schemas[file] = s
	}
	checked := map[string]int{}
	for name, p := range cases(t) {
		r, err := j.Handle(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Files {
			s := schemas[filepath.Base(f.Path)]
			if s == nil || name == "expo-existing" && f.Path == "app.json" { // it has a key of its own
				continue
			}
			syn, _ := syntax.Of(f.Format)
			data, err := syn.Decode(f.Content)
			if err != nil {
				t.Fatal(err)
			}
			checked[filepath.Base(f.Path)]++
			for _, fault := range s.Check(data) {
				t.Errorf("%s: %s %s: %s", name, f.Path, fault.Field, fault.Message)
			}
		}
	}
	for file := range published {
		if checked[file] == 0 {
			t.Errorf("no %s was checked", file)
		}
	}
}

// Real tsconfig files of other people: setting one option must leave the rest
// of the data as they were.
func TestQuality_ExistingFilesKeepTheirData(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(datatest.Path(t, "sdk", "config-schemas", "positive", "tsconfig"), "*.json"))
	if err != nil || len(files) == 0 {
		t.Skipf("shared data absent: %v", err)
	}
	j, kept := newJob(t), 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := j.Handle(t.Context(), tasks.ConfigGenPayload{
			Template: "tsconfig", Parameters: json.RawMessage(`{"out_dir":"zz-out"}`), Existing: map[string]string{"tsconfig.json": string(raw)},
		})
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		syn, _ := syntax.Of("jsonc")
		before, err := syn.Decode(string(raw))
		if err != nil {
			t.Fatal(err)
		}
		after, err := syn.Decode(r.Files[0].Content)
		if err != nil {
			t.Fatal(err)
		}
		options, same := after.(*tree.Object).Object("compilerOptions"), true
		if got, _ := options.Get("outDir"); got != "zz-out" {
			t.Errorf("%s: outDir is %v", filepath.Base(file), got)
		}
		for _, m := range before.(*tree.Object).Object("compilerOptions").Members() {
			if got, _ := options.Get(m.Key); m.Key != "outDir" && !tree.Equal(got, m.Value) {
				t.Logf("%s: %s is %v, was %v", filepath.Base(file), m.Key, got, m.Value)
				same = false
			}
		}
		if same {
			kept++
		}
	}
	datatest.Quality(t, "config_gen_existing_kept", datatest.Share(kept, len(files)), 1)
}

// The schemas are valid JSON Schemas of the draft they name, all of them
// compile, and the examples pass.
func TestSchemas_are_valid(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	meta, err := jsonschema.NewCompiler().Compile(jsonschema.Draft2020.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, tpl := range registry() {
		all := map[string][]byte{"parameters": tpl.Parameters}
		maps.Copy(all, tpl.Outputs)
		for name, raw := range all {
			var doc any
			if err := json.Unmarshal(raw, &doc); err != nil {
				t.Fatalf("%s %s: %v", tpl.Name, name, err)
			}
			if err := meta.Validate(doc); err != nil {
				t.Errorf("%s %s: %v", tpl.Name, name, err)
			}
		}
	}
	for key, compile := range j.schemas {
		if _, err := compile(); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func BenchmarkGenerateSimple(b *testing.B)  { benchmark(b, "prometheus-full") }
func BenchmarkGenerateExpo(b *testing.B)    { benchmark(b, "expo-full") }
func BenchmarkGenerateCompose(b *testing.B) { benchmark(b, "compose-full") }
func BenchmarkEditExpo(b *testing.B)        { benchmark(b, "expo-existing") }

// BenchmarkGenerateCold compiles the schemas each time, as a new process does.
func BenchmarkGenerateCold(b *testing.B) {
	p := cases(b)["expo-full"]
	for b.Loop() {
		if _, err := Generate(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmark(b *testing.B, name string) {
	j, p := newJob(b), cases(b)[name]
	if _, err := j.Handle(b.Context(), p); err != nil { // compiles the schemas
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := j.Handle(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}
