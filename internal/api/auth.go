package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/internal/loopback"
)

// actionOf is what a route needs a key for. Routes that are not named here are
// reading if they only read, and else for admins: a new one is never open by
// mistake.
func actionOf(method, pattern string) keys.Action {
	switch pattern {
	case "POST /v1/tasks", "POST /v1/batches", "POST /v1/blobs", "POST /mcp", "GET /mcp", "DELETE /mcp":
		return keys.Enqueue
	case "DELETE /v1/tasks/{id}", "DELETE /v1/batches/{id}":
		return keys.Cancel
	case "GET /v1/audit", "GET /v1/webhooks", "GET /v1/webhooks/deliveries":
		return keys.Admin
	}
	if method == http.MethodGet || method == http.MethodHead {
		return keys.Read
	}
	return keys.Admin
}

// open tells which paths need no key: those that tell nothing of any task.
func openPath(path string) bool {
	return !strings.HasPrefix(path, "/v1/") && path != "/mcp"
}

// guard lets in who may come in. Where no key was ever made that is this
// machine, and there no page of another origin; else whoever has a key.
func (s *server) guard(mux *http.ServeMux) http.Handler {
	refuse := func(w http.ResponseWriter, r *http.Request, why string) { s.shut(w, r, http.StatusForbidden, why) }
	local := loopback.Guard(mux, !s.cfg.AllowRemote, refuse)
	keyed := loopback.Guard(mux, false, refuse)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		required, err := s.required()
		switch {
		case err != nil && !openPath(r.URL.Path):
			s.keysAway(w, r, err)
		case !required && !openPath(r.URL.Path) && loopback.Foreign(r):
			refuse(w, r, loopback.ForeignWords)
		case !required:
			if s.cfg.AllowRemote || s.isLocal(w, r) {
				local.ServeHTTP(w, r)
			}
		case openPath(r.URL.Path) || s.admit(w, r, mux):
			keyed.ServeHTTP(w, r)
		}
	})
}

func (s *server) required() (bool, error) {
	if s.Keys == nil {
		return false, nil
	}
	return s.Keys.Ring.Required()
}

// isLocal answers others than this machine.
func (s *server) isLocal(w http.ResponseWriter, r *http.Request) bool {
	why := ""
	switch {
	case !isLoopback(r.RemoteAddr):
		why = "there are no keys, so only this machine is served; make one with producer keys add"
	case r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != "":
		why = "there are no keys, so nothing is served through a proxy; make one with producer keys add"
	default:
		return true
	}
	s.shut(w, r, http.StatusForbidden, why)
	return false
}

func isLoopback(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	// Test recorders have an address of the documentation; they are no network.
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// admit checks the key of a request, what it is good for, and its rate.
func (s *server) admit(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="jobyard"`)
		s.shut(w, r, http.StatusUnauthorized, "send a key as Authorization: Bearer jy_…")
		return false
	}
	k, err := s.Keys.Ring.Find(strings.TrimSpace(token))
	switch {
	case errors.Is(err, keys.ErrStale):
		s.keysAway(w, r, err)
		return false
	case err != nil:
		w.Header().Set("WWW-Authenticate", `Bearer realm="jobyard", error="invalid_token"`)
		s.shut(w, r, http.StatusUnauthorized, err.Error())
		return false
	}
	callOf(r.Context()).key = &k
	_, pattern := mux.Handler(r)
	if action := actionOf(r.Method, pattern); !k.Allows(action) {
		s.shut(w, r, http.StatusForbidden, "the key "+k.Name+" is not good for "+string(action))
		return false
	}
	return s.pass(w, r, k)
}

// pass holds a key to its rate.
func (s *server) pass(w http.ResponseWriter, r *http.Request, k keys.Key) bool {
	err := s.Keys.Quota.Pass(r.Context(), k)
	if full, ok := errors.AsType[*keys.QuotaError](err); ok {
		w.Header().Set("Retry-After", seconds(full.RetryAfter))
		s.shut(w, r, http.StatusTooManyRequests, full.Error())
		return false
	}
	if err != nil {
		s.keysAway(w, r, err)
		return false
	}
	return true
}

// keysAway answers while Redis is away.
func (s *server) keysAway(w http.ResponseWriter, r *http.Request, err error) {
	log := s.log(r.Context())
	log.Warn().Err(err).Msg("keys cannot be checked")
	w.Header().Set("Retry-After", seconds(awayAfter))
	writeProblem(w, http.StatusServiceUnavailable, "keys cannot be checked; try again later")
}

// shut refuses a request, and notes it.
func (s *server) shut(w http.ResponseWriter, r *http.Request, status int, why string) {
	s.note(r.Context(), keys.Entry{Class: keys.Refusals, Action: "refused: " + why, Object: r.Method + " " + r.URL.Path, Status: status, Remote: host(r.RemoteAddr)})
	writeProblem(w, status, why)
}

func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return remote
}

// note writes to the audit log who did what.
func (s *server) note(ctx context.Context, e keys.Entry) {
	if s.Keys == nil {
		return
	}
	c := callOf(ctx)
	if e.RequestID = c.id; c.key != nil {
		e.Key, e.Name = c.key.ID, c.key.Name
	}
	if e.Remote == "" {
		e.Remote = c.remote
	}
	s.Keys.Audit.Note(e)
}

// permit answers a key that is not good for all of the kinds. Every route that
// shows or changes a task asks it.
func (s *server) permit(ctx context.Context, kinds ...string) error {
	k := callOf(ctx).key
	if k == nil {
		return nil
	}
	for _, kind := range kinds {
		if !k.AllowsKind(kind) {
			return s.refuseKind(ctx, kind, "the key "+k.Name+" is not good for the kind "+kind)
		}
	}
	return nil
}

// refuseKind answers a key that is good for other kinds, and notes it.
func (s *server) refuseKind(ctx context.Context, kind, why string) error {
	s.note(ctx, keys.Entry{Class: keys.Refusals, Action: "refused: kind", Kind: kind, Status: http.StatusForbidden})
	return huma.Error403Forbidden(why)
}

// limited tells whether the request's key may see some kinds only.
func limited(ctx context.Context) bool {
	k := callOf(ctx).key
	return k != nil && len(k.Kinds) > 0
}

// reserve counts a task or batch against the key's unfinished ones.
func (s *server) reserve(ctx context.Context, id, queue string, count int) (release func(), err error) {
	k := callOf(ctx).key
	if k == nil || k.InFlight == 0 {
		return func() {}, nil
	}
	if err := s.Keys.Quota.Reserve(ctx, *k, id, queue, count); err != nil {
		return nil, err
	}
	return func() {
		// A place that cannot be given back now is found free later.
		_, _ = s.Keys.Quota.Release(context.WithoutCancel(ctx), *k, id)
	}, nil
}

// counted tells whether tasks of this request need an id before they are
// queued.
func counted(ctx context.Context) bool {
	k := callOf(ctx).key
	return k != nil && k.InFlight > 0
}
