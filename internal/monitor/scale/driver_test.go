package scale

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// world plays a yard in virtual time: tasks arrive as a trace says, nodes take
// a while to start, and a task takes what its kind takes.
type world struct {
	t       *testing.T
	now     time.Time
	queue   []time.Time // when each task that waits arrived
	nodes   []*simNode
	made    int
	booting []time.Time
	seconds float64
	slots   int
	arrived float64 // tasks a second, as the monitor would know it

	waits   []float64
	changes int
	peak    int
}

type simNode struct {
	id      string
	tasks   []time.Time // when each task that runs will end
	drain   bool
	started time.Time
}

const bootTime = 20 * time.Second

func (w *world) yard() Yard {
	find := func(id string) (*simNode, error) {
		for _, n := range w.nodes {
			if n.id == id {
				return n, nil
			}
		}
		return nil, errors.New("no such node")
	}
	mark := func(drain bool) func(context.Context, string) error {
		return func(_ context.Context, id string) error {
			n, err := find(id)
			if err == nil {
				n.drain = drain
			}
			return err
		}
	}
	return Yard{Look: w.look, Drain: mark(true), Resume: mark(false)}
}

func (w *world) look(context.Context) (View, error) {
	taking := 0
	v := View{}
	for _, n := range w.nodes {
		v.Nodes = append(v.Nodes, Node{
			ID: n.id, Host: n.id, Busy: len(n.tasks), Slots: w.slots, Takes: !n.drain, Drained: n.drain && len(n.tasks) == 0, StartedAt: n.started,
		})
		if !n.drain {
			taking++
		}
	}
	v.Load = Load{Nodes: taking, Kinds: []Kind{{
		Name: "search", Waiting: int64(len(w.queue)), Arrivals: w.arrived, Seconds: w.seconds, SlotsPerNode: float64(w.slots),
	}}}
	return v, nil
}

func (w *world) fleet() Fleet {
	return Fleet{
		Start: func(_ context.Context, count int) error {
			for len(w.nodes)+len(w.booting) < count {
				w.booting = append(w.booting, w.now.Add(bootTime))
				w.changes++
			}
			return nil
		},
		Stop: func(_ context.Context, host string) error {
			i := slices.IndexFunc(w.nodes, func(n *simNode) bool { return n.id == host })
			if i < 0 {
				return errors.New("no such host")
			}
			if busy := len(w.nodes[i].tasks); busy > 0 {
				w.t.Errorf("node %s was stopped with %d tasks on it", host, busy)
			}
			w.nodes = slices.Delete(w.nodes, i, i+1)
			w.changes++
			return nil
		},
	}
}

// second plays one second with n tasks that arrive.
func (w *world) second(n float64) {
	w.now = w.now.Add(time.Second)
	w.arrived += (n - w.arrived) / 30
	for range int(n) {
		w.queue = append(w.queue, w.now)
	}
	for len(w.booting) > 0 && !w.booting[0].After(w.now) {
		w.booting = w.booting[1:]
		w.nodes = append(w.nodes, &simNode{id: fmt.Sprintf("host-%d", w.made), started: w.now})
		w.made++
	}
	w.peak = max(w.peak, len(w.nodes))
	for _, n := range w.nodes {
		n.tasks = slices.DeleteFunc(n.tasks, func(end time.Time) bool { return !end.After(w.now) })
		for !n.drain && len(n.tasks) < w.slots && len(w.queue) > 0 {
			w.waits = append(w.waits, w.now.Sub(w.queue[0]).Seconds())
			w.queue = w.queue[1:]
			n.tasks = append(n.tasks, w.now.Add(time.Duration(w.seconds*float64(time.Second))))
		}
	}
}

// trace reads arrivals a second, each line standing for ten seconds.
func trace(t *testing.T, name string) []float64 {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []float64
	for s := bufio.NewScanner(f); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := strconv.ParseFloat(line, 64)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			all = append(all, v)
		}
	}
	return all
}

