package monitor

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// bench judges made-up overviews at a clock of its own.
type bench struct {
	t     *testing.T
	rules *rules
	log   bytes.Buffer
	clock time.Time
	redis string // why it is away
	queue map[string]int64
	nodes map[string]*Node
}

func newBench(t *testing.T) *bench {
	return &bench{
		t: t, rules: newRules(DefaultConfig()), clock: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
		queue: map[string]int64{}, nodes: map[string]*Node{},
	}
}

func (b *bench) node(id string) *Node {
	n := &Node{Up: true, Node: broker.Node{ID: id, State: "running", RSS: 100, MemoryLimit: 1000}}
	n.Kinds = map[string]broker.NodeKind{}
	for _, k := range tasks.KindNames() {
		n.Kinds[k] = broker.NodeKind{Slots: 1}
	}
	b.nodes[id] = n
	return n
}

// judge moves on and returns what is wrong, as "level rule subject".
func (b *bench) judge(later time.Duration) []string {
	b.clock = b.clock.Add(later)
	o := &Overview{At: b.clock, Redis: Redis{Up: b.redis == "", Error: b.redis}}
	for _, name := range tasks.Queues() {
		kind, bulk := strings.CutSuffix(name, ":bulk")
		limit := 100
		o.Queues = append(o.Queues, Queue{
			Queue: results.Queue{Name: name, Counts: map[tasks.State]int64{tasks.Pending: b.queue[name]}},
			Kind:  kind, Bulk: bulk, Limit: limit, Waiting: b.queue[name],
		})
	}
	slots := map[string]int{}
	for _, n := range b.nodes {
		o.Nodes = append(o.Nodes, *n)
		if n.Up {
			o.Total.NodesUp++
			for k, v := range n.Kinds {
				slots[k] += v.Slots
			}
		}
	}
	for _, k := range tasks.KindNames() {
		o.Kinds = append(o.Kinds, Kind{Kind: k, Slots: slots[k], Taking: slots[k]})
	}
	var wrong []string
	for _, a := range b.rules.judge(o, zerolog.New(&b.log)) {
		wrong = append(wrong, strings.TrimSpace(a.Level.String()+" "+a.Rule+" "+a.Subject))
	}
	return wrong
}

func (b *bench) want(later time.Duration, want ...string) {
	b.t.Helper()
	if got := b.judge(later); strings.Join(got, ", ") != strings.Join(want, ", ") {
		b.t.Errorf("at %s: got %q, want %q", b.clock.Format(time.TimeOnly), got, want)
	}
}

// told counts the log's lines of a level with a message.
func (b *bench) told(level, message string, want int) {
	b.t.Helper()
	got := 0
	for line := range strings.Lines(b.log.String()) {
		if strings.Contains(line, `"level":"`+level+`"`) && strings.Contains(line, `"message":"`+message+`"`) {
			got++
		}
	}
	if got != want {
		b.t.Errorf("got %d lines of %s %q, want %d:\n%s", got, level, message, want, b.log.String())
	}
}

const tick = 2 * time.Second

var nop = zerolog.Nop()

func TestRules_QueueLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.node("n1")
	b.queue["search"] = 100
	b.want(tick)
	b.queue["search"] = 79
	b.want(tick)
	b.queue["search"] = 80
	b.want(tick)
	b.want(patience - 1)
	for range 5 {
		b.want(tick, "warn queue_limit search")
	}
	b.told("warn", "alert started", 1)
	b.queue["search"] = 100
	b.want(tick, "warn queue_limit search")
	b.want(patience, "bad queue_limit search")
	b.told("warn", "alert started", 2)
	for _, n := range []int64{95, 100, 91, 99} { // it sways below its limit: told once
		b.queue["search"] = n
		b.want(tick, "bad queue_limit search")
	}
	b.told("warn", "alert started", 2)
	b.queue["search"] = 89
	b.want(tick, "warn queue_limit search")
	b.told("info", "alert eased", 1)
	b.queue["search"] = 71
	b.want(tick, "warn queue_limit search")
	b.queue["search"] = 69
	b.want(tick)
	b.told("info", "alert ended", 1)
	b.want(tick)
	b.told("info", "alert ended", 1)
}

