// Package reuse says which results may serve equal tasks, for how long, and what
// makes two tasks equal.
//
// It promises that a task with a side effect is never equal to another one, and
// that tasks are only equal if the same version of the same job would be given
// the same payload, defaults included. It owns no data; package cache keeps the
// results. Both doors use it: who hands tasks over, and the worker.
package reuse

import (
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"time"

	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/tasks"
)

// Use is how a task's result may serve equal tasks.
type Use struct {
	Key cache.Key
	// For is how long after it was made.
	For time.Duration
	// keeps judges a result; nil takes every one.
	keeps func(result []byte) bool
}

// Keeps reports whether a result is good enough to serve others.
func (u Use) Keeps(result []byte) bool { return u.keeps == nil || u.keeps(result) }

// rule is what is known of a kind. It returns the payload with its defaults
// filled in, and how long its result may be used; 0 means not at all.
type rule struct {
	version int
	of      func(payload []byte) (canonical []byte, use time.Duration)
	keeps   func(result []byte) bool
}

// Ever reports whether any result of a kind may serve equal tasks.
func Ever(kind string) bool { return rules[kind].of != nil }

// Known reports whether somebody has decided about a kind.
func Known(kind string) bool {
	_, known := rules[kind]
	return known
}

// Of says how the result of a checked request may be used; ok is false if it may
// not. The payload is in the canonical form in which it is queued.
func Of(kind string, payload []byte) (use Use, ok bool) {
	r := rules[kind]
	if r.of == nil {
		return Use{}, false
	}
	canonical, lasts := r.of(payload)
	if lasts <= 0 {
		return Use{}, false
	}
	h := sha256.New()
	h.Write([]byte(kind + "\n" + strconv.Itoa(r.version) + "\n"))
	h.Write(canonical)
	use = Use{For: lasts, keeps: r.keeps}
	h.Sum(use.Key[:0])
	return use, true
}

// typed makes a rule's function of one that works on the kind's own payload: it
// changes what is a default, and says how long a result may be used.
func typed[P tasks.Payload, R any](_ tasks.Kind[P, R], normal func(*P) time.Duration) func([]byte) ([]byte, time.Duration) {
	return func(payload []byte) ([]byte, time.Duration) {
		var p P
		if json.Unmarshal(payload, &p) != nil {
			return nil, 0 // the job will say what is wrong
		}
		use := normal(&p)
		if use <= 0 {
			return nil, 0
		}
		canonical, err := json.Marshal(p)
		if err != nil {
			return nil, 0
		}
		return canonical, use
	}
}
