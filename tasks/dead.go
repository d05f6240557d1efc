package tasks

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

// DeadLetter is a task that failed for good, and what is needed to judge it
// and to hand it over again.
type DeadLetter struct {
	Task
	// Fingerprint is the same for letters of one kind that failed alike.
	Fingerprint string `json:"fingerprint"`
	// Crashes is how many workers died while they ran it.
	Crashes int `json:"crashes,omitempty"`
	// Tasks is how many tasks of a batch it stands for, where it is a bundle.
	Tasks int `json:"tasks,omitempty"`
	// Options and Payload are what it was handed over with. Lists leave them out.
	Options *Options        `json:"options,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Replayed is how a dead letter came back into its queue.
type Replayed struct {
	// Times is how often; attempts are counted anew each time.
	Times int `json:"times"`
	// At is when it was replayed last, and Reason why it had failed before.
	At     time.Time `json:"at"`
	Reason Reason    `json:"reason,omitempty"`
}

// DeadFilter chooses dead letters; its zero value chooses all.
type DeadFilter struct {
	Kind   string `json:"kind,omitempty"`
	Queue  string `json:"queue,omitempty"`
	Reason Reason `json:"reason,omitempty"`
	// Group is a fingerprint.
	Group string `json:"group,omitempty"`
	// Since and Before bound when they failed: from Since on, and before Before.
	Since  time.Time `json:"since,omitzero"`
	Before time.Time `json:"before,omitzero"`
}

// Empty reports that the filter chooses every dead letter.
func (f DeadFilter) Empty() bool { return f == DeadFilter{} }

var fingerprintPattern = regexp.MustCompile(`^[0-9a-f]{12}$`)

// Check reports every field that could choose nothing. Errors are
// *InvalidError.
func (f DeadFilter) Check() error {
	var bad faults
	bad.check(f.Kind == "" || slices.Contains(KindNames(), f.Kind), "kind",
		"must be one of %s, got %q", strings.Join(KindNames(), ", "), clip(f.Kind, 60))
	bad.check(f.Queue == "" || slices.Contains(Queues(), f.Queue), "queue",
		"must be one of %s, got %q", strings.Join(Queues(), ", "), clip(f.Queue, 60))
	bad.check(f.Kind == "" || f.Queue == "" || f.Queue == Queue(f.Kind) || f.Queue == BulkQueue(f.Kind), "queue",
		"is not a queue of kind %q: leave one of them out", clip(f.Kind, 60))
	bad.check(f.Reason == "" || slices.Contains(Reasons(), f.Reason), "reason",
		"must be one of %s, got %q", joinReasons(), clip(string(f.Reason), 60))
	bad.check(f.Group == "" || fingerprintPattern.MatchString(f.Group), "group",
		"must be a fingerprint of 12 hexadecimal digits, as the list of groups shows them, got %q", clip(f.Group, 60))
	bad.check(f.Since.IsZero() || f.Before.IsZero() || f.Since.Before(f.Before), "before",
		"must be after since (%s), got %s", f.Since.Format(time.RFC3339), f.Before.Format(time.RFC3339))
	return bad.err()
}

func joinReasons() string {
	var names []string
	for _, r := range Reasons() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// DeadPage is a part of a list of dead letters, the latest first.
type DeadPage struct {
	Letters []DeadLetter `json:"letters"`
	// Next continues the list where it ended; empty at its end. A page may hold
	// less than was asked for, and still have a next.
	Next string `json:"next,omitempty"`
	// Total counts the dead letters of the queues that were looked at, whatever
	// else the filter says.
	Total int64 `json:"total"`
}

// DeadGroup is the dead letters of one kind that failed alike.
type DeadGroup struct {
	Fingerprint string `json:"fingerprint"`
	Kind        string `json:"kind"`
	Reason      Reason `json:"reason"`
	// Message and Example are the message and the id of the latest of them.
	Message string    `json:"message"`
	Example string    `json:"example"`
	Count   int       `json:"count"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
}