func TestDriver_OverTraces(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		p95     float64 // seconds that 95 % of the tasks may wait at most
		changes int     // workers started and stopped at most
		peak    int     // workers at least at the peak
	}{
		"day.txt":   {5, 40, 5},
		"burst.txt": {40, 120, 15},
		"saw.txt":   {10, 60, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, now: time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC), seconds: 2, slots: 4}
			w.fleet().Start(t.Context(), 1) //nolint:errcheck // it cannot fail
			d := NewDriver(DefaultConfig(), w.yard(), w.fleet(), zerolog.Nop())
			d.now = func() time.Time { return w.now }
			arrivals := trace(t, name)
			carry := 0.0
			for i, v := range append(arrivals, make([]float64, 900)...) { // and a quiet quarter of an hour
				carry += v
				n := math.Floor(carry)
				carry -= n
				w.second(n)
				if i%10 == 0 {
					d.Step(t.Context())
				}
			}
			slices.Sort(w.waits)
			p95 := w.waits[len(w.waits)*95/100]
			t.Logf("%d tasks, wait p50 %.0f s, p95 %.0f s, at most %d workers, %d changes", len(w.waits), w.waits[len(w.waits)/2], p95, w.peak, w.changes)
			if p95 > tt.p95 || w.changes > tt.changes || w.peak < tt.peak || w.peak > DefaultConfig().Max {
				t.Errorf("got p95 %.0f s, %d changes, peak %d; want at most %.0f s, %d changes, a peak of %d or more", p95, w.changes, w.peak, tt.p95, tt.changes, tt.peak)
			}
			if len(w.nodes) != 1 || len(w.queue) != 0 {
				t.Errorf("got %d workers and %d tasks left in the end, want 1 and none", len(w.nodes), len(w.queue))
			}
		})
	}
}

func TestDriver_SeesNothingDoesNothing(t *testing.T) {
	t.Parallel()
	touched := func(context.Context, string) error { t.Error("a node was touched"); return nil }
	d := NewDriver(DefaultConfig(), Yard{
		Look: func(context.Context) (View, error) { return View{}, errors.New("redis is away") }, Drain: touched, Resume: touched,
	}, Fleet{Stop: touched, Start: func(context.Context, int) error { t.Error("workers were started"); return nil }}, zerolog.Nop())
	for range 5 {
		d.Step(t.Context())
	}
}

func TestDriver_LetsGoOnWhatItCannotStop(t *testing.T) {
	t.Parallel()
	w := &world{t: t, now: time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC), seconds: 1, slots: 1}
	for i := range 2 {
		w.nodes = append(w.nodes, &simNode{id: fmt.Sprintf("host-%d", i), started: w.now})
	}
	f := w.fleet()
	f.Stop = func(context.Context, string) error { return errors.New("the engine does not answer") }
	cfg := DefaultConfig()
	cfg.Hold = 0
	d := NewDriver(cfg, w.yard(), f, zerolog.Nop())
	d.Step(t.Context())
	if !w.nodes[0].drain && !w.nodes[1].drain {
		t.Error("no node was asked to drain")
	}
	d.Step(t.Context())
	if w.nodes[0].drain || w.nodes[1].drain {
		t.Error("a node that could not be stopped was left drained")
	}
	d.Step(t.Context())
	d.release()
	if w.nodes[0].drain || w.nodes[1].drain {
		t.Error("a node was left drained in the end")
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	var ran []string
	run := func(_ context.Context, argv []string) (string, error) {
		ran = append(ran, strings.Join(argv, " "))
		return "0123456789abcdef\nfedcba9876543210\n", nil
	}
	c := ComposeCommands("worker")
	f := c.Fleet(run)
	if err := errors.Join(f.Start(t.Context(), 3), f.Stop(t.Context(), "fedcba987654")); err != nil {
		t.Error(err)
	}
	want := "docker compose up --detach --no-recreate --scale worker=3 worker|docker compose ps --quiet worker|docker stop fedcba987654|docker rm --volumes fedcba987654"
	if got := strings.Join(ran, "|"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, host := range []string{"", "-v", "a b", "$(id)", "redis", "aaaaaaaaaaaa", "fedcb", strings.Repeat("f", 80)} {
		ran = nil
		if err := f.Stop(t.Context(), host); err == nil || slices.ContainsFunc(ran, func(s string) bool { return strings.HasPrefix(s, "docker stop") }) {
			t.Errorf("host %q: got %v after %q, want it refused", host, err, ran)
		}
	}
	for _, bad := range []Commands{{Up: "up", Stop: "stop {host}"}, {Up: "up {count}", Stop: "stop"}} {
		if bad.Validate() == nil {
			t.Errorf("%+v: got no error", bad)
		}
	}
}

func TestExecute(t *testing.T) {
	t.Parallel()
	out, err := Execute(t.Context(), []string{"sh", "-c", "echo hello"})
	if err != nil || out != "hello\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := Execute(t.Context(), []string{"sh", "-c", "echo no room >&2; exit 3"}); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v, want what it said", err)
	}
	if _, err := Execute(t.Context(), []string{"jobyard-no-such-program"}); err == nil {
		t.Error("got no error of a program that is not there")
	}
}
