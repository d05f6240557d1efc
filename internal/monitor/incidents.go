package monitor

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
)

// maxIncidents bounds the ended incidents that are remembered.
const maxIncidents = 20

// Incident is one suspicion of a leak, from its beginning to its end. The rates
// are those that were told last, in bytes a minute of one process.
type Incident struct {
	Kind  string    `json:"kind"`
	Node  string    `json:"node"`
	Since time.Time `json:"since"`
	// Ended is zero while it is open. It ends when the node takes it back, or with
	// the node.
	Ended     time.Time `json:"ended,omitzero"`
	NodeGone  bool      `json:"node_gone,omitempty"`
	PerMinute float64   `json:"bytes_per_minute"`
	Low       float64   `json:"bytes_per_minute_low"`
	High      float64   `json:"bytes_per_minute_high"`
}

type leakKey struct{ kind, node string }

// incidents remember the leaks that were suspected while this monitor looked.
// They are used by one goroutine.
type incidents struct {
	open map[leakKey]Incident
	past []Incident // the latest first
}

func newIncidents() *incidents { return &incidents{open: map[leakKey]Incident{}} }

// observe takes a sample in and returns what is known, the open ones first.
func (i *incidents) observe(nodes []Node, at time.Time) []Incident {
	there, suspected := map[string]Node{}, map[leakKey]bool{}
	for _, n := range nodes {
		there[n.ID] = n
		for _, l := range n.Leaks {
			if key := (leakKey{l.Kind, n.ID}); n.Up && l.Suspected {
				suspected[key] = true
				i.begin(key, l, at)
			}
		}
	}
	for key, in := range i.open {
		// A node that is silent may come back with it.
		n, known := there[key.node]
		in.NodeGone = !known || n.State == "stopped"
		if in.NodeGone || n.Up && !suspected[key] {
			i.end(key, in, at)
		}
	}
	list := slices.AppendSeq([]Incident{}, maps.Values(i.open))
	slices.SortFunc(list, func(a, b Incident) int {
		return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Node, b.Node))
	})
	return append(list, i.past...)
}

func (i *incidents) begin(key leakKey, l broker.NodeLeak, at time.Time) {
	in := Incident{Kind: key.kind, Node: key.node, Since: l.Since, PerMinute: l.PerMinute, Low: l.Low, High: l.High}
	if before, open := i.open[key]; in.Since.IsZero() && open {
		in.Since = before.Since
	} else if in.Since.IsZero() {
		in.Since = at
	}
	i.open[key] = in
}

func (i *incidents) end(key leakKey, in Incident, at time.Time) {
	in.Ended = at
	delete(i.open, key)
	i.past = slices.Insert(i.past, 0, in)
	i.past = i.past[:min(len(i.past), maxIncidents)]
}
