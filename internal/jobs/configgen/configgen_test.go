package configgen

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/tasks"
)

var update = flag.Bool("update", false, "rewrite the golden files and docs/templates.md")

func newJob(tb testing.TB) *Job {
	tb.Helper()
	j, err := New()
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

// payload decodes a case as the doors do.
func payload(tb testing.TB, raw []byte) tasks.ConfigGenPayload {
	tb.Helper()
	p, err := tasks.ConfigGen.Decode(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func cases(tb testing.TB) map[string]tasks.ConfigGenPayload {
	tb.Helper()
	files, err := filepath.Glob("testdata/cases/*.json")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no cases: %v", err)
	}
	out := map[string]tasks.ConfigGenPayload{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(file), ".json")] = payload(tb, raw)
	}
	for _, info := range Templates() {
		out[info.Name+"-example"] = tasks.ConfigGenPayload{Template: info.Name, Parameters: info.Example}
	}
	return out
}

// render shows a whole result as text.
func render(r tasks.ConfigGenResult) string {
	var b strings.Builder
	for _, f := range r.Files {
		fmt.Fprintf(&b, "-- %s (%s, changed %t) --\n%s", f.Path, f.Format, f.Changed, f.Content)
		if !strings.HasSuffix(f.Content, "\n") {
			b.WriteString("<no line break>\n")
		}
	}
	fmt.Fprintf(&b, "-- valid %t --\n", r.Valid)
	for _, d := range r.Diagnostics {
		fmt.Fprintf(&b, "%s %s#%s: %s\n", d.Severity, d.File, d.Path, d.Message)
	}
	if len(r.Resolved) > 0 {
		raw, _ := json.MarshalIndent(r.Resolved, "", "  ")
		fmt.Fprintf(&b, "-- resolved --\n%s\n", raw)
	}
	return b.String()
}

func TestJob_Handle_golden(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	for name, p := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := j.Handle(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			got := render(r)
			if strings.Contains(got, "do-not-print") {
				t.Errorf("a secret was written:\n%s", got)
			}
			golden(t, filepath.Join("testdata", "golden", name+".txt"), got)
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (rewrite with -update); got:\n%s", file, got)
	}
}

func TestJob_Handle_repeatable(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	for name, p := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, err := j.Handle(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			want := render(first)
			runs := 20
			if strings.HasSuffix(name, "-full") {
				runs = sweep
			}
			for range runs {
				again, err := j.Handle(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				if got := render(again); got != want {
					t.Fatalf("other bytes:\n%s\nfirst:\n%s", got, want)
				}
			}
		})
	}
}

// What was generated is up to date: handing it back as existing files changes
// nothing, so check says valid.
func TestJob_Handle_settles(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	for name, p := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.Check = false
			first, err := j.Handle(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			p.Existing, p.Check = map[string]string{}, true
			for _, f := range first.Files {
				p.Existing[f.Path] = f.Content
			}
			second, err := j.Handle(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			for i, f := range second.Files {
				if f.Changed {
					t.Errorf("%s changed again:\n%s\nwas:\n%s", f.Path, f.Content, first.Files[i].Content)
				}
			}
			if second.Valid != first.Valid {
				t.Errorf("valid: got %t, want %t; %v", second.Valid, first.Valid, second.Diagnostics)
			}
		})
	}
}
