package isolation

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// The wait status of a process that has exited, and of one that was ended.
func exited(code int) syscall.WaitStatus         { return syscall.WaitStatus(code << 8) }
func ended(by syscall.Signal) syscall.WaitStatus { return syscall.WaitStatus(by) }

func TestAutopsy(t *testing.T) {
	t.Parallel()
	const collector = "SIGSEGV: segmentation violation\nPC=0x433cbd m=3 sigcode=1 addr=0x0\n\ngoroutine 0 gp=0x3be705e80780 m=3\nruntime.(*spanQueue).tryDrain"
	for name, tc := range map[string]struct {
		status  syscall.WaitStatus
		broken  error
		stderr  string
		starved bool
		want    tasks.Reason
		says    string
	}{
		"a panic":                     {exited(2), io.EOF, "noise\npanic: nil map\n\ngoroutine 1", false, tasks.ReasonPanic, "nil map"},
		"a stack overflow":            {exited(2), io.EOF, "runtime: goroutine stack exceeds 67108864-byte limit\nfatal error: stack overflow", false, tasks.ReasonPanic, "stack overflow"},
		"an allocation refused":       {exited(2), io.EOF, "fatal error: runtime: out of memory\n", false, tasks.ReasonOOM, "16 MiB"},
		"a thread refused":            {exited(2), io.EOF, "runtime: cannot allocate memory\nfatal error: x", false, tasks.ReasonOOM, "16 MiB"},
		"no memory for a thread":      {exited(2), io.EOF, "runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT: abort\n", false, tasks.ReasonOOM, "16 MiB"},
		"the collector out of memory": {exited(2), io.EOF, collector, false, tasks.ReasonOOM, "16 MiB"},
		"another fatal error":         {exited(2), io.EOF, "fatal error: all goroutines are asleep - deadlock!\n", false, tasks.ReasonCrash, "deadlock"},
		"an exit with 2":              {exited(2), io.EOF, "", false, tasks.ReasonCrash, "exit code 2"},
		"an exit with 0":              {exited(0), io.EOF, "panic: not really", false, tasks.ReasonCrash, "exit code 0"},
		"a forbidden system call":     {ended(syscall.SIGSYS), io.EOF, "", false, tasks.ReasonCrash, "not allowed"},
		"killed from outside":         {ended(syscall.SIGKILL), io.EOF, "", false, tasks.ReasonCrash, "killed"},
		"killed by a starving kernel": {ended(syscall.SIGKILL), io.EOF, "", true, tasks.ReasonOOM, "machine"},
		"another signal":              {ended(syscall.SIGBUS), io.EOF, "", true, tasks.ReasonCrash, "bus error"},
		"a corrupt frame":             {ended(syscall.SIGKILL), errCorrupt, "", true, tasks.ReasonCrash, "rules"},
		"a boundless frame":           {ended(syscall.SIGKILL), errTooLarge, "", true, tasks.ReasonTooLarge, "1 KiB"},
		"neither exited nor signaled": {syscall.WaitStatus(0x7f), io.EOF, "", false, tasks.ReasonCrash, "unknown"},
	} {
		f := autopsy(tc.status, tc.broken, tc.stderr, Limits{Memory: 16 << 20, Output: 1 << 10}, func() bool { return tc.starved })
		if f.Reason != tc.want || !strings.Contains(f.Message, tc.says) {
			t.Errorf("%s: got %s, %q, want %s and %q", name, f.Reason, f.Message, tc.want, tc.says)
		}
	}
}

// A cause that is a fault is copied: two tasks may end by the same one.
func TestContextFault_copies(t *testing.T) {
	t.Parallel()
	cause := &fault.Error{Verdict: fault.Canceled, Reason: tasks.ReasonCanceled, Message: "m"}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	got := contextFault(ctx, 0)
	_ = got.Because(errors.New("its own"))
	if got == cause || cause.Err != nil || got.Verdict != fault.Canceled || got.Message != "m" {
		t.Errorf("got %+v from %+v, want a copy", got, cause)
	}
}