func TestRules_NodeMemory(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := b.node("n1")
	n.RSS = 799
	b.want(tick)
	n.RSS = 800
	b.want(tick)
	b.want(patience, "warn node_memory n1")
	n.RSS = 750 // the collector ran: not over yet
	b.want(tick, "warn node_memory n1")
	n.RSS = 1001
	b.want(tick, "warn node_memory n1")
	b.want(patience, "bad node_memory n1")
	n.RSS = 690
	b.want(tick)
	b.told("warn", "alert started", 2)
	b.told("info", "alert ended", 1)
	n.RSS, n.MemoryLimit = 5000, 0
	b.want(tick) // no limit is known
	b.want(patience)
}

func TestRules_NodeSilent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.node("n0")
	n := b.node("n1")
	b.want(tick)
	n.Up = false
	b.want(tick) // its heartbeat may be on its way
	b.want(tick, "warn node_silent n1")
	n.Up = true
	b.want(tick, "warn node_silent n1") // heard once: not yet steady
	n.Up = false
	b.want(tick, "warn node_silent n1")
	n.Up = true
	b.want(tick, "warn node_silent n1")
	b.want(tick, "warn node_silent n1")
	b.want(tick)
	b.told("warn", "alert started", 1)
	b.told("info", "alert ended", 1)
	n.State, n.Up = "stopped", false
	b.want(tick) // it said goodbye
	b.want(tick)
	n.State = "running"
	b.want(tick)
	b.want(tick, "warn node_silent n1")
	delete(b.nodes, "n1")
	b.want(tick) // forgotten
	b.told("info", "alert ended", 2)
}

func TestRules_RedisAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := b.node("n1")
	b.queue["search"] = 100
	b.want(tick)
	b.want(patience, "bad queue_limit search")
	b.redis = "connection refused"
	b.want(tick, "bad queue_limit search")
	b.redis = "" // a restart is none
	b.want(patience, "bad queue_limit search")
	b.redis = "connection refused"
	b.want(tick, "bad queue_limit search")
	b.want(patience, "bad redis_away", "bad queue_limit search")
	b.want(tick, "bad redis_away", "bad queue_limit search")
	b.told("warn", "alert started", 2)
	b.redis, n.Up = "", false // it could not write its heartbeats
	b.want(tick, "bad redis_away", "bad queue_limit search")
	if got := b.rules.list()[0]; got.Text != "Redis was away" {
		t.Errorf("got %q of a Redis that answers again", got.Text)
	}
	n.Up = true
	b.want(steady, "bad queue_limit search")
	b.told("warn", "alert started", 2)
	b.told("info", "alert ended", 1)
	n.Up = false
	b.want(2*broker.NodeSilent, "bad queue_limit search")
	b.want(tick, "bad queue_limit search", "warn node_silent n1")
}

// TestRules_EachWaitsAndHolds: no rule tells of what it sees once, and none
// takes that back for what sways around its mark.
func TestRules_EachWaitsAndHolds(t *testing.T) {
	t.Parallel()
	r := newRules(DefaultConfig())
	o := &Overview{At: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), Redis: Redis{Up: true, Max: 100}, Total: Total{NodesUp: 1}}
	q, n := Queue{Limit: 100}, Node{Up: true}
	q.Name, n.ID = "search", "n1"
	o.Queues, o.Nodes, o.Kinds = []Queue{q}, []Node{n}, []Kind{{Kind: "search"}}
	asked := map[string]bool{}
	for _, n := range append(r.readings(o), r.redis(o)) {
		asked[n.rule] = true
		for level, mark := range map[Level]float64{Warn: n.warn, Bad: n.bad} {
			if mark > 0 {
				waitsAndHolds(t, n, level, mark)
			}
		}
	}
	for _, rule := range Rules() {
		if !asked[rule] {
			t.Errorf("%s was not asked", rule)
		}
	}
}

