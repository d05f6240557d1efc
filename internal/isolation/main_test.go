package isolation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/tasks"
)

// TestMain makes the test binary its own runner, as the worker's is: the word
// is in its arguments, since its environment is empty.
func TestMain(m *testing.M) {
	args := os.Args[1:]
	if len(args) == 0 {
		os.Exit(m.Run())
	}
	switch args[0] {
	case "runner":
		os.Exit(Serve(testTable()))
	case "hang":
		time.Sleep(time.Hour) //nolint:forbidigo // that is what it does
	case "unlocked": // reports what a kernel without locks would
		os.Exit(unlocked())
	case "moody": // hangs at its start while there is a file
		if _, err := os.Stat(filepath.Join(args[1], "hang")); err == nil {
			time.Sleep(time.Hour) //nolint:forbidigo // that is what it does
		}
		os.Exit(Serve(testTable()))
	case "parent": // has children, says so, and waits to be killed
		os.Exit(orphanage())
	}
	os.Exit(m.Run())
}

type echo struct{ Text string }

func testTable() Table {
	t := Table{
		"echo":     Handle(func(_ context.Context, in echo) (echo, error) { return in, nil }),
		"raw":      HandleBytes(func(_ context.Context, b []byte) ([]byte, error) { return b, nil }),
		"pid":      Handle(func(context.Context, echo) (int, error) { return os.Getpid(), nil }),
		"work":     Handle(work),
		"stint":    Handle(stint),
		"fail":     Handle(fail),
		"polite":   Handle(polite),
		"long":     Handle(func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil }),
		"keep":     Handle(keep),
		"describe": Handle(describe),
		"tell":     Handle(tell),
		"stepped":  Handle(stepped),
	}
	for name, job := range offenders() {
		t[name] = Handle(job)
	}
	maps.Copy(t, platformJobs())
	return t
}

// work computes for a while and says in which process.
func work(ctx context.Context, d time.Duration) (int, error) {
	end := time.Now().Add(d)
	for sum := 0; time.Now().Before(end); sum++ {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	return os.Getpid(), nil
}

// stint computes for a tenth of the time and waits for the rest.
func stint(ctx context.Context, d time.Duration) (int, error) {
	end := time.NewTimer(d)
	defer end.Stop()
	if _, err := work(ctx, d/10); err != nil {
		return 0, err
	}
	select {
	case <-end.C:
		return os.Getpid(), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// polite ends with its context.
func polite(ctx context.Context, _ echo) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// tell reports and then waits for its end.
func tell(ctx context.Context, in echo) (echo, error) {
	progress.Report(ctx, tasks.Progress{Done: 1, Total: 4, Message: in.Text})
	<-ctx.Done()
	return in, ctx.Err()
}

// fail returns the error that it is asked for.
func fail(_ context.Context, in echo) (echo, error) {
	switch in.Text {
	case "invalid":
		return in, fmt.Errorf("check: %w", &tasks.InvalidError{Fields: []tasks.FieldError{{Path: "source.text", Message: "must be set"}}})
	case "fault":
		return in, fault.PermanentError(tasks.ReasonRejected, "no").Because(errors.New("the cause"))
	case "interrupted":
		return in, context.Canceled
	case "panic":
		panic("in the job")
	}
	return in, errors.New(in.Text)
}

var kept [][]byte // lives as long as the runner

// keep leaks that many bytes.
func keep(_ context.Context, n int) (int, error) {
	b := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	kept = append(kept, b)
	return len(kept), nil
}

// testConfig is a pool that runs this binary, with limits that make tests short.
func testConfig() Config {
	c := DefaultConfig("test")
	c.Sandbox = Auto
	c.Limits.Wall, c.Limits.CPU = 20*time.Second, 20*time.Second
	c.StartTimeout = 20 * time.Second // a machine may be busy
	return c
}

// unlocked is a runner that could not be locked in.
func unlocked() int {
	conn, err := channel()
	if err != nil {
		return 1
	}
	if _, err := readFrame(conn, maxFault); err != nil {
		return 1
	}
	if writeFrame(conn, frameReady, []byte(`{"level":"partial","open":["connect"]}`)) != nil {
		return 1
	}
	_, _ = readFrame(conn, maxFault) // until the parent ends it
	return 0
}

// newPool starts a pool that is closed, and leaves nothing behind, at the end.
func newPool(tb testing.TB, c Config) *Pool {
	tb.Helper()
	p, err := New(c, zerolog.Nop(), nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closePool(tb, p) })
	return p
}

func closePool(tb testing.TB, p *Pool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	runners := p.Runners()
	if err := p.Close(ctx); err != nil {
		tb.Error(err)
	}
	for _, r := range runners {
		if alive(r.PID) {
			tb.Errorf("runner %d outlived its pool", r.PID)
		}
	}
}

// eventually waits until the condition holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) { //nolint:forbidigo // polls with a deadline
		if time.Now().After(end) {
			tb.Fatalf("never %s", what)
		}
	}
}

// reasonOf fails the test unless err is a fault.
func reasonOf(tb testing.TB, err error) tasks.Reason {
	tb.Helper()
	if err == nil {
		tb.Fatal("got no error, want a fault")
	}
	return fault.Of(err).Reason
}

// start runs a call beside the test.
func start(ctx context.Context, p *Pool, call Call) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := p.Do(ctx, call)
		ended <- err
	}()
	return ended
}

// atWork waits until a runner works, and says which.
func atWork(tb testing.TB, p *Pool) (pid int) {
	tb.Helper()
	eventually(tb, "at work", func() bool {
		for _, r := range p.Runners() {
			if r.State == "busy" {
				pid = r.PID
			}
		}
		return pid != 0
	})
	return pid
}
