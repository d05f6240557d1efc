package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

// check is one promise.
type check struct {
	Name  string `json:"name"`
	Value int    `json:"value"`
	Gate  int    `json:"gate"` // the most that is allowed
	OK    bool   `json:"ok"`
	Says  string `json:"says"`
}

// life is what the ledger knows of a task.
type life struct {
	offered, acked int64 // ms
	refusals       int
	left           bool    // it had no id, so its caller could not offer it again
	runs           []int64 // when each execution began
	first          *note   // the result as its caller saw it
	last           *note   // and at the end
}

// history is the whole ledger.
type history struct {
	tasks map[int]*life
	storm map[string]int
}

func readHistory(path string) (history, error) {
	h := history{tasks: map[int]*life{}, storm: map[string]int{}}
	err := readLedger(path, func(n note) {
		if n.What == noteStorm {
			h.storm[n.Text]++
			return
		}
		t := h.tasks[n.Task]
		if t == nil {
			t = &life{}
			h.tasks[n.Task] = t
		}
		switch n.What {
		case noteOffer:
			t.offered = n.At
		case noteAck:
			t.acked = n.At
		case noteRefuse:
			t.refusals++
		case noteLeave:
			t.left = true
		case noteRun:
			t.runs = append(t.runs, n.At)
		case noteResult:
			t.first = &n
		case noteAudit:
			t.last = &n
		}
	})
	return h, err
}

// judge compares the ledger with Redis's log.
func judge(dir string, r rest) (verdict, error) {
	h, err := readHistory(filepath.Join(dir, "ledger.ndjson"))
	if err != nil {
		return verdict{}, err
	}
	log, err := readLog(dir)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{Storm: h.storm, Figures: figures(h, r)}
	count := func(name, says string, broken func(n int, t *life) bool) {
		value := 0
		for n, t := range h.tasks {
			if broken(n, t) {
				value++
				v.example(name, n, t, log[n])
			}
		}
		v.Checks = append(v.Checks, check{name, value, 0, value == 0, says})
	}
	completed := func(n *note) bool { return n != nil && n.State == string(tasks.Completed) }

	count("never_acknowledged", "tasks that were offered again and again in vain", func(_ int, t *life) bool {
		return t.offered > 0 && t.acked == 0 && !t.left
	})
	count("lost", "acknowledged tasks without a result, in Redis's log or for their caller", func(n int, t *life) bool {
		return t.acked > 0 && (len(log[n]) == 0 || !completed(t.first) || !completed(t.last))
	})
	count("committed_twice", "tasks with more than one result in Redis's log", func(n int, _ *life) bool { return len(log[n]) > 1 })
	count("changed", "tasks whose result at the end is not what the caller saw, or not what the log has", func(n int, t *life) bool {
		return completed(t.first) && completed(t.last) && len(log[n]) > 0 && (t.first.Run != t.last.Run || t.last.Run != log[n][0])
	})
	count("wrong_result", "results that are of no execution of their task", func(_ int, t *life) bool {
		return completed(t.last) && (t.last.Run < 1 || t.last.Run > len(t.runs))
	})
	count("unasked", "tasks that ran although nobody had offered them", func(_ int, t *life) bool { return t.offered == 0 })

	add := func(name string, value int, says string) {
		v.Checks = append(v.Checks, check{name, value, 0, value == 0, says})
	}
	add("still_queued", int(r.queued), "tasks that still wait or run when all is done")
	add("dead_letters", int(r.dead), "tasks that were put aside")
	add("leases_left", int(r.leases), "leases of nodes and tasks when every worker has stopped")
	add("batches_open", int(r.open), "batches that nobody finished")
	add("odd_keys", len(r.odd), "keys in Redis that an idle yard does not have")
	v.Odd = r.odd
	return v, nil
}

// figures are told, not judged.
func figures(h history, r rest) []figure {
	var acked, runs, again, refusals, left int
	var first, rerun []time.Duration
	for _, t := range h.tasks {
		runs, refusals = runs+len(t.runs), refusals+t.refusals
		if t.acked > 0 {
			acked++
		}
		if t.left {
			left++
		}
		if t.acked > 0 && t.first != nil {
			first = append(first, time.Duration(t.first.At-t.acked)*time.Millisecond)
		}
		if len(t.runs) > 1 {
			again++
			rerun = append(rerun, time.Duration(t.runs[1]-t.runs[0])*time.Millisecond)
		}
	}
	all := []figure{
		{"tasks acknowledged", fmt.Sprint(acked)}, {"executions", fmt.Sprint(runs)},
		{"tasks executed more than once", fmt.Sprint(again)}, {"offers refused and repeated", fmt.Sprint(refusals)},
		{"offered without an id, refused and left", fmt.Sprint(left)},
		{"keys in Redis at the end", fmt.Sprint(r.keys)},
	}
	for _, of := range []struct {
		name  string
		spans []time.Duration
	}{{"acknowledged to result seen", first}, {"first to second execution", rerun}} {
		if len(of.spans) == 0 {
			continue
		}
		slices.Sort(of.spans)
		at := func(share float64) string { return of.spans[int(share*float64(len(of.spans)-1))].String() }
		all = append(all, figure{of.name, fmt.Sprintf("p50 %s, p99 %s, longest %s", at(0.5), at(0.99), at(1))})
	}
	return all
}
