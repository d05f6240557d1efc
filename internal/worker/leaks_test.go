package worker

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/isolation"
	"github.com/jobyard/jobyard/internal/memwatch"
)

// A leak of 20 KB a task in real runners is named within 1,000 tasks, by its
// kind, while the healthy kind beside it is not in 10,000.
func TestRunners_leakIsNamed(t *testing.T) {
	t.Parallel()
	const tasksOfLeaky, tasksOfHealthy = 1000, 10_000
	named := make(chan memwatch.Leak, 1)
	r := &Runners{leaks: memwatch.NewDetector(map[string]int64{"leaky": 256 * mib}, func(l memwatch.Leak) {
		if l.Kind != "leaky" || !l.Suspected {
			t.Errorf("got news of %s: %+v", l.Kind, l)
			return
		}
		named <- l
	})}
	work := func(kind, what string, n int, enough func(i int) bool) {
		do := isolation.Remote[string, string](oddPool(t, kind, 1, 256*mib, r.observe), oddFunc, nil)
		for i := range n {
			if _, err := do(t.Context(), what); err != nil {
				t.Fatalf("task %d of %s: %v", i, kind, err)
			}
			if enough(i) {
				return
			}
		}
	}
	work("healthy", "healthy", tasksOfHealthy, func(int) bool { return false })
	if l := r.leaks.Leaks(time.Now()); len(l) != 1 || l[0].Live == 0 {
		t.Errorf("got %+v, want the healthy kind read and not suspected", l)
	}
	done := 0
	work("leaky", "leak 20", tasksOfLeaky, func(i int) bool { done = i + 1; return len(named) > 0 })
	select {
	case l := <-named:
		t.Logf("after %d tasks: %.1f KB a task, from %.1f to %.1f, %s to the ceiling", done, l.PerTask.Bytes/1024, l.PerTask.Low/1024, l.PerTask.High/1024, l.ToCeiling)
		if l.PerTask.Low > 20.5*1024 || l.PerTask.High < 20<<10 {
			t.Errorf("got %.0f [%.0f, %.0f] bytes a task, want 20 KB within", l.PerTask.Bytes, l.PerTask.Low, l.PerTask.High)
		}
	case <-time.After(time.Second): // the last reading may still be on its way
		t.Errorf("not named in %d tasks", tasksOfLeaky)
	}
}

// A node's heartbeat carries what the detector says.
func TestWorker_heartbeatTellsLeaks(t *testing.T) {
	t.Parallel()
	y := start(t, 1, searching(func(context.Context, string) (string, error) { return "", nil }))
	at := time.Now()
	for i := range 60 { // a runner of the kind, over an hour
		y.worker.leaks.ObserveRunner(memwatch.Reading{Kind: "config_gen", Process: 1, Done: 20 * i, Live: int64(20+i) * mib, At: at.Add(time.Duration(i-60) * time.Minute)})
	}
	brokertest.Until(t, "told", func() bool {
		nodes, err := y.broker.Nodes(patience(t))
		if err != nil || len(nodes) != 1 {
			return false
		}
		for _, l := range nodes[0].Leaks {
			if l.Kind == "config_gen" && l.Suspected && l.PerMinute > mib/2 && l.PerMinute < 2*mib && l.Low <= l.PerMinute && l.PerMinute <= l.High {
				return true
			}
		}
		return false
	})
	watched := false
	for _, l := range y.worker.Node().Leaks {
		watched = watched || l.Kind == itself && !l.Suspected
	}
	if !watched {
		t.Error("the worker's own memory is not watched")
	}
	tellLeaks(zerolog.Nop())(memwatch.Leak{Kind: "k", Suspected: true})
}
