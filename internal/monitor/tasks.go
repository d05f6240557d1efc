package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// apiCalls bounds the calls under way that look tasks up.
	apiCalls = 4
	// maxListed bounds a page of a list, maxSkip how far one may turn.
	maxListed, maxSkip = 100, 4900
	// apiTimeout bounds one call.
	apiTimeout = 10 * time.Second
)

// taskView is a task as its page shows it.
type taskView struct {
	Task     tasks.Task         `json:"task"`
	Timeline []moment           `json:"timeline"`
	Why      Why                `json:"why"`
	Retried  int                `json:"retried"`
	MaxRetry int                `json:"max_retry"`
	Crashes  int                `json:"crashes,omitempty"`
	Stands   int                `json:"stands_for,omitempty"`
	Payload  content            `json:"payload"`
	Result   content            `json:"result"`
	Runner   *broker.NodeRunner `json:"runner,omitempty"`
	ReadOnly bool               `json:"read_only"`
}

// moment is one step of a task's life.
type moment struct {
	// What is enqueued, ready, due, picked, running, completed, archived, canceled
	// or retry.
	What string `json:"what"`
	// At is missing where only the order is known.
	At   time.Time `json:"at,omitzero"`
	Note string    `json:"note,omitempty"`
	// Next tells that it is still to come.
	Next bool `json:"next,omitempty"`
}

// content is a payload or result as it may be shown: without what looks like a
// secret, and not all of what is large.
type content struct {
	Bytes  int64  `json:"bytes"`
	Text   string `json:"text"`
	Hidden int    `json:"hidden"`
}

func show(raw []byte, kept int64) content {
	if len(raw) == 0 {
		return content{Bytes: kept}
	}
	c := content{Bytes: max(kept, int64(len(raw)))}
	c.Text, c.Hidden = masked(raw)
	return c
}

// problem answers with an error that says what to do.
func problem(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": fmt.Sprintf(format, args...)}) //nolint:errcheck // the client went away
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client went away
}

// failed answers for an error of the store.
func (m *Monitor) failed(w http.ResponseWriter, err error) {
	invalid, isInvalid := errors.AsType[*tasks.InvalidError](err)
	full, isFull := errors.AsType[*results.FullError](err)
	switch {
	case isInvalid:
		problem(w, http.StatusBadRequest, "%s", clip(invalid.Error(), maxString))
	case isFull:
		problem(w, http.StatusTooManyRequests, "%s", full.Error())
	case errors.Is(err, results.ErrNotFound):
		problem(w, http.StatusNotFound, "no task has this id, or it is no longer kept")
	case errors.Is(err, results.ErrFinal):
		problem(w, http.StatusConflict, "the task has ended already")
	case errors.Is(err, results.ErrNotDue), errors.Is(err, results.ErrNotDead):
		problem(w, http.StatusConflict, "the task does not wait for a retry any more: look again")
	default:
		m.log.Warn().Err(err).Msg("a call of the page failed")
		problem(w, http.StatusServiceUnavailable, "redis did not answer: try again in a moment")
	}
}

// bounded lets a few calls through at once, for a bounded time each.
func (m *Monitor) bounded(next func(ctx context.Context, w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), apiTimeout)
		defer cancel()
		select {
		case m.calls <- struct{}{}:
			defer func() { <-m.calls }()
			next(ctx, w, r)
		case <-ctx.Done():
			w.Header().Set("Retry-After", "2")
			problem(w, http.StatusServiceUnavailable, "too many calls at once: try again in a moment")
		}
	}
}

// serveTasks lists tasks by kind, state and reason.
func (m *Monitor) serveTasks(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := results.ListFilter{Kind: q.Get("kind"), State: tasks.State(q.Get("state")), Reason: tasks.Reason(q.Get("reason"))}
	skip, skipErr := bound(q.Get("skip"), 0, maxSkip)
	limit, limitErr := bound(q.Get("limit"), 50, maxListed)
	switch {
	case f.Kind != "" && !slices.Contains(tasks.KindNames(), f.Kind):
		problem(w, http.StatusBadRequest, "kind must be one of %s", strings.Join(tasks.KindNames(), ", "))
	case f.State != "" && !slices.Contains(tasks.States(), f.State):
		problem(w, http.StatusBadRequest, "state must be one of %v", tasks.States())
	case f.Reason != "" && !slices.Contains(tasks.Reasons(), f.Reason):
		problem(w, http.StatusBadRequest, "reason must be one of %v", tasks.Reasons())
	case skipErr != nil || limitErr != nil:
		problem(w, http.StatusBadRequest, "skip must be a number from 0 to %d, limit one from 1 to %d", maxSkip, maxListed)
	default:
		f.Skip, f.Limit = skip, max(1, limit)
		l, err := m.store.List(ctx, f)
		if err != nil {
			m.failed(w, err)
			return
		}
		for i := range l.Tasks {
			m.shorten(&l.Tasks[i])
		}
		answer(w, struct {
			Tasks []tasks.Task `json:"tasks"`
			More  bool         `json:"more"`
			Cut   bool         `json:"cut"`
		}{append([]tasks.Task{}, l.Tasks...), l.More, l.Cut})
	}
}

