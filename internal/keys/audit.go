package keys

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
)

// Class keeps what comes in masses from pushing out what is rare.
type Class string

// The classes of entries; each is bounded on its own.
const (
	Changes  Class = "changes"  // of keys, endpoints, dead letters, and cancels
	Handed   Class = "handed"   // tasks and batches that were handed over
	Refusals Class = "refusals" // of doors that stayed shut
)

// Classes lists every class.
func Classes() []Class { return []Class{Changes, Handed, Refusals} }

const (
	// AuditKeep is how many entries of a class are kept.
	AuditKeep = 10_000
	// auditBuffer is how many wait to be written.
	auditBuffer = 8192
	auditEvery  = 200 * time.Millisecond
	auditPage   = 500
)

// Entry is one line of the audit log: who did what. It has no payload and no
// secret.
type Entry struct {
	At    time.Time `json:"at"`
	Class Class     `json:"class"`
	// Key and Name are the key's; empty where none was needed.
	Key  string `json:"key,omitempty"`
	Name string `json:"name,omitempty"`
	// Action is what was done, as "enqueue" or "revoke key".
	Action string `json:"action"`
	// Object is the id that it was done to.
	Object string `json:"object,omitempty"`
	Kind   string `json:"kind,omitempty"`
	// Count is how many tasks; 0 if that says nothing.
	Count     int    `json:"count,omitempty"`
	Status    int    `json:"status,omitempty"`
	Remote    string `json:"remote,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

func auditKey(c Class) string { return "jobyard:audit:" + string(c) }

// Audit writes the audit log behind the caller's back, so that it costs no
// request a round trip. Run must run; entries over what can be written are
// counted and that is written instead.
type Audit struct {
	broker *broker.Broker
	queue  chan Entry
	lost   atomic.Int64
	now    func() time.Time
}

// NewAudit returns the audit log in the store's Redis.
func (s *Store) NewAudit() *Audit {
	return &Audit{broker: s.broker, queue: make(chan Entry, auditBuffer), now: s.now}
}

// Note adds an entry.
func (a *Audit) Note(e Entry) {
	e.At = a.now().UTC().Truncate(time.Millisecond)
	select {
	case a.queue <- e:
	default:
		a.lost.Add(1)
	}
}

// Run writes entries until ctx ends, and then those that are left.
func (a *Audit) Run(ctx context.Context) error {
	tick := time.NewTicker(auditEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return a.Flush(context.WithoutCancel(ctx))
		case <-tick.C:
			// What Redis did not take is gone: the log must not fill memory.
			_ = a.Flush(ctx)
		}
	}
}

// Flush writes what waits.
func (a *Audit) Flush(ctx context.Context) error {
	for {
		page := a.page()
		if n := a.lost.Swap(0); n > 0 {
			page = append(page, Entry{At: a.now(), Class: Refusals, Action: "entries of this log were lost", Count: int(n)})
		}
		if len(page) == 0 {
			return nil
		}
		if err := a.Write(ctx, page...); err != nil {
			a.lost.Add(int64(len(page)))
			return err
		}
	}
}

func (a *Audit) page() []Entry {
	var page []Entry
	for len(page) < auditPage {
		select {
		case e := <-a.queue:
			page = append(page, e)
		default:
			return page
		}
	}
	return page
}

// Write writes entries now.
func (a *Audit) Write(ctx context.Context, entries ...Entry) error {
	ctx, cancel := a.broker.CallContext(ctx)
	defer cancel()
	_, err := a.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, e := range entries {
			p.XAdd(ctx, &redis.XAddArgs{Stream: auditKey(e.Class), MaxLen: AuditKeep, Approx: true, Values: e.fields()})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write audit log: %w", a.broker.Explain(err))
	}
	return nil
}

func (e Entry) fields() []string {
	all := []string{"at", strconv.FormatInt(e.At.UnixMilli(), 10)}
	for _, f := range [][2]string{
		{"key", e.Key}, {"name", e.Name}, {"action", e.Action}, {"object", e.Object}, {"kind", e.Kind},
		{"remote", e.Remote}, {"request", e.RequestID},
	} {
		if f[1] != "" {
			all = append(all, f[0], clip(f[1]))
		}
	}
	for _, f := range []struct {
		name string
		n    int
	}{{"count", e.Count}, {"status", e.Status}} {
		if f.n != 0 {
			all = append(all, f.name, strconv.Itoa(f.n))
		}
	}
	return all
}

// clip bounds what a stranger chose.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200]
	}
	return s
}

// Last returns the newest entries, the newest first; without classes those of
// all.
func (a *Audit) Last(ctx context.Context, n int, classes ...Class) ([]Entry, error) {
	if len(classes) == 0 {
		classes = Classes()
	}
	ctx, cancel := a.broker.CallContext(ctx)
	defer cancel()
	cmds := make([]*redis.XMessageSliceCmd, len(classes))
	_, err := a.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, c := range classes {
			cmds[i] = p.XRevRangeN(ctx, auditKey(c), "+", "-", int64(n))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", a.broker.Explain(err))
	}
	var all []Entry
	for i, cmd := range cmds {
		for _, m := range cmd.Val() {
			all = append(all, parseEntry(classes[i], m.Values))
		}
	}
	slices.SortStableFunc(all, func(x, y Entry) int { return y.At.Compare(x.At) })
	return all[:min(n, len(all))], nil
}

func parseEntry(c Class, values map[string]any) Entry {
	text := func(name string) string { s, _ := values[name].(string); return s }
	number := func(name string) int64 { n, _ := strconv.ParseInt(text(name), 10, 64); return n }
	return Entry{
		At: time.UnixMilli(number("at")).UTC(), Class: c, Key: text("key"), Name: text("name"), Action: text("action"),
		Object: text("object"), Kind: text("kind"), Count: int(number("count")), Status: int(number("status")),
		Remote: text("remote"), RequestID: text("request"),
	}
}
