package deployments_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// TestDockerignore_LeavesWhatTheBuildNeeds asks Docker's own matcher for every
// file that the image's build reads, embedded ones included.
func TestDockerignore_LeavesWhatTheBuildNeeds(t *testing.T) {
	t.Parallel()
	patterns, err := ignorefile.ReadAll(bytes.NewReader(read(t, "..", ".dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	files := append(sources(t, root), "go.mod", "go.sum", "Makefile", "tools/go.sum")
	if len(files) < 300 {
		t.Fatalf("got only %d files", len(files))
	}
	for _, f := range files {
		if is, err := ignored.MatchesOrParentMatches(f); is || err != nil {
			t.Errorf("the build needs %s, .dockerignore keeps it out (%v)", f, err)
		}
	}
	for _, f := range []string{".env", ".git/config", "deployments/secrets/redis_password", "docs/http.md", "internal/worker/testdata/x"} {
		if is, err := ignored.MatchesOrParentMatches(f); !is || err != nil {
			t.Errorf("%s would be sent to the build (%v)", f, err)
		}
	}
}

// sources are the files that the programs are made of, below root.
func sources(t *testing.T, root string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=Dir,GoFiles,EmbedFiles,Standard", "./cmd/...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir                 string
			GoFiles, EmbedFiles []string
			Standard            bool
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Standard || !strings.HasPrefix(p.Dir, root+string(filepath.Separator)) {
			continue
		}
		dir, err := filepath.Rel(root, p.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range append(p.GoFiles, p.EmbedFiles...) {
			files = append(files, filepath.Join(dir, f))
		}
	}
}
