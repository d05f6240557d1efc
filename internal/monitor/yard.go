package monitor

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// maxNodes bounds the nodes that are shown, and so the label values.
	maxNodes = 200
	// maxName and maxWord bound what a node says of itself, in characters.
	maxName = 80
	maxWord = 16
	// readTimeout bounds one look, so that scrapes and samples stay quick while
	// Redis is away.
	readTimeout = 2 * time.Second
)

// yard is what one look at Redis gives.
type yard struct {
	at     time.Time
	queues []results.Queue
	nodes  []broker.Node
	redis  Redis
	hidden int // nodes over maxNodes
	// answered counts tasks that were answered at the door, by queue and tier;
	// doorFault is why that is not known.
	answered  map[string]map[string]int64
	doorFault string
}

// readYard looks once.
func readYard(ctx context.Context, b *broker.Broker, s *results.Store, now func() time.Time) (yard, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	queues, err := s.Queues(ctx)
	if err != nil {
		return yard{}, err
	}
	nodes, err := b.Nodes(ctx)
	if err != nil {
		return yard{}, err
	}
	at := now()
	y := yard{at: at, queues: queues, nodes: cleanNodes(nodes, at), redis: readRedis(ctx, b)}
	if y.answered, err = s.Answered(ctx); err != nil {
		y.doorFault = clean(err.Error(), 300)
	}
	if over := len(y.nodes) - maxNodes; over > 0 {
		y.nodes, y.hidden = y.nodes[:maxNodes], over
	}
	slices.SortFunc(y.nodes, byName)
	return y, nil
}

// byName orders nodes as they are shown: each keeps its place while it lives,
// and those that said goodbye go to the end.
func byName(a, b broker.Node) int {
	if gone := a.State == "stopped"; gone != (b.State == "stopped") {
		if gone {
			return 1
		}
		return -1
	}
	return natural(a.ID, b.ID)
}

// natural compares names so that yard-2 comes before yard-10.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := a[:digits(a)], b[:digits(b)]
		if x != "" && y != "" {
			if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[len(x):], b[len(y):]
			continue
		}
		if a[0] != b[0] {
			break
		}
		a, b = a[1:], b[1:]
	}
	return strings.Compare(a, b)
}

// digits is how long the number is with which s begins.
func digits(s string) int {
	rest := strings.TrimLeft(s, "0123456789")
	return len(s) - len(rest)
}

// cleanNodes makes heartbeats safe to show: each name once, printable and of
// bounded length, no impossible figures, only the yard's kinds. Living nodes
// come first and then the longest living, so that a cut takes the same ones
// each time.
func cleanNodes(nodes []broker.Node, now time.Time) []broker.Node {
	seen := make(map[string]bool, len(nodes))
	list := make([]broker.Node, 0, len(nodes))
	for _, n := range nodes {
		n.ID = clean(n.ID, maxName)
		if n.ID == "" || seen[n.ID] {
			continue
		}
		seen[n.ID] = true
		n.Host, n.Version = clean(n.Host, maxName), clean(n.Version, maxName)
		n.State, n.Isolation = clean(n.State, maxWord), clean(n.Isolation, maxWord)
		n.RSS, n.HeapLive, n.MemoryLimit = max(0, n.RSS), max(0, n.HeapLive), max(0, n.MemoryLimit)
		n.Goroutines, n.OpenFiles = max(0, n.Goroutines), max(0, n.OpenFiles)
		if math.IsNaN(n.CPUPercent) || math.IsInf(n.CPUPercent, 0) {
			n.CPUPercent = 0
		}
		n.CPUPercent = min(max(0, n.CPUPercent), 100_000)
		n.Kinds, n.Runners = cleanKinds(n.Kinds), cleanRunners(n.Runners)
		n.Threads, n.Load, n.GCShare, n.PauseP99 = max(0, n.Threads), max(0, n.Load), share(n.GCShare), max(0, n.PauseP99)
		n.Budget, n.Leaks, n.Cache = cleanBudget(n.Budget), cleanLeaks(n.Leaks), cleanTiers(n.Cache)
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b broker.Node) int {
		if up := a.Up(now); up != b.Up(now) {
			if up {
				return -1
			}
			return 1
		}
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), strings.Compare(a.ID, b.ID))
	})
	return list
}

func cleanKinds(kinds map[string]broker.NodeKind) map[string]broker.NodeKind {
	known := make(map[string]broker.NodeKind, len(tasks.KindNames()))
	for _, name := range tasks.KindNames() {
		if k, ok := kinds[name]; ok {
			k.Slots, k.Busy = max(0, k.Slots), max(0, k.Busy)
			k.Completed, k.Failed = max(0, k.Completed), max(0, k.Failed)
			k.Cached = cleanCached(k.Cached)
			k.Wait, k.BulkWait, k.Run = k.Wait.Clean(), k.BulkWait.Clean(), k.Run.Clean()
			k.PeakMemory = min(max(0, k.PeakMemory), math.MaxInt64/2)
			if math.IsNaN(k.RunSeconds) || k.RunSeconds < 0 || k.RunSeconds > 1e12 {
				k.RunSeconds = 0
			}
			known[name] = k
		}
	}
	return known
}

// maxRunners bounds the runners that are shown of a node.
const maxRunners = 64

func cleanRunners(runners []broker.NodeRunner) []broker.NodeRunner {
	runners = runners[:min(len(runners), maxRunners)]
	for i, r := range runners {
		r.Kind, r.State, r.RSS, r.AgeSeconds, r.Done = clean(r.Kind, maxWord), clean(r.State, maxWord), max(0, r.RSS), max(0, r.AgeSeconds), max(0, r.Done)
		if !tasks.ValidID(r.Task) {
			r.Task = ""
		}
		runners[i] = r
	}
	slices.SortFunc(runners, func(a, b broker.NodeRunner) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), cmp.Compare(a.PID, b.PID))
	})
	return runners
}

// clean bounds a text and replaces what terminals and log readers could take
// for a command.
func clean(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > most {
			b.WriteRune('…')
			break
		}
		if !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		b.WriteRune(r)
	}
	return b.String()
}
