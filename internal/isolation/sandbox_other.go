//go:build !linux

package isolation

import "runtime"

// lock has no locks to offer here: a runner is a process of its own with
// limits, and no more.
func lock() Report {
	return Report{
		Level:   Partial,
		Open:    []string{"open files", "connect", "run programs"},
		Missing: []string{"Landlock and seccomp: not on " + runtime.GOOS},
	}
}
