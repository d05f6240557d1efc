package scale

import (
	"strings"
	"testing"
	"time"
)

func TestConfig_Plan(t *testing.T) {
	t.Parallel()
	kind := func(k Kind) Load { return Load{Kinds: []Kind{k}, Nodes: 1} }
	for name, tt := range map[string]struct {
		load Load
		want int
		why  string
	}{
		"nothing to do":               {Load{}, 1, "min"},
		"one task, nothing measured":  {kind(Kind{Name: "search", Waiting: 1}), 1, "search"},
		"steady work":                 {kind(Kind{Name: "search", Arrivals: 12, Seconds: 0.5, SlotsPerNode: 2}), 4, "search"}, // 6 busy slots / 0.75
		"a backlog to be gone in 15s": {kind(Kind{Name: "search", Waiting: 300, Seconds: 0.5, SlotsPerNode: 2}), 5, "search"}, // 150 s of work
		"a batch has ten minutes":     {kind(Kind{Name: "search", Bulk: 6000, Seconds: 0.5, SlotsPerNode: 2}), 3, "search"},   // 3000 s of work
		"more than may be":            {kind(Kind{Name: "search", Waiting: 1e6, Seconds: 5, SlotsPerNode: 1}), 20, "search"},
		"memory decides": {Load{NodeMemory: 1000, NodeBase: 450, Kinds: []Kind{
			{Name: "document_parse", Arrivals: 3, Seconds: 1, SlotsPerNode: 4, Memory: 200},
		}}, 2, "memory"}, // 4 slots of 200 in nodes with 400 to spare
		"the kind that needs most": {Load{Kinds: []Kind{
			{Name: "search", Arrivals: 10, Seconds: 0.01, SlotsPerNode: 2}, {Name: "sdk_fetch", Arrivals: 3, Seconds: 1, SlotsPerNode: 2},
		}}, 2, "sdk_fetch"},
	} {
		got := DefaultConfig().Plan(tt.load)
		if got.Workers != tt.want || got.For != tt.why {
			t.Errorf("%s: got %d for %q (%.2f), want %d for %q", name, got.Workers, got.For, got.Needed, tt.want, tt.why)
		}
	}
}

func TestPlanner_HoldsBeforeItShrinks(t *testing.T) {
	t.Parallel()
	p := NewPlanner(DefaultConfig())
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	plan := func(waiting int64, later time.Duration) int {
		at = at.Add(later)
		return p.Plan(Load{Kinds: []Kind{{Name: "search", Waiting: waiting, Seconds: 1, SlotsPerNode: 2}}}, at).Workers
	}
	if got := plan(150, 0); got != 5 {
		t.Errorf("got %d, want 5 at once", got)
	}
	if got := plan(0, 2*time.Minute); got != 5 {
		t.Errorf("got %d, want them kept", got)
	}
	if got := plan(60, time.Minute+time.Second); got != 2 {
		t.Errorf("got %d, want the highest of the last three minutes", got)
	}
	if got := plan(0, 3*time.Minute+time.Second); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"min workers":       func(c *Config) { c.Min = -1 },
		"max workers":       func(c *Config) { c.Max = 0 },
		"drain target":      func(c *Config) { c.Drain = 0 },
		"bulk drain target": func(c *Config) { c.BulkDrain = time.Second },
		"busy part":         func(c *Config) { c.Busy = 2 },
		"memory part":       func(c *Config) { c.Memory = 0 },
		"hold":              func(c *Config) { c.Hold = -time.Second },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}
