package main

import (
	"os"
	"testing"

	"github.com/jobyard/jobyard/internal/worker"
)

// workerCommand makes the test binary a worker with the arguments behind it.
const workerCommand = "worker"

// The test binary is its own runner, and the worker where a test needs one in a
// process of its own.
func TestMain(m *testing.M) {
	if code, is := worker.ServeRunner(os.Args[1:]); is {
		os.Exit(code)
	}
	if len(os.Args) > 1 && os.Args[1] == workerCommand {
		os.Args = os.Args[1:]
		main()
	}
	os.Exit(m.Run())
}
