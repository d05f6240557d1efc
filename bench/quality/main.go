// Command quality runs the tests that hold results against ground truths (those
// named TestQuality_*), prints what they measured, and writes it as
// [{name, value, gate, ok}]: values are shares or mean scores from 0 to 1, a
// gate is what a value must reach at least.
//
// The truths lie in the folder that JOBYARD_DATA names (an absolute path, as each
// package's tests run in its own folder), by default ../shared/data beside the
// project; what is absent there is skipped, and said.
// It ends with 1 if a measure is below its gate or a test failed otherwise.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/jobyard/jobyard/internal/datatest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "quality:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("quality", flag.ContinueOnError)
	out := f.String("out", "bench/quality.json", "the `file` for the measures")
	tests := f.String("run", "^TestQuality_", "the tests whose name matches this `regexp`")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("takes no arguments, got %q", f.Args())
	}
	found, failed := measure(ctx, *tests)
	if len(found.measures) == 0 && failed != nil {
		return failed
	}
	if err := found.print(os.Stdout); err != nil {
		return err
	}
	return errors.Join(failed, found.write(*out))
}

// measure runs the tests. A test that failed is an error beside what was found.
func measure(ctx context.Context, tests string) (findings, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-timeout=30m", "-run="+tests, "./internal/jobs/...")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return findings{}, fmt.Errorf("run go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return findings{}, fmt.Errorf("run go test: %w", err)
	}
	found, err := read(events, os.Stderr)
	if waited := cmd.Wait(); waited != nil {
		err = errors.Join(err, fmt.Errorf("go test: %w", waited))
	}
	return found, err
}

// findings are what the tests noted.
type findings struct {
	measures []datatest.Measure
	skipped  []string // why
	failed   []string // names of tests
}

// read collects what the events of go test -json say, and tells progress a
// package at a time.
func read(events io.Reader, progress io.Writer) (findings, error) {
	var found findings
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Package, Test, Output, Key, Value string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return found, fmt.Errorf("read an event of go test: %w", err)
		}
		switch {
		case e.Action == "attr" && e.Key == datatest.QualityKey:
			var m datatest.Measure
			if err := json.Unmarshal([]byte(e.Value), &m); err != nil {
				return found, fmt.Errorf("read a measure of %s: %w", e.Test, err)
			}
			found.measures = append(found.measures, m)
		case e.Action == "output":
			if _, why, ok := strings.Cut(e.Output, datatest.Absent); ok {
				found.skipped = append(found.skipped, e.Test+": "+datatest.Absent+strings.TrimRight(why, "\n"))
			}
		case e.Test == "" && (e.Action == "pass" || e.Action == "fail"):
			fmt.Fprintln(progress, e.Action, e.Package)
		case e.Action == "fail" && !strings.Contains(e.Test, "/"):
			found.failed = append(found.failed, e.Test)
		}
	}
	slices.SortFunc(found.measures, func(a, b datatest.Measure) int { return strings.Compare(a.Name, b.Name) })
	return found, lines.Err()
}

func (f findings) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\nmeasure\tvalue\tgate\t\t")
	for _, m := range f.measures {
		verdict := "ok"
		if !m.OK {
			verdict = "BELOW"
		}
		fmt.Fprintf(t, "%s\t%.4f\t%.4f\t%s\t\n", m.Name, m.Value, m.Gate, verdict)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the measures: %w", err)
	}
	for _, s := range f.skipped {
		fmt.Fprintln(w, "skipped:", s)
	}
	for _, name := range f.failed {
		fmt.Fprintln(w, "failed:", name)
	}
	return nil
}

// write keeps the measures, one a line.
func (f findings) write(path string) error {
	rows := make([]string, 0, len(f.measures))
	for _, m := range f.measures {
		raw, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("encode %s: %w", m.Name, err)
		}
		rows = append(rows, "  "+string(raw))
	}
	if err := os.WriteFile(path, []byte("[\n"+strings.Join(rows, ",\n")+"\n]\n"), 0o644); err != nil {
		return fmt.Errorf("write the measures: %w", err)
	}
	return nil
}