func waitsAndHolds(t *testing.T, n reading, level Level, mark float64) {
	t.Helper()
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	r := newRules(DefaultConfig())
	step := func(value float64, later time.Duration, want Level, why string) {
		t.Helper()
		at, n.value = at.Add(later), value
		r.step(n, at, nop)
		got := OK
		if told := r.list(); len(told) == 1 {
			got = told[0].Level
		}
		if got != want {
			t.Errorf("%s %s: got %s, want %s: %s", n.rule, n.subject, got, want, why)
		}
	}
	step(mark, 0, OK, "it is seen once")
	step(mark, time.Second, OK, "it has not lasted")
	step(0, time.Second, OK, "it is over before it was told")
	step(mark, time.Second, OK, "it is seen anew")
	step(mark, n.after, level, "it has lasted")
	step(mark*0.999, time.Second, level, "it sways")
	step(mark, time.Second, level, "it was never over")
	if n.clear > 0 {
		step(0, time.Second, level, "it is over, but not for long")
	}
	step(0, n.clear, OK, "it is over")
}

func TestRules_WorkThatNobodyTakes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.queue["sdk_fetch"] = 3
	b.want(tick)
	b.want(tick)
	b.want(tick)
	b.want(tick, "bad no_worker")
	n := b.node("n1")
	n.Kinds = map[string]broker.NodeKind{"search": {Slots: 2}}
	b.want(tick, "bad no_worker")
	b.want(steady) // a worker that ends again at once is none
	b.want(tick, "bad kind_unserved sdk_fetch")
	n.Kinds["sdk_fetch"] = broker.NodeKind{Slots: 1}
	b.want(tick, "bad kind_unserved sdk_fetch")
	b.want(steady)
	b.told("warn", "alert started", 2)
	b.told("info", "alert ended", 2)
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	full := Alert{Rule: ruleQueue, Level: Bad, Text: "queue search is full", Detail: "500 of 500 tasks wait"}
	quiet := Alert{Rule: ruleSilent, Level: Warn, Text: "node a is silent", Detail: "last heard of 9.0 s ago"}
	tests := []struct {
		name string
		o    Overview
		want string
	}{
		{"it is well", Overview{Total: Total{NodesUp: 2, Waiting: 1, PerSecond: 3.25}}, "All is well: 2 nodes are up, 1 task waits, 3.2 tasks/s."},
		{"it is empty", Overview{}, "Redis answers and nothing waits, but no worker is up yet."},
		{"Redis does not answer, seen once", Overview{Redis: Redis{Error: "refused"}}, "Redis is away: refused."},
		{"one thing is wrong", Overview{Alerts: []Alert{full}}, "Queue search is full: 500 of 500 tasks wait."},
		{"two are", Overview{Alerts: []Alert{full, quiet}}, "Queue search is full, and one more thing needs attention."},
		{"three are", Overview{Alerts: []Alert{full, quiet, quiet}}, "Queue search is full, and 2 more things need attention."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.o.Redis.Up = tt.o.Redis.Error == ""
			if got := verdict(&tt.o); got.Text != tt.want {
				t.Errorf("got %q, want %q", got.Text, tt.want)
			}
		})
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{
		0: "0.0 s", 9.94: "9.9 s", 12: "12 s", 119: "119 s", 150: "2 min 30 s", 300: "5 min",
		3600: "1 h", 3 * 3600: "3 h", 100 * 3600: "4 d 4 h",
	} {
		if got := span(seconds); got != want {
			t.Errorf("span(%g): got %q, want %q", seconds, got, want)
		}
	}
}
