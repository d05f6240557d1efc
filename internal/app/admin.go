package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/jobyard/jobyard/internal/loopback"
)

// AdminWriteTimeout bounds an answer of the admin server: a CPU profile takes
// half a minute.
const AdminWriteTimeout = 2 * time.Minute

// Check reports whether a part of the process is able to work now.
type Check func(context.Context) error

// Admin answers what operators ask a process: /healthz (it lives), /readyz (it
// can work: every check passes), /metrics, and on loopback addresses
// /debug/pprof/.
func Admin(address string, metrics http.Handler, checks map[string]Check) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeHealth(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
		defer cancel()
		failed := map[string]string{}
		for name, check := range checks {
			if err := check(ctx); err != nil {
				failed[name] = err.Error()
			}
		}
		writeHealth(w, failed)
	})
	mux.Handle("GET /metrics", metrics)
	if loopback.Is(address) {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return Local(address, mux)
}

// Local keeps pages of other origins from a server, and on an address that only
// this machine reaches also names that are not its own.
func Local(address string, h http.Handler) http.Handler {
	return loopback.Guard(h, loopback.Is(address), func(w http.ResponseWriter, _ *http.Request, why string) {
		http.Error(w, why, http.StatusForbidden)
	})
}

func writeHealth(w http.ResponseWriter, failed map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	answer := struct {
		Status string            `json:"status"`
		Failed map[string]string `json:"failed,omitempty"`
	}{"ok", failed}
	if len(failed) > 0 {
		answer.Status = "unavailable"
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// The client may have gone: there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(answer)
}

// NewRegistry returns a registry that holds the process's own metrics.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Metrics shows a registry in Prometheus's format.
func Metrics(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r})
}
