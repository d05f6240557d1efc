package app

import (
	"context"
	"encoding/json"
	"io"
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

// AdminConfig is what the admin server tells of a process.
type AdminConfig struct {
	// Address is where it listens.
	Address string
	Metrics http.Handler
	// Checks are asked for /readyz, by name.
	Checks map[string]Check
	// About is what /healthz says beside that the process lives; it may be nil.
	About func() map[string]any
	// Dump writes what runs, for /debug/dump; it may be nil.
	Dump func(io.Writer) error
}

// Admin answers what operators ask a process: /healthz (it lives), /readyz (it
// can work: every check passes), /metrics, and on loopback addresses
// /debug/pprof/ and /debug/dump.
func Admin(cfg AdminConfig) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer := map[string]any{}
		if cfg.About != nil {
			answer = cfg.About()
		}
		writeHealth(w, answer, nil)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
		defer cancel()
		failed := map[string]string{}
		for name, check := range cfg.Checks {
			if err := check(ctx); err != nil {
				failed[name] = err.Error()
			}
		}
		writeHealth(w, map[string]any{}, failed)
	})
	mux.Handle("GET /metrics", cfg.Metrics)
	if loopback.Is(cfg.Address) {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		if cfg.Dump != nil {
			mux.HandleFunc("GET /debug/dump", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain; charset=utf-8")
				_ = cfg.Dump(w) // the client has gone: there is nobody left to tell
			})
		}
	}
	return Local(cfg.Address, mux)
}

// Local keeps pages of other origins from a server, and on an address that only
// this machine reaches also names that are not its own.
func Local(address string, h http.Handler) http.Handler {
	return loopback.Guard(h, loopback.Is(address), func(w http.ResponseWriter, _ *http.Request, why string) {
		http.Error(w, why, http.StatusForbidden)
	})
}

func writeHealth(w http.ResponseWriter, answer map[string]any, failed map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	answer["status"] = "ok"
	if len(failed) > 0 {
		answer["status"], answer["failed"] = "unavailable", failed
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
