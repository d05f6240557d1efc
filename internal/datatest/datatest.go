// Package datatest leads tests and benchmarks to the shared data, which lies
// beside the project and is never copied into it. Where it is absent they skip,
// and say so.
package datatest

import (
	"os"
	"path/filepath"
	"testing"
)

// Absent begins the message of a test that skips because its data are not there.
const Absent = "shared data absent"

// Path returns the path of a file or folder of the shared data: below
// JOBYARD_DATA, or ../shared/data beside the project. It skips the test if it
// is not there.
func Path(tb testing.TB, elem ...string) string {
	tb.Helper()
	root := os.Getenv("JOBYARD_DATA")
	if root == "" {
		root = filepath.Join(Root(tb), "..", "shared", "data")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf(Absent+": %v", filepath.Join(elem...))
	}
	return path
}

// Root returns the project's folder, the one that holds go.mod.
func Root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("no go.mod above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}
