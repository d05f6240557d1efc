package isolation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// DeathError is the cause in the fault of a task that was stopped, took too much,
// panicked or died with its runner: what it had used, how it ended and the
// beginning of what it wrote.
type DeathError struct {
	PeakMemory int64
	CPU        time.Duration
	Exit       string
	Stderr     string
}

// Error says it all, for the log.
func (d *DeathError) Error() string {
	s := fmt.Sprintf("runner ended with %s; peak memory %s, CPU %.2f s", d.Exit, size(d.PeakMemory), d.CPU.Seconds())
	if d.Stderr != "" {
		s += "; stderr: " + d.Stderr
	}
	return s
}

// Brief says what the task had used and the first that its runner wrote, for
// people.
func (d *DeathError) Brief() string {
	s := fmt.Sprintf("peak memory %s, CPU %.2f s", size(d.PeakMemory), d.CPU.Seconds())
	if first := strings.TrimSpace(d.Stderr); first != "" {
		s += "; stderr: " + fault.Clean(first, 300)
	}
	return s
}

func timeoutFault(wall time.Duration) *fault.Error {
	return fault.RetryableError(tasks.ReasonTimeout, "the task ran over its time limit of %s; give it less to do or more time", round(wall))
}

func cpuFault(cpu time.Duration) *fault.Error {
	return fault.RetryableError(tasks.ReasonCPU, "the task used more than its %s of processor time; give it less to do", round(cpu))
}

// ErrCeiling is in the causes of a task that ran into its own memory ceiling,
// other than one that was given up because the node ran short.
var ErrCeiling = errors.New("over the memory ceiling")

func memoryFault(memory int64) *fault.Error {
	return fault.RetryableError(tasks.ReasonOOM, "the task needed more than its %s of memory; give it less to do", size(memory)).Because(ErrCeiling)
}

func outputFault(output int64) *fault.Error {
	return fault.PermanentError(tasks.ReasonTooLarge, "the result has more than the %s that are kept; ask for less", size(output))
}

func panicFault(what string) *fault.Error {
	return fault.RetryableError(tasks.ReasonPanic, "the job panicked: %s", fault.Clean(what, 200))
}

func crashFault(what string) *fault.Error {
	return fault.RetryableError(tasks.ReasonCrash, "the process of the task died: %s", what)
}

func closedFault() *fault.Error {
	return fault.RetryableError(tasks.ReasonInterrupted, "the worker shut down")
}

// contextFault is why a context has ended. A cause that is a fault speaks for
// itself.
func contextFault(ctx context.Context, wall time.Duration) *fault.Error {
	cause := context.Cause(ctx)
	var f *fault.Error
	switch {
	case errors.As(cause, &f):
		return &fault.Error{Verdict: f.Verdict, Reason: f.Reason, Message: f.Message, Err: f.Err}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return timeoutFault(wall)
	}
	return fault.RetryableError(tasks.ReasonInterrupted, "the attempt was interrupted").Because(cause)
}

// round makes a duration readable without hiding a short one.
func round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

// autopsy is what the end of a child says about its task, if nobody has given a
// verdict before.
func autopsy(status syscall.WaitStatus, broken error, stderr string, l Limits, starved func() bool) *fault.Error {
	switch {
	case errors.Is(broken, errTooLarge):
		return outputFault(int64(l.Output))
	case errors.Is(broken, errCorrupt):
		return crashFault("it broke the rules of its channel").Because(broken)
	case status.Exited():
		return obituary(status.ExitStatus(), stderr, l)
	case status.Signaled() && status.Signal() == syscall.SIGSYS:
		return crashFault("it made a system call that is not allowed")
	case status.Signaled() && status.Signal() == syscall.SIGKILL && starved():
		return fault.RetryableError(tasks.ReasonOOM, "the machine ran out of memory and ended the task")
	case errors.Is(broken, io.EOF) && status.Signaled() && status.Signal() == syscall.SIGKILL:
		return crashFault("it was killed or closed its channel")
	case status.Signaled():
		return crashFault(status.Signal().String())
	}
	return crashFault("for an unknown reason")
}

// obituary reads the last words of a Go program. They come from the task's own
// process: a lie in them mislabels its own failure and nothing else.
func obituary(code int, stderr string, l Limits) *fault.Error {
	const goDies = 2 // the exit code of a panic and of a fatal error
	if code != goDies {
		return crashFault(fmt.Sprintf("exit code %d without a result", code))
	}
	// A nil pointer in the job is a panic. One in the runtime itself is memory
	// that its collector did not get and did not check for (Go 1.26, spanQueue).
	if strings.Contains(stderr, "SIGSEGV: segmentation violation\n") && strings.Contains(stderr, " addr=0x0\n") &&
		strings.Contains(stderr, "\ngoroutine 0 ") {
		return memoryFault(l.Memory)
	}
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		switch {
		case strings.Contains(line, "out of memory"), strings.Contains(line, "cannot allocate memory"),
			// Where the C library makes threads: there was no memory for a stack.
			strings.Contains(line, "pthread_create failed: Resource temporarily unavailable"):
			return memoryFault(l.Memory)
		case strings.Contains(line, "stack overflow"), strings.Contains(line, "goroutine stack exceeds"):
			return panicFault("stack overflow")
		case strings.HasPrefix(line, "panic: "):
			return panicFault(strings.TrimPrefix(line, "panic: "))
		case strings.HasPrefix(line, "fatal error: "):
			return crashFault(fault.Clean(strings.TrimPrefix(line, "fatal error: "), 200))
		}
	}
	return crashFault(fmt.Sprintf("exit code %d without a result", code))
}
