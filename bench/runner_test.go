package main

import (
	"os"
	"regexp"
	"testing"
)

// The test binary is its own runner.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == runnerCommand {
		os.Exit(serveRunner())
	}
	os.Exit(m.Run())
}

// Every row once, with a handful of calls.
func TestRunnerTrial(t *testing.T) {
	t.Parallel()
	got, err := measure(t.Context(), []trial{runnerTrial(counts{trips: 10})}, settings{rounds: 1, rows: regexp.MustCompile("^runner_")})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 6 {
		t.Errorf("got %d rows, want 6", len(got))
	}
	for _, m := range got {
		if !(m.ours[0] > 0) || !(m.base[0] > 0) {
			t.Errorf("row %s: got %v and %v", m.name, m.ours, m.base)
		}
	}
}
