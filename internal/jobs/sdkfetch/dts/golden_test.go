package dts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/datatest"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/archive"
)

// golden is what TypeScript's checker says a package exports.
type golden struct {
	Version string
	Types   string
	Exports []struct {
		Name  string
		Kinds []string
		Doc   string
	}
}

func load(tb testing.TB, tarball string) Package {
	tb.Helper()
	raw, err := os.ReadFile(tarball)
	if err != nil {
		tb.Fatal(err)
	}
	keep := func(p string, _ int64) bool { return IsDeclaration(p) || p == "package.json" }
	c, err := archive.ReadTarball(tb.Context(), raw, archive.DefaultLimits(), keep)
	if err != nil {
		tb.Fatal(err)
	}
	return Package{Manifest: c.Kept["package.json"], Files: c.Kept, MaxSymbols: 10_000}
}

// goldenKinds says our kinds in the golden list's words. An alias is a name of
// another package, whose kind we cannot know.
func goldenKinds(s []Symbol) []string {
	var out []string
	for _, s := range s {
		k := map[string]string{"func": "function", "const": "variable", "var": "variable"}[s.Kind]
		if k == "" {
			k = s.Kind
		}
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// TestQuality_AgreesWithTypeScript measures recall and precision of names, and how
// many kinds and docs agree, on every tarball of the data that has a golden list.
func TestQuality_AgreesWithTypeScript(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(datatest.Path(t, "sdk", "npm", "api-golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var lists map[string]golden
	if err := json.Unmarshal(raw, &lists); err != nil {
		t.Fatal(err)
	}
	dir := datatest.Path(t, "sdk", "npm", "tarballs")
	names, hit, extra, kinds, docs, docsWanted := 0, 0, 0, 0, 0, 0
	for name, g := range lists {
		file := filepath.Join(dir, strings.NewReplacer("@", "", "/", "-").Replace(name)+"-"+g.Version+".tgz")
		if _, err := os.Stat(file); err != nil {
			continue
		}
		p := load(t, file)
		p.Name = name
		res, err := Scan(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if res.Entry != g.Types {
			t.Logf("%s: entry: got %q, the list took %q", name, res.Entry, g.Types)
		}
		got := map[string][]Symbol{}
		for _, s := range res.Symbols {
			got[s.Name] = append(got[s.Name], s)
		}
		delete(got, "export =") // our name for what require returns; the list has none
		for _, e := range g.Exports {
			names++
			s, ok := got[e.Name]
			if !ok {
				t.Logf("%s: missed %s %v", name, e.Name, e.Kinds)
				continue
			}
			hit++
			delete(got, e.Name)
			if k := goldenKinds(s); slices.Equal(k, e.Kinds) {
				kinds++
			} else {
				t.Logf("%s: %s: kinds: got %v, want %v", name, e.Name, k, e.Kinds)
			}
			if e.Doc != "" {
				docsWanted++
				if strings.HasPrefix(s[0].Doc, e.Doc) || strings.HasPrefix(s[len(s)-1].Doc, e.Doc) {
					docs++
				} else {
					t.Logf("%s: %s: doc: got %q, want %q", name, e.Name, s[0].Doc, e.Doc)
				}
			}
		}
		for n := range got {
			t.Logf("%s: extra %s", name, n)
		}
		extra += len(got)
		t.Logf("%s: %d names, foreign %v, missing %v", name, len(g.Exports), res.Foreign, res.Missing)
	}
	if names == 0 {
		t.Skip("no tarball of the data has a golden list")
	}
	recall, precision := datatest.Share(hit, names), datatest.Share(hit, hit+extra)
	t.Logf("names: recall %d/%d = %.3f, precision %.3f; kinds %d/%d; docs %d/%d", hit, names, recall, precision, kinds, hit, docs, docsWanted)
	datatest.Quality(t, "sdk_fetch_npm_api_recall", recall, 0.98)
	datatest.Quality(t, "sdk_fetch_npm_api_precision", precision, 0.99)
	datatest.Quality(t, "sdk_fetch_npm_api_kinds", datatest.Share(kinds, hit), 0.98)
	datatest.Quality(t, "sdk_fetch_npm_api_docs", datatest.Share(docs, docsWanted), 0.95)
}
