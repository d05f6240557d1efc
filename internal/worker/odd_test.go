package worker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/isolation"
	"github.com/jobyard/jobyard/internal/memwatch"
	"github.com/jobyard/jobyard/tasks"
)

// The odd job runs in a runner and uses as much memory as it is told to. The
// test binary serves it, see TestMain.
const (
	oddCommand = "odd-runner"
	oddFunc    = "odd"
)

// What the runner's own code keeps between two tasks.
var (
	lost     [][]byte
	warm     = map[int][]byte{}
	recycled = sync.Pool{New: func() any { return make([]byte, 64<<10) }}
)

// odd does what its text says: "hog MB", "leak KB", "healthy", "block MB", "long
// KB", "spin", "exit" or "panic".
func odd(ctx context.Context, text string) (string, error) {
	var what string
	var size int
	_, _ = fmt.Sscan(text, &what, &size) // a size may be missing
	switch what {
	case "hog":
		return fmt.Sprint(len(touched(size << 20))), nil
	case "leak":
		lost = append(lost, touched(size<<10))
		healthy()
	case "healthy":
		healthy()
	case "block":
		held := touched(size << 20)
		<-ctx.Done()
		return fmt.Sprint(len(held)), ctx.Err()
	case "long":
		return strings.Repeat("x", size<<10), nil
	case "spin":
		for { //nolint:staticcheck // that is the offense
		}
	case "exit":
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(3)
	case "panic":
		panic("odd")
	}
	return "done", nil
}

// healthy makes garbage, fills a cache of 0.6 MB in its first hundred calls, and
// keeps a pool of buffers.
func healthy() {
	if key := rand.IntN(30); warm[key] == nil {
		warm[key] = touched(20 << 10)
	}
	buffer := recycled.Get().([]byte)
	recycled.Put(buffer) //nolint:staticcheck // the pool is to hold something
	_ = touched(rand.IntN(50 << 10))
}

func touched(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	return b
}

// oddPool starts a pool of odd runners.
func oddPool(t *testing.T, kind string, slots int, memory int64, observe func(isolation.Sample) bool) *isolation.Pool {
	t.Helper()
	c := isolation.DefaultConfig(kind)
	c.Args, c.Slots = []string{oddCommand}, slots
	c.Limits.Memory, c.MaxMemory = memory, largerSlot*memory
	c.Limits.CPU, c.Limits.Output = 2*time.Second, 1<<20
	p, err := isolation.New(c, zerolog.Nop(), nil, observe)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// oddYard is a worker whose kind search runs in odd runners of so much memory.
// Its node has 1,000 MB, of which used are in use. The yard counts the tries.
func oddYard(t *testing.T, slots int, memory, used int64, change ...func(*Config)) (y yard, load *atomic.Pointer[memwatch.Load]) {
	t.Helper()
	runners := &Runners{pools: map[string]*isolation.Pool{}, memory: memory}
	runners.leaks = memwatch.NewDetector(nil, nil)
	runners.pools["search"] = oddPool(t, "search", slots, memory, runners.observe)
	run := isolation.Remote[string, string](runners.pools["search"], oddFunc, nil)
	load = new(atomic.Pointer[memwatch.Load])
	load.Store(&memwatch.Load{Used: used})
	tries := new(atomic.Int64)
	counted := func(ctx context.Context, text string) (string, error) { tries.Add(1); return run(ctx, text) }
	y = startRegistry(t, &Registry{Jobs: searching(counted), Runners: runners}, slots, func(w *Worker) {
		cfg := memwatch.DefaultBudget(1000<<20, runners.ceilings())
		var err error
		w.budget, err = memwatch.NewBudget(cfg, func() memwatch.Load {
			l := *load.Load()
			l.Runners = w.load().Runners
			return l
		})
		if err != nil {
			t.Fatal(err)
		}
	}, change...)
	y.tries = tries
	return y, load
}

// startRegistry runs a worker for searches; prepare may change it before.
func startRegistry(t *testing.T, r *Registry, slots int, prepare func(*Worker), change ...func(*Config)) yard {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Slots = map[string]int{"search": slots}
	for _, c := range change {
		c(&cfg)
	}
	return startWith(t, brokertest.Start(t), cfg, r, client.DefaultConfig(), prepare)
}

// endOf hands a task over and waits for its end.
func endOf(t *testing.T, y yard, query string, opts ...tasks.Option) tasks.Task {
	t.Helper()
	task, err := y.client.Do(patience(t), request(query, opts...))
	if err != nil {
		t.Fatal(err)
	}
	return task
}
