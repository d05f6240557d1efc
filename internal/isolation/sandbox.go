package isolation

import (
	"errors"
	"strings"
)

// ErrUnlocked tells that runners cannot be locked in as they are required to be.
var ErrUnlocked = errors.New("the sandbox is required")

// Mode says what a pool does about the sandbox.
type Mode string

// The modes. Off is for kinds that trust their input and for tests: children
// with limits, but without locks.
const (
	Required Mode = "required" // refuse to start where it is not full
	Auto     Mode = "auto"     // lock what can be locked, and say what is missing
	Off      Mode = "off"
)

func (m Mode) valid() bool { return m == Required || m == Auto || m == Off }

// Level says how well runners are locked in.
type Level string

// The levels, derived from trying.
const (
	Full    Level = "full"    // nothing that was tried succeeds
	Partial Level = "partial" // a process with limits, but something succeeds
	None    Level = "none"    // no locks
)

// Levels lists the closed list.
func Levels() []Level { return []Level{Full, Partial, None} }

// Report is what a runner found out about its own locks.
type Report struct {
	Level Level `json:"level"`
	// Landlock is the kernel's version of Landlock; 0 is none.
	Landlock int `json:"landlock"`
	// Seccomp says whether the filter of system calls is in force.
	Seccomp bool `json:"seccomp"`
	// Open lists what the runner can still do.
	Open []string `json:"open,omitempty"`
	// Missing says why a lock is not in force.
	Missing []string `json:"missing,omitempty"`
}

// String says the level and what is missing from it, on one line.
func (r Report) String() string {
	s := string(r.Level)
	if len(r.Open) > 0 {
		s += "; a runner can still " + strings.Join(r.Open, ", ")
	}
	if len(r.Missing) > 0 {
		s += "; " + strings.Join(r.Missing, "; ")
	}
	return s
}

// attempt is one thing that a runner must not be able to do. It reports
// whether it can.
type attempt struct {
	name string
	can  func() bool
}

// judge tries everything and derives the level.
func (r *Report) judge(attempts []attempt) {
	for _, a := range attempts {
		if a.can() {
			r.Open = append(r.Open, a.name)
		}
	}
	switch len(r.Open) {
	case 0:
		r.Level = Full
	case len(attempts):
		r.Level = None
	default:
		r.Level = Partial
	}
}
