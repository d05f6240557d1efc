package reuse

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/jobyard/jobyard/tasks"
)

var update = flag.Bool("update", false, "record what the jobs of today's versions answer")

// recorded is what a version of a job answers: hashes of its golden results.
type recorded struct {
	Version int               `json:"version"`
	Answers map[string]string `json:"answers"`
}

// A job that answers in another way than the version says would be served old
// results. Those of sdk_fetch are kept for an hour, and change by themselves.
func TestRules_versionsSayWhatJobsAnswer(t *testing.T) {
	t.Parallel()
	const file = "testdata/answers.json"
	known := map[string]recorded{}
	raw, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, &known)
	}
	if err != nil && !*update {
		t.Fatal(err)
	}
	now := map[string]recorded{}
	for kind, golden := range map[string]string{
		tasks.DocumentParse.Name(): "../jobs/documentparse/testdata/golden/*.golden.json",
		tasks.ConfigGen.Name():     "../jobs/configgen/testdata/golden/*.txt",
	} {
		was, is := known[kind], recorded{rules[kind].version, answers(t, golden)}
		for name, sum := range was.Answers {
			if is.Version == was.Version && is.Answers[name] != sum && is.Answers[name] != "" {
				t.Errorf("%s answers %s in another way: raise its version in rules.go, then record it with -update", kind, name)
			}
		}
		if !*update && (is.Version != was.Version || len(is.Answers) != len(was.Answers)) {
			t.Errorf("%s: version %d with %d answers is recorded, not %d with %d: record it with -update",
				kind, was.Version, len(was.Answers), is.Version, len(is.Answers))
		}
		now[kind] = is
	}
	if *update && !t.Failed() {
		raw, err := json.MarshalIndent(now, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(raw, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// answers are the hashes of the files by name.
func answers(t *testing.T, pattern string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: got %d files, %v", pattern, len(files), err)
	}
	all := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		all[filepath.Base(f)] = hex.EncodeToString(sum[:8])
	}
	return all
}
