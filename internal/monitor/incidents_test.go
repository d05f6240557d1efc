package monitor

import (
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
)

func TestIncidents(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	node := func(id string, up bool, leaks ...broker.NodeLeak) Node {
		return Node{Up: up, Node: broker.Node{ID: id, State: "running", Leaks: leaks}}
	}
	leak := func(slope float64) broker.NodeLeak {
		return broker.NodeLeak{Kind: "config_gen", Suspected: true, Since: began, PerMinute: slope, Low: slope - 1, High: slope + 1}
	}
	healthy := broker.NodeLeak{Kind: "config_gen"}
	i := newIncidents()
	if got := i.observe([]Node{node("a", true, healthy)}, began); got == nil || len(got) != 0 {
		t.Errorf("got %+v, want an empty list", got)
	}
	i.observe([]Node{node("a", true, leak(5)), node("b", true, leak(9))}, began)
	got := i.observe([]Node{node("a", true, leak(6)), node("b", true, leak(9))}, began.Add(time.Minute))
	if len(got) != 2 || got[0].Node != "a" || got[0].PerMinute != 6 || !got[0].Ended.IsZero() || !got[0].Since.Equal(began) {
		t.Errorf("got %+v, want two open incidents, with the latest slope", got)
	}
	got = i.observe([]Node{node("a", true, healthy), node("b", false)}, began.Add(time.Hour))
	if len(got) != 2 || got[0].Node != "b" || got[1].Node != "a" || !got[1].Ended.Equal(began.Add(time.Hour)) || got[1].NodeGone {
		t.Errorf("got %+v, want b's open while it is silent, and a's ended", got)
	}
	got = i.observe([]Node{node("a", true, healthy)}, began.Add(2*time.Hour))
	if len(got) != 2 || got[0].Node != "b" || !got[0].NodeGone || got[0].Ended.IsZero() {
		t.Errorf("got %+v, want b's ended with its node", got)
	}
	for n := range 3 * maxIncidents {
		i.observe([]Node{node("a", true, leak(1))}, began.Add(time.Duration(3+n)*time.Hour))
		got = i.observe([]Node{node("a", true, healthy)}, began.Add(time.Duration(3+n)*time.Hour))
	}
	if len(got) != maxIncidents {
		t.Errorf("got %d incidents, want %d at most", len(got), maxIncidents)
	}
}

func TestRules_Leak(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n, m := b.node("n1"), b.node("n2")
	suspected := []broker.NodeLeak{{Kind: "config_gen", Suspected: true, PerMinute: 3 << 20, Low: 2 << 20, High: 4 << 20, CeilingSeconds: 600}}
	b.want(tick)
	n.Leaks = suspected
	b.want(tick)
	b.want(tick)
	b.want(tick, "warn leak config_gen")
	m.Leaks = suspected // one kind is one alert
	b.want(tick, "warn leak config_gen")
	n.Leaks, m.Leaks = nil, nil
	b.want(tick, "warn leak config_gen")
	n.Leaks = suspected // it came back after a restart
	b.want(time.Minute, "warn leak config_gen")
	b.told("warn", "alert started", 1)
	n.Leaks = nil
	b.want(tick, "warn leak config_gen")
	b.want(leakClear)
	b.told("info", "alert ended", 1)
	text, detail := leakWords(suspected[0], "n1", 2)
	if want := "on node n1 and 2 more, each of its runners grows by 3.0 MiB a minute (99 %: 2.0 MiB to 4.0 MiB); at its ceiling in 10 min"; detail != want || text == "" {
		t.Errorf("got %q, %q, want %q", text, detail, want)
	}
}
