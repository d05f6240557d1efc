package results

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// bundleTasks and bundleBytes bound a bundle, bundledPayload a task in it.
	// asynq writes the payloads of running tasks with each of its heartbeats.
	bundleTasks    = 100
	bundleBytes    = 64 << 10
	bundledPayload = 4 << 10
	// bundleShares is into how many bundles even a small batch is cut, so that
	// many slots share it.
	bundleShares = 16
)

// plan says which unit each task of a batch is part of. It is fixed when the
// batch is written: another version may cut otherwise.
type plan struct {
	kinds  []string
	places []place
}

// place is the unit of one task: a bundle's number, or lone.
type place struct {
	kind byte // index of plan.kinds
	unit uint16
}

const (
	lone      = 0xffff
	placeSize = 3
)

// newPlan cuts checked requests into units. Small tasks that may start at once
// go in bundles with others of their kind that are kept as long.
func newPlan(requests []tasks.Request, now time.Time) plan {
	type class struct {
		kind      string
		retention tasks.Duration
	}
	type cut struct{ bundle, count, bytes, most int }
	p := plan{places: make([]place, len(requests))}
	cuts := map[class]*cut{}
	bundled := func(r tasks.Request) bool {
		// A blob lives as long as the record of the task that names it.
		return len(r.Payload) <= bundledPayload && r.Options.Start(now).IsZero() && r.Blob() == ""
	}
	for _, r := range requests {
		if c := (class{r.Kind, r.Options.Retention}); bundled(r) {
			if cuts[c] == nil {
				cuts[c] = &cut{bundle: -1}
			}
			cuts[c].most++
		}
	}
	for _, c := range cuts {
		c.most = min(bundleTasks, max(1, (c.most+bundleShares-1)/bundleShares))
	}
	bundles := 0
	for i, r := range requests {
		k := slices.Index(p.kinds, r.Kind)
		if k < 0 {
			k, p.kinds = len(p.kinds), append(p.kinds, r.Kind)
		}
		p.places[i] = place{byte(k), lone}
		c := cuts[class{r.Kind, r.Options.Retention}]
		if !bundled(r) || c.most == 1 {
			continue
		}
		if c.bundle < 0 || c.count == c.most || c.bytes+len(r.Payload) > bundleBytes {
			*c = cut{bundle: bundles, most: c.most}
			bundles++
		}
		c.count, c.bytes = c.count+1, c.bytes+len(r.Payload)
		p.places[i].unit = uint16(c.bundle)
	}
	p.freeSingles(bundles)
	return p
}

// freeSingles makes lone tasks of bundles that got only one.
func (p plan) freeSingles(bundles int) {
	members := make([]int, bundles)
	for _, pl := range p.places {
		if pl.unit != lone {
			members[pl.unit]++
		}
	}
	for i, pl := range p.places {
		if pl.unit != lone && members[pl.unit] == 1 {
			p.places[i].unit = lone
		}
	}
}

// bytes is the plan as it is kept.
func (p plan) bytes() []byte {
	out := make([]byte, 0, placeSize*len(p.places))
	for _, pl := range p.places {
		out = append(out, pl.kind, byte(pl.unit>>8), byte(pl.unit))
	}
	return out
}

func parsePlan(b batch, text string) plan {
	p := plan{kinds: b.kinds, places: make([]place, 0, len(text)/placeSize)}
	for ; len(text) >= placeSize; text = text[placeSize:] {
		p.places = append(p.places, parsePlace(text))
	}
	return p
}

func parsePlace(text string) place { return place{text[0], uint16(text[1])<<8 | uint16(text[2])} }

func (p plan) kind(pl place) string {
	if int(pl.kind) < len(p.kinds) {
		return p.kinds[pl.kind]
	}
	return ""
}

// unit is a part of a batch that is one asynq task: a bundle or a lone task.
type unit struct {
	batch, id, queue string
	bit              int   // its place among the bits of final units
	tasks            []int // the numbers of its tasks
}

func (u unit) key() string              { return broker.TaskKey(u.queue, u.id) }
func (u unit) bundled() bool            { return strings.HasPrefix(u.id[len(u.batch):], ".b") }
func itemID(batch string, n int) string { return batch + "." + strconv.Itoa(n) }

// unitBit is the place of a unit's bit: bundles have the odd ones.
func unitBit(k int, bundle bool) int {
	if bundle {
		return 2*k + 1
	}
	return 2 * k
}

func bundleUnit(batch string, k int, kind string) unit {
	return unit{batch: batch, id: batch + ".b" + strconv.Itoa(k), queue: tasks.BulkQueue(kind), bit: unitBit(k, true)}
}

func loneUnit(batch string, n int, kind string) unit {
	return unit{batch: batch, id: itemID(batch, n), queue: tasks.BulkQueue(kind), bit: unitBit(n, false), tasks: []int{n}}
}

// units lists the units of a batch in the order of their first tasks.
func (p plan) units(b batch) []unit {
	var all []unit
	at := map[uint16]int{}
	for n, pl := range p.places {
		if pl.unit == lone {
			all = append(all, loneUnit(b.id, n, p.kind(pl)))
			continue
		}
		i, known := at[pl.unit]
		if !known {
			i, at[pl.unit] = len(all), len(all)
			all = append(all, bundleUnit(b.id, int(pl.unit), p.kind(pl)))
		}
		all[i].tasks = append(all[i].tasks, n)
	}
	return all
}

// splitItem takes the id of a batch's task apart. Other tasks may have such an
// id too: only the batch tells.
func splitItem(id string) (batch string, n int, ok bool) {
	dot := strings.LastIndexByte(id, '.')
	if dot <= 0 {
		return "", 0, false
	}
	n, err := strconv.Atoi(id[dot+1:])
	ok = err == nil && n >= 0 && n < tasks.MaxBatchTasks && strconv.Itoa(n) == id[dot+1:]
	return id[:dot], n, ok
}

// splitUnit takes the id of a unit apart; for a bundle, k is its number.
func splitUnit(id string) (batch string, k int, bundle, ok bool) {
	if batch, k, ok = splitItem(id); ok {
		return batch, k, false, true
	}
	dot := strings.LastIndexByte(id, '.')
	if dot <= 0 || !strings.HasPrefix(id[dot:], ".b") {
		return "", 0, false, false
	}
	k, err := strconv.Atoi(id[dot+2:])
	return id[:dot], k, true, err == nil && k >= 0 && k < lone
}

// reserved tells which batch an id would belong to, if there is such a batch.
func reserved(id string) (batch string, ok bool) {
	if batch, _, _, ok = splitUnit(id); ok {
		return batch, ok
	}
	return strings.CutSuffix(id, CallbackID(""))
}

// bitSet reads a bit as Redis's GETBIT does.
func bitSet(bits string, at int) bool {
	return at/8 < len(bits) && bits[at/8]>>(7-at%8)&1 == 1
}
