package worker

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/memwatch"
	"github.com/jobyard/jobyard/tasks"
)

const mib = 1 << 20

// Tasks are admitted as far as the node's memory lasts; the others stay in Redis,
// where another node may take them.
func TestWorker_admitsWhatFits(t *testing.T) {
	t.Parallel()
	y, load := oddYard(t, 4, 350*mib, 400*mib) // one of 350 more, not two
	ctx := patience(t)
	var ids []string
	for i := range 4 {
		task, err := y.client.Enqueue(ctx, request(fmt.Sprint("block ", i), tasks.WithTimeout(15*time.Second)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, task.ID)
	}
	states := func() (active, pending int) {
		for _, id := range ids {
			task, err := y.client.Status(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			switch task.State {
			case tasks.Active:
				active++
			case tasks.Pending:
				pending++
			}
		}
		return active, pending
	}
	most, waiting := 0, 0
	brokertest.Until(t, "one at work, three in Redis", func() bool {
		waiting = max(waiting, y.worker.Node().Budget.Waiting)
		busy := 0
		for _, r := range y.worker.Node().Runners {
			if r.State == "busy" {
				busy++
			}
		}
		most = max(most, busy)
		active, pending := states()
		return active == 1 && pending == 3 && y.worker.Node().Budget.Reserved > 0
	})
	if most > 1 || waiting > 0 {
		t.Errorf("got %d tasks at work at once and %d that waited here, want 1 and none", most, waiting)
	}
	if b := y.worker.Node().Budget; b.Expected["search"] != 350*mib {
		t.Errorf("got %+v, want a ceiling reserved", b)
	}
	load.Store(&memwatch.Load{Used: 50 * mib}) // somebody has given memory back
	brokertest.Until(t, "two at work", func() bool { active, _ := states(); return active == 2 })
	for _, id := range ids {
		if _, err := y.client.Cancel(ctx, id); err != nil {
			t.Error(err)
		}
	}
}

// A node that is nearly out of memory gives its largest runner up.
func TestWorker_largestRunnerGoesFirst(t *testing.T) {
	t.Parallel()
	y, load := oddYard(t, 1, 256*mib, 100*mib)
	task, err := y.client.Enqueue(patience(t), request("block 60", tasks.WithMaxRetry(0)))
	if err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "at work", func() bool {
		for _, r := range y.worker.Node().Runners {
			if r.Task == task.ID && r.RSS > 60*mib {
				return true
			}
		}
		return false
	})
	load.Store(&memwatch.Load{Used: 960 * mib})
	got, err := y.client.Wait(patience(t), task.ID)
	if err != nil || got.Error == nil || got.Error.Reason != tasks.ReasonOOM || !strings.Contains(got.Error.Message, "node ran short") {
		t.Errorf("got %+v, %v, want it given up for the node", got, err)
	}
	if s := y.worker.Node().Budget.Memory; s != "critical" {
		t.Errorf("got state %q, want critical", s)
	}
}

// Busy processors slow the handing out of slots down, and say so; when they are
// calm again, that ends.
func TestWorker_throttledByProcessors(t *testing.T) {
	t.Parallel()
	var busy atomic.Bool
	busy.Store(true)
	y := startRegistry(t, &Registry{Jobs: searching(func(context.Context, string) (string, error) {
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // a slot rests for as long as its task took, and more
		return "", nil
	})}, 1, func(w *Worker) {
		cfg := memwatch.DefaultBudget(0, nil)
		cfg.CPUWindow, cfg.Poll = time.Second, 20*time.Millisecond
		var err error
		w.budget, err = memwatch.NewBudget(cfg, func() memwatch.Load {
			if busy.Load() {
				return memwatch.Load{CPU: 1}
			}
			return memwatch.Load{CPU: 0.1}
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	brokertest.Until(t, "throttled", func() bool { return y.worker.Node().Budget.Rest > 0.5 })
	if cpu := y.worker.Node().Budget.CPU; cpu < 0.8 {
		t.Errorf("got %.2f of the processors in use", cpu)
	}
	rested := false
	for !rested { // the slot is taken, and nothing runs
		if got := endOf(t, y, "x"); got.State != tasks.Completed {
			t.Fatalf("got %+v", got)
		}
		l := y.worker.lanes[0]
		rested = len(l.slots) == 1 && len(l.roster.list()) == 0
	}
	busy.Store(false)
	brokertest.Until(t, "calm", func() bool { return y.worker.Node().Budget.Rest == 0 })
}

func TestWorker_drainLeavesNoProcess(t *testing.T) {
	t.Parallel()
	y, _ := oddYard(t, 2, 64*mib, 100*mib, func(c *Config) { c.DrainTimeout = 50 * time.Millisecond })
	ctx := patience(t)
	var ids []string
	for i := range 2 {
		task, err := y.client.Enqueue(ctx, request(fmt.Sprint("block ", i), tasks.WithMaxRetry(0)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, task.ID)
	}
	var pids []int
	brokertest.Until(t, "both at work", func() bool {
		busy := 0
		pids = nil
		for _, r := range y.worker.Node().Runners {
			pids = append(pids, r.PID)
			if r.State == "busy" {
				busy++
			}
		}
		return busy == 2
	})
	y.stop()
	if err := y.worker.runners.Close(); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			t.Errorf("runner %d is left", pid)
		}
	}
	for _, id := range ids {
		if got, err := y.client.Status(ctx, id); err != nil || got.State != tasks.Pending || got.Attempts != 0 {
			t.Errorf("got %+v, %v, want it handed back uncounted", got, err)
		}
	}
}

func TestWorker_reportsItsResources(t *testing.T) {
	t.Parallel()
	y, _ := oddYard(t, 1, 64*mib, 100*mib, func(c *Config) { c.DrainTimeout = 50 * time.Millisecond })
	task, err := y.client.Enqueue(patience(t), request("block"))
	if err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "at work", func() bool {
		n := y.worker.Node()
		return len(n.Runners) > 0 && n.Runners[0].Task == task.ID
	})
	n := y.worker.Node()
	r := n.Runners[0]
	if n.Threads < 2 || n.Load < 0 || n.RSS <= r.RSS || n.MemoryLimit != 1000*mib || n.OpenFiles < 3 || n.GCShare < 0 || n.PauseP99 < 0 {
		t.Errorf("got %+v, want figures", n)
	}
	if r.Kind != "search" || r.RSS <= 0 || r.PID <= 0 || n.Kinds["search"].Sandbox != n.Isolation {
		t.Errorf("got runner %+v of a node with isolation %s and kinds %+v", r, n.Isolation, n.Kinds)
	}
	if n.Budget.Memory != "ok" || n.Budget.Used != 100*mib {
		t.Errorf("got %+v", n.Budget)
	}
	about := fmt.Sprint(y.worker.About())
	if !strings.Contains(about, "sandbox") || !strings.Contains(about, "search") {
		t.Errorf("got %s", about)
	}
	var dump bytes.Buffer
	if err := y.worker.Dump(&dump); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{n.ID, task.ID, fmt.Sprint(r.PID), "goroutine ", "100 of 1000 MiB in use"} {
		if !strings.Contains(dump.String(), want) {
			t.Errorf("the dump has no %q:\n%.3000s", want, dump.String())
		}
	}
	if dump.Len() > maxStacks+64<<10 {
		t.Errorf("got a dump of %d bytes", dump.Len())
	}
}
