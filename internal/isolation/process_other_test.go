//go:build !linux

package isolation

import (
	"context"
	"os"
	"syscall"
	"testing"
)

// sleepInKernel blocks its thread in a system call.
func sleepInKernel() { syscall.Select(0, nil, nil, nil, &syscall.Timeval{Sec: 3600}) }

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		t.Fatal(err)
	}
}

// children are not counted here.
func children() int { return 0 }

func describe(context.Context, echo) (int, error) { return os.Getpid(), nil }

func platformJobs() Table { return nil }

func orphanage() int { return 1 }

func second[T any](_ T, err error) error { return err }