// DeadGroups are dead letters grouped by fingerprint, the largest group first.
type DeadGroups struct {
	Groups []DeadGroup `json:"groups"`
	// Letters is how many were looked at and fit the filter.
	Letters int `json:"letters"`
	// Partial tells that there are more letters or groups than are looked at.
	Partial bool `json:"partial,omitempty"`
}

// Replay is what to change of a dead letter as it is replayed; its zero value
// changes nothing.
type Replay struct {
	// Payload replaces the payload; it is checked as for a new task.
	Payload json.RawMessage `json:"payload,omitempty"`
	Options ReplayOptions   `json:"options,omitzero"`
}

// ReplayOptions are the options of a task that a replay can change; zero values
// keep what was.
type ReplayOptions struct {
	Timeout   Duration `json:"timeout,omitzero"`
	MaxRetry  *int     `json:"max_retry,omitempty"`
	Retention Duration `json:"retention,omitzero"`
}

// Empty reports that nothing is changed.
func (r Replay) Empty() bool {
	return len(r.Payload) == 0 && r.Options == ReplayOptions{}
}

// DecodeReplay reads a Replay strictly; errors are *InvalidError.
func DecodeReplay(raw []byte) (Replay, error) {
	var r Replay
	err := decodeStrict(raw, &r)
	return r, err
}

// MaxDeadRate is the highest rate of a replay, in tasks a second.
const MaxDeadRate = 10_000

// DeadCall is what to do with many dead letters at once.
type DeadCall struct {
	DeadFilter
	// All must be set where the filter is empty and the letters are deleted.
	All bool `json:"all,omitempty"`
	// Limit bounds how many are taken, the oldest first; 0 takes all.
	Limit int `json:"limit,omitempty"`
	// Rate bounds a replay in tasks a second; 0 does not.
	Rate float64 `json:"rate,omitempty"`
	// DryRun counts and touches nothing.
	DryRun bool `json:"dry_run,omitempty"`
}

// DecodeDeadCall reads a DeadCall strictly; errors are *InvalidError.
func DecodeDeadCall(raw []byte) (DeadCall, error) {
	var c DeadCall
	err := decodeStrict(raw, &c)
	return c, err
}

// Check reports every field that cannot be used. Errors are *InvalidError.
func (c DeadCall) Check() error {
	var bad faults
	if err := c.DeadFilter.Check(); err != nil {
		bad = err.(*InvalidError).Fields //nolint:errorlint,forcetypeassert // Check makes no other
	}
	bad.check(c.Limit >= 0, "limit", "must be 0 (all) or more, got %d", c.Limit)
	bad.check(c.Rate >= 0 && c.Rate <= MaxDeadRate, "rate", "must be from 0 (unbounded) to %d tasks a second, got %g", MaxDeadRate, c.Rate)
	bad.check(!c.All || c.Empty(), "all", "must not be set together with a filter")
	return bad.err()
}

// DeadSweep is what became of many dead letters at once.
type DeadSweep struct {
	DryRun bool `json:"dry_run,omitempty"`
	// Matched is how many letters fit, Done how many were replayed or deleted,
	// Gone how many somebody else had dealt with meanwhile, Refused how many stay
	// because they cannot be replayed as they are: their payload is damaged.
	Matched int `json:"matched"`
	Done    int `json:"done"`
	Gone    int `json:"gone,omitempty"`
	Refused int `json:"refused,omitempty"`
	// Groups are the letters that fit by fingerprint: what a dry run is for.
	Groups []DeadGroup `json:"groups,omitempty"`
	// Stopped tells why it ended before all that fit were dealt with: limit,
	// full (a queue has no room), memory (Redis has none), or time.
	Stopped string `json:"stopped,omitempty"`
	// StartedAt is when it began. Letters that failed later were left alone: a
	// call that goes on with it gives it as before.
	StartedAt time.Time `json:"started_at"`
}
