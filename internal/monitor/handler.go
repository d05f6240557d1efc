package monitor

import (
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// closedPolicy lets a document ask for nothing: for all that is no page.
const closedPolicy = "default-src 'none'; frame-ancestors 'none'"

// routes are the monitor's. What changes something is a POST of the pages, or
// Asynqmon's when that may; all else is GET and HEAD. Where there is a password,
// only the health checks and what the login page needs are open.
func (m *Monitor) routes() http.Handler {
	open, mux := http.NewServeMux(), http.NewServeMux()
	serveParts(open)
	open.HandleFunc("GET /healthz", m.serveHealth)
	open.HandleFunc("GET /readyz", m.serveReady)
	if m.login == nil {
		open.Handle("/", mux)
	} else {
		m.login.routes(open)
		open.Handle("/", m.login.guard(mux))
	}
	servePages(mux, m.login != nil)
	mux.HandleFunc("GET /api/overview", m.serveOverview)
	mux.HandleFunc("GET /api/live", m.serveLive)
	mux.HandleFunc("GET /api/tasks", m.bounded(m.serveTasks))
	mux.HandleFunc("GET /api/tasks/{id}", m.bounded(m.serveTask))
	mux.HandleFunc("GET /api/dead", m.bounded(m.serveDead))
	mux.HandleFunc("GET /scale", m.serveScale)
	m.actions(mux)
	mux.Handle("GET /metrics", m.metrics())
	mux.Handle("GET "+asynqmonRoot, http.RedirectHandler(asynqmonRoot+"/", http.StatusMovedPermanently))
	mux.Handle("GET "+asynqmonRoot+"/", m.asynqmon)
	if !m.cfg.AsynqmonReadOnly {
		// A page of another site must not press its buttons.
		guarded := http.NewCrossOriginProtection().Handler(m.asynqmon)
		mux.Handle("POST "+asynqmonRoot+"/api/", guarded)
		mux.Handle("DELETE "+asynqmonRoot+"/api/", guarded)
	}
	return hardened(open)
}

// hardened sets the headers that every answer has; a page replaces the policy
// by its own.
func hardened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", closedPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		// Not no-referrer: with it a form of ours would be sent without its origin,
		// and taken for one of another site.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// serveOverview answers with the last sample.
func (m *Monitor) serveOverview(w http.ResponseWriter, _ *http.Request) {
	o := m.latest.Load()
	if o == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "no sample yet: try again in a moment", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(o) //nolint:errcheck // the client went away
}

// serveHealth tells whether this process lives: a sample is overdue only if
// its loop stands still, and one that was never begun is not awaited.
func (m *Monitor) serveHealth(w http.ResponseWriter, _ *http.Request) {
	if o := m.latest.Load(); o != nil && m.now().Sub(o.At) > 10*m.cfg.SampleEvery+10*time.Second {
		http.Error(w, "the last sample is overdue", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ok\n") //nolint:errcheck // the client went away
}

// serveReady tells whether what is shown is fresh.
func (m *Monitor) serveReady(w http.ResponseWriter, _ *http.Request) {
	switch o := m.latest.Load(); {
	case o == nil:
		http.Error(w, "no sample yet", http.StatusServiceUnavailable)
	case !o.Redis.Up:
		http.Error(w, "redis is away", http.StatusServiceUnavailable)
	default:
		io.WriteString(w, "ready\n") //nolint:errcheck // the client went away
	}
}
