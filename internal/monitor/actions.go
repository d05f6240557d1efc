package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"

	"github.com/jobyard/jobyard/internal/monitor/scale"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// maxBody bounds what is sent with an action: a payload that is changed is the
// largest, and no larger one is shown whole.
const maxBody = 2 * maxDocument

// actions adds the routes that change something. Each is refused while the
// monitor is read-only, and if a page of another site asks.
func (m *Monitor) actions(mux *http.ServeMux) {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusForbidden, "this was asked by a page of another site")
	}))
	add := func(route string, do func(ctx context.Context, r *http.Request) (any, error)) {
		mux.Handle("POST "+route, guard.Handler(m.bounded(func(ctx context.Context, w http.ResponseWriter, r *http.Request) {
			if m.cfg.ReadOnly {
				problem(w, http.StatusForbidden, "this monitor only shows: start it with --read-only=false to let its pages change things")
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			did, err := do(ctx, r)
			log := m.log.Info()
			if err != nil {
				log = m.log.Warn().Err(err)
			}
			log.Str("action", r.URL.Path).Str("from", r.RemoteAddr).Any("did", did).Msg("asked by the page")
			if bad := (*badCallError)(nil); errors.As(err, &bad) {
				problem(w, http.StatusBadRequest, "%s", bad.text)
				return
			}
			if err != nil {
				m.failed(w, err)
				return
			}
			answer(w, did)
		})))
	}
	add("/api/tasks/{id}/cancel", m.cancelTask)
	add("/api/tasks/{id}/retry", m.retryTask)
	add("/api/tasks/{id}/replay", m.replayEdited)
	add("/api/nodes/{id}/drain", m.drainNode)
	add("/api/nodes/{id}/resume", m.resumeNode)
	add("/api/dead/replay", m.sweep("replay"))
	add("/api/dead/delete", m.sweep("delete"))
}

// badCallError is a call that cannot be understood.
type badCallError struct{ text string }

// Error says what is wrong with it.
func (e *badCallError) Error() string { return e.text }

func (m *Monitor) cancelTask(ctx context.Context, r *http.Request) (any, error) {
	t, err := m.store.Cancel(ctx, r.PathValue("id"))
	m.shorten(&t)
	return t, err
}

// retryTask makes a task run again, or sooner.
func (m *Monitor) retryTask(ctx context.Context, r *http.Request) (any, error) {
	st, err := m.store.Standing(ctx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	switch st.Task.State {
	case tasks.Retry, tasks.Scheduled:
		err = m.store.Hasten(ctx, st.Task)
	case tasks.Archived:
		_, err = m.moveOne(ctx, st.Task.ID, "replay")
	case tasks.Completed, tasks.Canceled:
		err = results.ErrFinal
	default:
		err = results.ErrNotDue
	}
	return map[string]string{"id": st.Task.ID}, err
}

// node finds a node that is shown by its name.
func (m *Monitor) node(r *http.Request) (Node, error) {
	if o := m.latest.Load(); o != nil {
		for _, n := range o.Nodes {
			if n.ID == r.PathValue("id") && n.State != "stopped" {
				return n, nil
			}
		}
	}
	return Node{}, &badCallError{"no living node has this name"}
}

func (m *Monitor) drainNode(ctx context.Context, r *http.Request) (any, error) {
	n, err := m.node(r)
	if err != nil {
		return nil, err
	}
	return map[string]string{"node": n.ID}, m.broker.AskDrain(ctx, n.ID)
}

func (m *Monitor) resumeNode(ctx context.Context, r *http.Request) (any, error) {
	n, err := m.node(r)
	if err != nil {
		return nil, err
	}
	return map[string]string{"node": n.ID}, m.broker.EndDrain(ctx, n.ID)
}

var fingerprintForm = regexp.MustCompile(`^[0-9a-f]{12}$`)

// sweep replays or deletes one dead letter, or all of a group.
func (m *Monitor) sweep(how string) func(ctx context.Context, r *http.Request) (any, error) {
	return func(ctx context.Context, r *http.Request) (any, error) {
		var call struct {
			Fingerprint string `json:"fingerprint"`
			ID          string `json:"id"`
		}
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&call); err != nil {
			return nil, &badCallError{`send {"fingerprint": "…"} or {"id": "…"}`}
		}
		switch {
		case (call.Fingerprint == "") == (call.ID == ""):
			return nil, &badCallError{"name a fingerprint or an id, and not both"}
		case call.Fingerprint != "" && !fingerprintForm.MatchString(call.Fingerprint):
			return nil, &badCallError{"fingerprint must be 12 hexadecimal digits, as /api/dead shows them"}
		case call.ID != "" && !tasks.ValidID(call.ID):
			return nil, &badCallError{"id must be that of a task"}
		}
		if call.ID != "" {
			return m.moveOne(ctx, call.ID, how)
		}
		return m.moveGroup(ctx, call.Fingerprint, how)
	}
}

// serveScale answers autoscalers: KEDA's metrics-api reads desired_workers.
func (m *Monitor) serveScale(w http.ResponseWriter, _ *http.Request) {
	o := m.latest.Load()
	if o == nil || !o.Redis.Up {
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "redis is away: nothing is known of the work")
		return
	}
	answer(w, struct {
		scale.Plan
		Nodes int `json:"workers"`
	}{o.Plan, o.Total.NodesTaking})
}
