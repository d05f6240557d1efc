package worker

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
)

// maxStacks bounds the goroutines' stacks in a dump.
const maxStacks = 1 << 20

// Dump writes what runs, for people: the node, its tasks and runners, and the
// stacks of its goroutines, to about 1 MiB of them. It has no payloads in it.
// While the stacks are read, which takes milliseconds, nothing else runs.
func (w *Worker) Dump(out io.Writer) error {
	n := w.Node()
	t, b := new(strings.Builder), n.Budget
	fmt.Fprintf(t, "node %s\t%s, pid %d, version %s, up %s\n", n.ID, n.State, n.PID, n.Version, n.SeenAt.Sub(n.StartedAt).Round(time.Second))
	fmt.Fprintf(t, "memory\t%s: %d of %d MiB in use, %d reserved, %d left; %d tasks wait for it\n", b.Memory, b.Used>>20, n.MemoryLimit>>20, b.Reserved>>20, b.Room>>20, b.Waiting)
	fmt.Fprintf(t, "process\t%d MiB resident with its runners, %d MiB live heap, %d goroutines, %d threads, %d files\n", n.RSS>>20, n.HeapLive>>20, n.Goroutines, n.Threads, n.OpenFiles)
	fmt.Fprintf(t, "processors\t%.0f %% of the node, slots rest %.0f %%, load %.2f, collector %.1f %%, pauses %.2f ms\n", 100*b.CPU, 100*b.Rest, n.Load, 100*n.GCShare, n.PauseP99)
	fmt.Fprintf(t, "sandbox\t%s\n", n.Isolation)
	for _, l := range n.Leaks {
		if l.Suspected {
			fmt.Fprintf(t, "leak\t%s: %.0f KiB a minute since %s\n", l.Kind, l.PerMinute/1024, l.Since.Format(time.DateTime))
		}
	}
	w.dumpRunning(t, n)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, err := io.WriteString(table, t.String())
	if err := errors.Join(err, table.Flush()); err != nil {
		return fmt.Errorf("write the dump: %w", err)
	}
	return dumpStacks(out)
}

func (w *Worker) dumpRunning(out *strings.Builder, n broker.Node) {
	fmt.Fprint(out, "\ntask\tkind\trunning for\n")
	for _, l := range w.lanes {
		running := l.roster.list()
		slices.SortFunc(running, func(a, b present) int { return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.id, b.id)) })
		for _, r := range running {
			fmt.Fprintf(out, "%s\t%s\t%s\n", r.id, r.kind, n.SeenAt.Sub(r.since).Round(time.Millisecond))
		}
	}
	fmt.Fprint(out, "\nrunner\tkind\tstate\ttask\tMiB\tage\ttasks done\n")
	for _, r := range n.Runners {
		fmt.Fprintf(out, "%d\t%s\t%s\t%s\t%d\t%s\t%d\n", r.PID, r.Kind, r.State, cmp.Or(r.Task, "-"), r.RSS>>20, time.Duration(r.AgeSeconds)*time.Second, r.Done)
	}
}

// dumpStacks writes the stacks. A binary that was built to find them names the
// goroutines that nothing can wake any more.
func dumpStacks(out io.Writer) error {
	stacks := make([]byte, maxStacks)
	stacks = stacks[:runtime.Stack(stacks, true)]
	_, err := fmt.Fprintf(out, "\n%s\n", stacks)
	if err == nil && len(stacks) == maxStacks {
		_, err = fmt.Fprintln(out, "(and more)")
	}
	if leaked := pprof.Lookup("goroutineleak"); leaked != nil {
		_, err2 := fmt.Fprintf(out, "\nleaked goroutines: %d\n", leaked.Count())
		err = errors.Join(err, err2, leaked.WriteTo(out, 1))
	}
	if err != nil {
		return fmt.Errorf("write the dump: %w", err)
	}
	return nil
}
