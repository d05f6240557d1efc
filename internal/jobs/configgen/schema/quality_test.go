package schema_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/datatest"
	"github.com/jobyard/jobyard/internal/jobs/configgen/schema"
	"github.com/jobyard/jobyard/internal/jobs/configgen/syntax"
)

// TestQuality_PublishedSchemas checks files that a public collection of schemas
// has for its own tests: those that are right must pass, those that are wrong
// must not.
func TestQuality_PublishedSchemas(t *testing.T) {
	t.Parallel()
	root := datatest.Path(t, "sdk", "schemastore")
	files, err := filepath.Glob(filepath.Join(root, "schemas", "json", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var good, accepted, bad, refused, compiled int
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		s, err := schema.Compile(name, raw)
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		compiled++
		n, as := judged(t, s, filepath.Join(root, "test", name), true)
		good, accepted = good+n, accepted+as
		n, as = judged(t, s, filepath.Join(root, "negative_test", name), false)
		bad, refused = bad+n, refused+as
	}
	t.Logf("%d of %d schemas compiled; %d of %d right files accepted, %d of %d wrong ones refused", compiled, len(files), accepted, good, refused, bad)
	datatest.Quality(t, "config_gen_schemas_compiled", datatest.Share(compiled, len(files)), 0.9)
	datatest.Quality(t, "config_gen_schema_accepts", datatest.Share(accepted, good), 0.99)
	datatest.Quality(t, "config_gen_schema_refuses", datatest.Share(refused, bad), 0.99)
}

// judged counts the files of a folder, and those that are judged as wanted.
func judged(t *testing.T, s *schema.Schema, dir string, want bool) (files, asWanted int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // no examples of this sort
		}
		if err != nil || d.IsDir() {
			return err
		}
		formats := map[string]string{".json": "jsonc", ".yml": "yaml", ".yaml": "yaml", ".toml": "toml"}
		syn, known := syntax.Of(formats[filepath.Ext(path)])
		if !known {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		value, err := syn.Decode(string(raw))
		if err == nil && (len(s.Check(value)) == 0) == want {
			asWanted++
			return nil
		}
		t.Logf("%s: want it accepted: %v; %v", filepath.Base(path), want, err)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, asWanted
}
