package monitor

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/results"
)

func historyOverview(at time.Time, waiting int64, nodes ...string) *Overview {
	o := &Overview{At: at, Queues: []Queue{{Queue: results.Queue{Name: "search"}, Waiting: waiting}}}
	for _, id := range nodes {
		o.Nodes = append(o.Nodes, Node{Up: true, Node: broker.Node{ID: id, RSS: 10 << 20, HeapLive: 5 << 20}})
	}
	return o
}

// line returns a curve as JSON.
func line(t *testing.T, h *history, what, of string) string {
	t.Helper()
	for _, c := range h.past().Curves {
		if c.What == what && c.Of == of {
			raw, err := json.Marshal(c.Points)
			if err != nil {
				t.Fatal(err)
			}
			return string(raw)
		}
	}
	return ""
}

func TestHistory_KeepsTheHighestOfEachStep(t *testing.T) {
	t.Parallel()
	h := newHistory(time.Hour, 2*time.Second)
	if h.step != 10*time.Second {
		t.Fatalf("got a step of %s, want 10s", h.step)
	}
	at := time.Unix(1_800_000_000, 0)
	for i, waiting := range []int64{1, 9, 3, 2, 5, 4, 4} { // 10 s hold five of them
		h.add(historyOverview(at.Add(time.Duration(i)*2*time.Second), waiting))
	}
	if got, want := line(t, h, "waiting", "search"), "[9,4]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	h.add(historyOverview(at.Add(43*time.Second), 7)) // Redis was away
	if got, want := line(t, h, "waiting", "search"), "[9,4,null,null,7]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	h.add(historyOverview(at, 8)) // the clock was set back
	if got, want := line(t, h, "waiting", "search"), "[9,4,null,null,8]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHistory_IsBounded(t *testing.T) {
	t.Parallel()
	h := newHistory(time.Hour, 2*time.Second)
	at := time.Unix(1_800_000_000, 0)
	for i := range 1000 { // nodes come and go
		at = at.Add(10 * time.Second)
		var nodes []string
		for j := range maxNodes {
			nodes = append(nodes, fmt.Sprintf("node-%d", i*7+j))
		}
		h.add(historyOverview(at, int64(i), nodes...))
	}
	if got, most := len(h.curves), 3+2*maxNodes; got > most {
		t.Errorf("got %d curves, want at most %d", got, most)
	}
	for _, c := range h.past().Curves {
		if len(c.Points) > historySlots {
			t.Errorf("%s %s: got %d points, want at most %d", c.What, c.Of, len(c.Points), historySlots)
		}
	}
	h.add(historyOverview(at.Add(30*24*time.Hour), 5)) // a month later
	if got, want := len(h.past().Curves[0].Points), 1; got != want {
		t.Errorf("after a month: got %d points, want %d", got, want)
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	r := newRates()
	at := time.Unix(1_800_000_000, 0)
	observe := func(count int64) float64 {
		r.next()
		at = at.Add(2 * time.Second)
		return r.per("x", at, count)
	}
	steps := []struct {
		count int64
		want  float64
	}{{100, 0}, {110, 5}, {130, 7.5}, {130, 5}, {5, 0}, {9, 2}}
	for i, s := range steps {
		if got := observe(s.count); got != s.want {
			t.Errorf("step %d: got %g/s, want %g/s", i, got, s.want)
		}
	}
	r.next()
	r.next()
	if len(r.series) != 0 {
		t.Error("a counter that is gone is still kept")
	}
}

func BenchmarkHistory_Add(b *testing.B) {
	h := newHistory(time.Hour, 2*time.Second)
	o := historyOverview(time.Unix(1_800_000_000, 0), 5)
	for i := range maxNodes {
		o.Nodes = append(o.Nodes, historyOverview(o.At, 0, fmt.Sprint(i)).Nodes...)
	}
	for b.Loop() {
		o.At = o.At.Add(2 * time.Second)
		h.add(o)
	}
}