// shorten leaves out what the pages show otherwise, and masks a message.
func (m *Monitor) shorten(t *tasks.Task) {
	t.Result = nil
	if t.Error != nil {
		e := *t.Error
		mask := masker{}
		e.Message, e.Fields = mask.text(e.Message, maxString), nil
		t.Error = &e
	}
}

// bound reads a number from 0 to most.
func bound(text string, otherwise, most int) (int, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("must be from 0 to %d, got %q", most, clip(text, 20))
	}
	return n, nil
}

// serveTask answers with all that is known of one task.
func (m *Monitor) serveTask(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	st, err := m.store.Standing(ctx, r.PathValue("id"))
	if err != nil {
		m.failed(w, err)
		return
	}
	o := m.latest.Load()
	if o == nil {
		problem(w, http.StatusServiceUnavailable, "no sample yet: try again in a moment")
		return
	}
	v := taskView{
		Task: st.Task, Timeline: timeline(st), Retried: st.Retried, MaxRetry: st.MaxRetry, Crashes: st.Crashes, Stands: st.Stands,
		Payload: show(st.Payload, st.PayloadBytes), Result: show(st.Task.Result, st.ResultBytes), ReadOnly: m.cfg.ReadOnly,
	}
	m.shorten(&v.Task)
	masking := st
	masking.Task = v.Task
	v.Why = why(masking, o)
	for _, n := range o.Nodes {
		for _, runner := range n.Runners {
			if runner.Task == st.Task.ID && n.ID == st.Task.Node {
				v.Runner = &runner
			}
		}
	}
	answer(w, v)
}

// timeline is a task's life, as far as its record tells.
func timeline(st results.Standing) []moment {
	t := st.Task
	line := []moment{{What: "enqueued", At: t.EnqueuedAt, Note: "in queue " + t.Queue}}
	if st.PendingSince.Sub(t.EnqueuedAt) > time.Second {
		line = append(line, moment{What: "ready", At: st.PendingSince, Note: "its time had come, or it was handed back"})
	}
	// A task that waits again keeps the start of its last attempt.
	if !t.StartedAt.IsZero() {
		line = append(line, moment{What: "picked", At: t.StartedAt, Note: fmt.Sprintf("attempt %d, node %s", max(1, t.Attempts), t.Node)})
	}
	// The clocks of producers and workers may differ: what was handed over comes
	// first in any case.
	slices.SortStableFunc(line[1:], func(a, b moment) int { return a.At.Compare(b.At) })
	switch t.State {
	case tasks.Pending:
		line = append(line, moment{What: "picked", Next: true})
	case tasks.Scheduled, tasks.Retry:
		note := "scheduled"
		if t.State == tasks.Retry {
			note = "its attempt failed, the next one is due"
		}
		line = append(line, moment{What: "due", At: st.DueAt, Note: note, Next: true})
	case tasks.Active:
		line = append(line, moment{What: "running"}, moment{What: "completed", Next: true})
	default:
		line = append(line, moment{What: string(t.State), At: t.FinishedAt, Note: map[tasks.State]string{
			tasks.Completed: "its result is committed", tasks.Archived: "a dead letter: replay or delete it", tasks.Canceled: "withdrawn",
		}[t.State]})
	}
	return line
}

// serveDead answers with the dead letters, grouped.
func (m *Monitor) serveDead(ctx context.Context, w http.ResponseWriter, _ *http.Request) {
	found, err := m.deadGroups(ctx)
	if err != nil {
		m.failed(w, err)
		return
	}
	answer(w, struct {
		tasks.DeadGroups
		ReadOnly bool `json:"read_only"`
	}{found, m.cfg.ReadOnly})
}
