package monitor

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

func (y *testYard) view(id string) taskView {
	y.tb.Helper()
	w := y.get("GET", "/api/tasks/"+id)
	if w.Code != 200 {
		y.tb.Fatalf("%s: got %d %s", id, w.Code, w.Body)
	}
	var v taskView
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		y.tb.Fatal(err)
	}
	return v
}

func TestTask_Page(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	secret, err := tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: "Authorization: Bearer abcdefghijklmnopq"}}, tasks.WithID("a"))
	if err == nil {
		_, err = y.client.Enqueue(t.Context(), secret)
	}
	if err != nil {
		t.Fatal(err)
	}
	y.node("n1", func(n *broker.Node) {
		n.Runners = []broker.NodeRunner{{PID: 7, Kind: "document_parse", State: "busy", Task: "a", RSS: 5 << 20}}
	})
	y.sample(0)
	v := y.view("a")
	if v.Task.State != tasks.Pending || v.Payload.Hidden != 1 || strings.Contains(v.Payload.Text, "abcdefghijklmnopq") || !v.ReadOnly {
		t.Errorf("got %+v, want it pending with its secret masked", v)
	}
	if len(v.Timeline) != 2 || v.Timeline[0].What != "enqueued" || !v.Timeline[1].Next {
		t.Errorf("got timeline %+v, want enqueued and what comes", v.Timeline)
	}
	y.broker.Client().HSet(t.Context(), broker.TaskKey("document_parse", "a"),
		"state", "completed", "y_final", "completed", "y_start", y.clock.UnixMilli(), "y_fin", y.clock.UnixMilli()+40, "y_node", "n1", "y_att", 1, "result", `{"title":"x","token":"abc"}`)
	v = y.view("a")
	var line []string
	for _, m := range v.Timeline {
		line = append(line, m.What)
	}
	if got := strings.Join(line, " "); got != "enqueued picked completed" || v.Result.Hidden != 1 || len(v.Task.Result) > 0 || v.Runner == nil {
		t.Errorf("got %s, %+v, want its life and its result", got, v)
	}
}

func TestWhy(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	ask := func(id string) Why {
		t.Helper()
		y.sample(time.Second)
		return y.view(id).Why
	}
	is := func(w Why, text string, blocks ...string) {
		t.Helper()
		var got []string
		for _, b := range w.Blocks {
			got = append(got, b.What)
			if b.Text == "" {
				t.Errorf("block %s says nothing", b.What)
			}
		}
		if !strings.Contains(w.Text, text) || strings.Join(got, " ") != strings.Join(blocks, " ") {
			t.Errorf("got %q, blocks %q; want %q, %q", w.Text, got, text, blocks)
		}
	}
	y.enqueue("search", 4)
	y.enqueue("search", 1, tasks.WithID("a"))
	y.enqueue("search", 1, tasks.WithID("later"), tasks.WithDelay(time.Hour))
	y.enqueue("search", 1, tasks.WithID("batch"), tasks.WithQueue("bulk"))
	is(ask("a"), "nothing takes it: no worker is up", "no_worker", "line")
	y.node("n1", func(n *broker.Node) { delete(n.Kinds, "search") })
	is(ask("a"), "no node takes search", "no_node", "line")
	y.node("n2", func(n *broker.Node) { n.State = "drained" })
	is(ask("a"), "asked to drain", "draining", "line")
	y.node("n2", func(n *broker.Node) {
		n.Kinds["search"] = broker.NodeKind{Slots: 2, Busy: 2, Run: broker.Spread{0, 0, 0, 10}, RunSeconds: 5}
	})
	w := ask("a")
	is(w, "It is number 5 in queue search, and should start in about 1.2 s", "line", "slots")
	if w.Place != 5 || w.StartsIn == nil || *w.StartsIn != 1.25 {
		t.Errorf("got place %d, start in %v, want 5 and 1.25 s: five halves of a second over two slots", w.Place, w.StartsIn)
	}
	is(ask("batch"), "number 1 in queue search:bulk", "priority", "slots")
	is(ask("later"), "its time, which comes in 59 min", "schedule")
	y.node("n2", func(n *broker.Node) { n.RSS = n.MemoryLimit })
	is(ask("a"), "number 5", "line", "memory")
	y.node("n2", func(n *broker.Node) { n.Budget.Memory, n.Budget.Rest = "full", 0.3 })
	is(ask("a"), "number 5", "line", "memory", "rate")
	y.broker.Client().Set(t.Context(), broker.QueueKey("search", "paused"), "1", 0)
	y.node("n2")
	is(ask("a"), "queue search is paused", "paused", "line")
	y.broker.Client().HSet(t.Context(), broker.TaskKey("search", "a"), "state", "active", "y_att", 2, "y_node", "n2", "y_start", y.clock.UnixMilli())
	is(ask("a"), "attempt 2 runs on node n2")
}
