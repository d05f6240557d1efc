package main

import (
	"os"
	"testing"

	"github.com/jobyard/jobyard/internal/worker"
)

// The test binary is its own runner.
func TestMain(m *testing.M) {
	if code, is := worker.ServeRunner(os.Args[1:]); is {
		os.Exit(code)
	}
	os.Exit(m.Run())
}
