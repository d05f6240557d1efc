package monitor

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/memwatch"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// Why says why a task does not run yet: its place, what is in its way, and
// when it should start.
type Why struct {
	ID    string      `json:"id"`
	State tasks.State `json:"state"`
	// Text is all of it in one sentence.
	Text string `json:"text"`
	// Place is 1 for the task of its queue that is taken next; 0 if it is in no
	// line, or too far back to be counted.
	Place  int64   `json:"place,omitempty"`
	Blocks []Block `json:"blocks"`
	// StartsIn is in how many seconds it should start; nil if nobody can know,
	// as while its queue is paused.
	StartsIn *float64 `json:"starts_in_seconds,omitempty"`
}

// Block is one thing that is in a task's way.
type Block struct {
	// What is one of paused, no_worker, no_node, draining, slots, line, priority,
	// memory, schedule, retry.
	What   string `json:"what"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// why explains where a task stands, by the yard as it is.
func why(st results.Standing, o *Overview) Why {
	t := st.Task
	w := Why{ID: t.ID, State: t.State, Blocks: []Block{}}
	switch t.State {
	case tasks.Pending:
		w.pending(st, o)
	case tasks.Scheduled, tasks.Retry:
		w.waitsForTime(st, o)
	case tasks.Active:
		w.Text = fmt.Sprintf("It does not wait: attempt %d runs on node %s", max(1, t.Attempts), t.Node)
		if !t.StartedAt.IsZero() {
			w.Text += " for " + span(o.At.Sub(t.StartedAt).Seconds())
		}
		if st.CancelAsked {
			w.Text += ", and was asked to stop"
		}
	default:
		w.Text = fmt.Sprintf("It does not wait: it is %s", t.State)
	}
	w.Text = sentence(w.Text)
	return w
}

func (w *Why) block(what, remedy, format string, args ...any) {
	w.Blocks = append(w.Blocks, Block{What: what, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

// pending explains a task that could run now.
func (w *Why) pending(st results.Standing, o *Overview) {
	q, k := queueOf(o, st.Task.Queue), kindOf(o, st.Task.Kind)
	if st.Ahead >= 0 {
		w.Place = st.Ahead + 1
	}
	w.served(q, k, o)
	stuck := len(w.Blocks) > 0
	before := max(0, st.Ahead)
	if q.Bulk {
		if first := queueOf(o, q.Kind).Counts[tasks.Pending]; first > 0 {
			before += first
			w.block("priority", "", "queue %s goes first: %s there", q.Kind, waits(first))
		}
	}
	if st.Ahead > 0 {
		w.block("line", "", "%d of its queue are taken before it", st.Ahead)
	}
	if k.Taking > 0 && k.Busy >= k.Taking {
		w.block("slots", fmt.Sprintf("add workers, or slots with: worker --slots %s=%d", k.Kind, k.Slots+2), "all %d slots for %s are busy", k.Taking, k.Kind)
	}
	w.memory(k, o)
	switch {
	case stuck:
		w.Text = "It waits, and nothing takes it: " + w.Blocks[0].Text
	case w.Place == 0:
		w.Text = "It waits far back in queue " + q.Name
	default:
		w.Text = fmt.Sprintf("It is number %d in queue %s", w.Place, q.Name)
	}
	if stuck || k.SecondsPerTask <= 0 {
		return
	}
	in := 0.0
	if free := k.Taking - k.Busy; before >= int64(free) {
		in = float64(before+1-int64(free)) * k.SecondsPerTask / float64(k.Taking)
	}
	w.StartsIn = &in
	w.Text += ", and should start in about " + span(in)
}

// served tells what keeps everybody from taking tasks of the queue.
func (w *Why) served(q Queue, k Kind, o *Overview) {
	switch {
	case o.Total.NodesUp == 0:
		w.block("no_worker", "start one with: worker", "no worker is up")
	case k.Slots == 0:
		w.block("no_node", fmt.Sprintf("start a node that does with: worker --slots %s=2", k.Kind), "no node takes %s", k.Kind)
	case k.Taking == 0:
		w.block("draining", "let one go on at the page Nodes, or start another", "every node with slots for %s was asked to drain", k.Kind)
	}
	if q.Paused {
		w.block("paused", "resume the queue in Asynqmon", "queue %s is paused", q.Name)
	}
}

// memory tells of nodes that admit no more tasks for want of memory, and of
// those whose slots rest because the processors are too busy.
func (w *Why) memory(k Kind, o *Overview) {
	near, full, resting, all := 0, 0, 0, 0
	for n := range o.living() {
		if n.Kinds[k.Kind].Slots == 0 || !n.Takes(o.At) {
			continue
		}
		all++
		switch memory := memwatch.MemoryState(n.Budget.Memory); {
		case memory == memwatch.MemoryFull || memory == memwatch.MemoryCritical:
			full++
		case n.MemoryLimit > 0 && float64(n.RSS) >= o.Marks.Memory*float64(n.MemoryLimit):
			near++
		}
		if n.Budget.Rest > 0 {
			resting++
		}
	}
	const remedy = "add a node, or give them more memory"
	switch {
	case full > 0 && full == all:
		w.block("memory", remedy, "every node that takes %s is full and admits no more tasks until some end", k.Kind)
	case near+full > 0 && near+full == all:
		w.block("memory", remedy, "every node that takes %s is over %.0f %% of its memory limit", k.Kind, 100*o.Marks.Memory)
	}
	if resting > 0 && resting == all {
		w.block("rate", "add a node, or fewer slots", "the processors of every node that takes %s are too busy: a slot rests between two tasks", k.Kind)
	}
}

// waitsForTime explains a task whose time has not come.
func (w *Why) waitsForTime(st results.Standing, o *Overview) {
	in := max(0, st.DueAt.Sub(o.At).Seconds())
	if st.Task.State == tasks.Retry {
		reason := "its last attempt failed"
		if st.Task.Error != nil {
			reason += fmt.Sprintf(" (%s: %s)", st.Task.Error.Reason, st.Task.Error.Message)
		}
		w.block("retry", "retry it now at its page", "%s; %d of %d retries are spent", reason, st.Retried, st.MaxRetry)
	} else {
		w.block("schedule", "start it now at its page", "it was scheduled for %s", st.DueAt.Format(time.RFC3339))
	}
	if st.DueAt.IsZero() {
		w.Text = "It waits for its time"
		return
	}
	w.Text = fmt.Sprintf("It waits for its time, which comes in %s", span(in))
	w.served(queueOf(o, st.Task.Queue), kindOf(o, st.Task.Kind), o)
	if len(w.Blocks) == 1 {
		w.StartsIn = &in
	} else {
		w.Text += "; then nothing would take it: " + w.Blocks[1].Text
	}
}

func queueOf(o *Overview, name string) Queue {
	for _, q := range o.Queues {
		if q.Name == name {
			return q
		}
	}
	return Queue{}
}

func kindOf(o *Overview, name string) Kind {
	for _, k := range o.Kinds {
		if k.Kind == name {
			return k
		}
	}
	return Kind{Kind: name}
}

// Explain looks at the yard once and says why a task waits. It fails with
// results.ErrNotFound if there is no such task.
func Explain(ctx context.Context, cfg Config, b *broker.Broker, id string) (Why, error) {
	if err := cfg.Validate(); err != nil {
		return Why{}, err
	}
	l := newLookout(cfg, b, zerolog.Nop())
	st, err := l.store.Standing(ctx, id)
	if err != nil {
		return Why{}, err
	}
	o, err := l.look(ctx, nil)
	if err != nil {
		return Why{}, err
	}
	return why(st, o), nil
}
