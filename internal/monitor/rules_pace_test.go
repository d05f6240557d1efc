package monitor

import (
	"testing"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

// judged moves a set of rules on with an overview that change has its say in.
func judged(r *rules, at time.Time, change func(o *Overview)) []Alert {
	o := &Overview{At: at, Redis: Redis{Up: true, Policy: "noeviction"}, Total: Total{NodesUp: 1, NodesTaking: 1}}
	for _, name := range tasks.Queues() {
		q := Queue{Limit: 1000}
		q.Name, q.Kind, q.Counts = name, "search", map[tasks.State]int64{}
		o.Queues = append(o.Queues, q)
	}
	o.Kinds = []Kind{{Kind: "search", Slots: 1, Taking: 1}}
	change(o)
	return r.judge(o, nop)
}

func TestRules_Later(t *testing.T) {
	t.Parallel()
	soon := 120.0
	tests := []struct {
		name   string
		rule   string
		change func(o *Overview, step int)
		level  Level
		// steps of ten seconds after which it is told, and not one before
		after int
	}{
		{"a long wait", ruleWait, func(o *Overview, _ int) { o.Queues[0].OldestSeconds = 45 }, Warn, 2},
		{"a batch may wait", "", func(o *Overview, _ int) { o.Queues[4].OldestSeconds, o.Queues[4].Bulk = 45, true }, OK, 10},
		{"a paused queue waits", "", func(o *Overview, _ int) { o.Queues[0].OldestSeconds, o.Queues[0].Paused = 4500, true }, OK, 10},
		{"nothing gets done", ruleProgress, func(o *Overview, _ int) { o.Queues[0].Counts[tasks.Pending] = 3 }, Bad, 16},
		{"something gets done", "", func(o *Overview, i int) { o.Queues[0].Counts[tasks.Pending], o.Kinds[0].Completed = 3, int64(i/10) }, OK, 40},
		{"nothing is to do", "", func(*Overview, int) {}, OK, 40},
		{"dead letters grow", ruleDead, func(o *Overview, i int) { o.Queues[0].Counts[tasks.Archived] = int64(100 + i) }, Warn, 11},
		{"dead letters are many, but no more", "", func(o *Overview, _ int) { o.Queues[0].Counts[tasks.Archived] = 5000 }, OK, 40},
		{"memory runs full", ruleFilling, func(o *Overview, _ int) {
			n := Node{Up: true, FullInSeconds: &soon}
			n.ID, n.State, n.RSS, n.MemoryLimit = "n1", "running", 60, 100
			o.Nodes = []Node{n}
		}, Bad, 6},
		{"Redis fills", ruleRedisMem, func(o *Overview, _ int) { o.Redis.Used, o.Redis.Max = 72, 100 }, Warn, 1},
		{"Redis is full", ruleRedisMem, func(o *Overview, _ int) { o.Redis.Used, o.Redis.Max = 90, 100 }, Bad, 1},
		{"Redis would evict", ruleEvicting, func(o *Overview, _ int) { o.Redis.Max, o.Redis.Policy = 100, "allkeys-lru" }, Warn, 1},
		{"Redis evicts", ruleEvicting, func(o *Overview, i int) { o.Redis.Evicted = int64(i) }, Bad, 2},
		{"Redis once evicted", "", func(o *Overview, _ int) { o.Redis.Evicted = 77 }, OK, 10},
		{"Redis cannot save", ruleSaving, func(o *Overview, _ int) { o.Redis.SaveFailed = "snapshot" }, Bad, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRules(DefaultConfig())
			at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
			for i := range tt.after + 1 {
				alerts := judged(r, at, func(o *Overview) { tt.change(o, i) })
				told := len(alerts) > 0
				if told && (alerts[0].Rule != tt.rule || alerts[0].Text == "" || alerts[0].Detail == "") {
					t.Fatalf("step %d: got %+v, want %q", i, alerts, tt.rule)
				}
				if want := tt.level > OK && i == tt.after; told != want {
					t.Fatalf("step %d: told %v, want %v", i, told, want)
				}
				if told && alerts[0].Level != tt.level {
					t.Errorf("got %v, want %v", alerts[0].Level, tt.level)
				}
				at = at.Add(10 * time.Second)
			}
		})
	}
}

func TestForecast(t *testing.T) {
	t.Parallel()
	f := newForecasts()
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	look := func(rss int64) *float64 {
		at = at.Add(10 * time.Second)
		n := Node{Up: true}
		n.ID, n.RSS, n.MemoryLimit = "n", rss, 1000
		return f.fullIn(n, at)
	}
	for i := range 30 { // it sways, and does not grow
		if got := look(500 + int64(i%5)*20); got != nil {
			t.Fatalf("step %d: got full in %g s of a node that only sways", i, *got)
		}
	}
	var got *float64
	for i := range 60 {
		got = look(400 + int64(i)*5)
	}
	if got == nil || *got < 500 || *got > 700 {
		t.Errorf("got %v, want about 600 s: 305 bytes are left at 0.5 a second", got)
	}
	f.retain(nil)
	if len(f.nodes) != 0 {
		t.Error("a node that is gone is remembered")
	}
}
