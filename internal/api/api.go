// Package api is the yard's HTTP door: tasks in, results out, described by
// /openapi.json. It is a thin skin over package client.
//
// It promises that a request it cannot use is answered with problem+json
// (RFC 9457) that names the field; that a task which was accepted is always
// answered with its id, also if the wait for its result fails; and that every
// body, header and wait has a bound. While there are no keys it serves loopback
// only, and there refuses what foreign pages in a browser send.
package api

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/loopback"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/internal/webhooks"
	"github.com/jobyard/jobyard/tasks"
)

// Bounds of the API.
const (
	// MaxWait is the longest ?wait=.
	MaxWait = time.Minute
	// MaxBody is the largest body: a payload and what stands around it.
	MaxBody = tasks.MaxPayloadBytes + 64<<10
	// bodyTimeout is the default of BodyTimeout, and its most.
	bodyTimeout = 30 * time.Second
	// maxBodies bounds the bodies that are held in memory at once: sixteen of
	// the largest, and room for small ones beside them.
	maxBodies = 16*MaxBody + 1<<20
	// MaxBatchBody is the largest body of a batch.
	MaxBatchBody = 32 << 20
	// WriteTimeout bounds a request from its headers to its answer's end.
	WriteTimeout = bodyTimeout + MaxWait + 2*time.Minute
)

// Config says who is served.
type Config struct {
	// Listen is the address that is served.
	Listen string
	// MaxWaits bounds the requests that wait at the same time.
	MaxWaits int
	// BodyTimeout is how long a body may take to arrive.
	BodyTimeout time.Duration
	// AllowRemote serves other machines too while there is no key.
	AllowRemote bool
}

// DefaultConfig serves this machine.
func DefaultConfig() Config {
	return Config{Listen: "127.0.0.1:8080", MaxWaits: 10_000, BodyTimeout: bodyTimeout}
}

// Validate reports a setting that is out of bounds.
func (c Config) Validate() error {
	if c.MaxWaits < 1 || c.MaxWaits > 1_000_000 {
		return fmt.Errorf("max waits must be from 1 to 1000000, got %d", c.MaxWaits)
	}
	if c.BodyTimeout <= 0 || c.BodyTimeout > bodyTimeout {
		return fmt.Errorf("body timeout must be positive and at most %s, got %s", bodyTimeout, c.BodyTimeout)
	}
	return nil
}

// RemoteError tells that an address can be reached by others, and that nothing
// says who of them is served.
type RemoteError struct{ Listen string }

// Error says what can be done.
func (e *RemoteError) Error() string {
	return fmt.Sprintf("listen: %s can be reached from other machines, and there are no keys: make one with producer keys add, "+
		"listen on 127.0.0.1, or allow everybody who reaches it to run tasks with --allow-remote (JOBYARD_ALLOW_REMOTE=true)", e.Listen)
}

// Deps are what the API stands on.
type Deps struct {
	Client *client.Client
	// Keys may be nil: then there are none, and none can be made.
	Keys *Keys
	// Webhooks may be nil: then nothing is shown of them.
	Webhooks *webhooks.Store
	// Ready reports whether Redis answers.
	Ready func(context.Context) error
	// Metrics answers /metrics; Registry receives the API's own.
	Metrics  http.Handler
	Registry prometheus.Registerer
	Log      zerolog.Logger
	// Tracer begins the spans of requests; nil traces none.
	Tracer *trace.Tracer
	// Stopping is closed when the process ends: waits end then, so that no
	// answer is cut off.
	Stopping <-chan struct{}
	Version  string
}

type server struct {
	Deps
	cfg    Config
	api    huma.API
	bodies *semaphore.Weighted
	waits  *semaphore.Weighted
	// stopping ends with the process's wish to stop.
	stopping context.Context //nolint:containedctx // Stopping in the form that AfterFunc takes
}

// New returns the API's handler.
func New(cfg Config, deps Deps) (http.Handler, error) {
	_, h, err := build(cfg, deps)
	return h, err
}

// build is New, with what stands behind the handler.
func build(cfg Config, deps Deps) (*server, http.Handler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	s := &server{
		Deps: deps, cfg: cfg, bodies: semaphore.NewWeighted(maxBodies), waits: semaphore.NewWeighted(int64(cfg.MaxWaits)),
		stopping: whileOpen(deps.Stopping),
	}
	s.api = humago.New(mux, description(deps.Version))
	s.registerTasks()
	s.registerBatches()
	s.registerBlobs()
	s.registerDead()
	s.registerEvents()
	s.registerAudit()
	s.registerWebhooks()
	if err := s.registerYard(); err != nil {
		return nil, nil, err
	}
	if err := s.describe(mux); err != nil {
		return nil, nil, err
	}
	if err := s.assistants(mux); err != nil {
		return nil, nil, err
	}
	mux.Handle("GET /metrics", deps.Metrics)
	mux.HandleFunc("/", noRoute(mux))
	required, err := s.required()
	if err != nil {
		return nil, nil, err
	}
	if !required && !cfg.AllowRemote && !loopback.Is(cfg.Listen) {
		return nil, nil, &RemoteError{cfg.Listen}
	}
	packed, err := compressed(s.hinting(s.guard(mux)))
	if err != nil {
		return nil, nil, err
	}
	return s, identify(newMetrics(deps.Registry).measure(deps.Tracer, packed)), nil
}

// whileOpen is a context that ends when the channel is closed.
func whileOpen(stopping <-chan struct{}) context.Context {
	ctx, cancel := context.WithCancel(context.Background()) // ends with the process
	go func() {
		<-stopping
		cancel()
	}()
	return ctx
}

// hinting closes connections once the server stops, so that their next request
// goes elsewhere, and turns a panic into an answer.
func (s *server) hinting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stopping.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		if r.URL.Path != "/mcp" {
			// There is one form of each answer, and the library's reading of
			// this header panics on some (v2.37.2, SelectQValueFast).
			r.Header.Del("Accept")
		}
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
				log := s.log(r.Context())
				log.Error().Interface("panic", p).Str("route", r.Pattern).Bytes("stack", debug.Stack()).Msg("request panicked")
				writeProblem(w, http.StatusInternalServerError, "the request failed; the server's log says why")
			} else if p != nil {
				panic(p)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// noRoute answers where no route is: 405 if another method has one, else 404.
func noRoute(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/" && method != r.Method {
				w.Header().Add("Allow", method)
			}
		}
		if w.Header().Get("Allow") != "" {
			writeProblem(w, http.StatusMethodNotAllowed, "this path does not take "+r.Method)
			return
		}
		writeProblem(w, http.StatusNotFound, "there is nothing here; /docs tells what is where")
	}
}
