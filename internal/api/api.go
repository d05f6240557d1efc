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
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/loopback"
	"github.com/jobyard/jobyard/tasks"
)

// Bounds of the API.
const (
	// MaxWait is the longest ?wait=.
	MaxWait = time.Minute
	// MaxBody is the largest body: a payload and what stands around it.
	MaxBody = tasks.MaxPayloadBytes + 64<<10
	// bodyTimeout is how long a body may take to arrive.
	bodyTimeout = 30 * time.Second
	// maxBodies bounds the bodies that are held in memory at once: sixteen of
	// the largest, and room for small ones beside them.
	maxBodies = 16*MaxBody + 1<<20
	// WriteTimeout bounds a request from its headers to its answer's end.
	WriteTimeout = bodyTimeout + MaxWait + 2*time.Minute
)

// Config says who is served.
type Config struct {
	// Listen is the address that is served.
	Listen string
	// AllowRemote serves other machines too, without any key.
	AllowRemote bool
}

// DefaultConfig serves this machine.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:8080"} }

// Validate refuses an address that others can reach, unless that is asked for.
func (c Config) Validate() error {
	if !loopback.Is(c.Listen) && !c.AllowRemote {
		return fmt.Errorf("listen: %s can be reached from other machines, and there are no keys: listen on 127.0.0.1, "+
			"or allow everybody who reaches it to run tasks with --allow-remote (JOBYARD_ALLOW_REMOTE=true)", c.Listen)
	}
	return nil
}

// Deps are what the API stands on.
type Deps struct {
	Client *client.Client
	// Ready reports whether Redis answers.
	Ready func(context.Context) error
	// Metrics answers /metrics; Registry receives the API's own.
	Metrics  http.Handler
	Registry prometheus.Registerer
	Log      zerolog.Logger
	// Stopping is closed when the process ends: waits end then, so that no
	// answer is cut off.
	Stopping <-chan struct{}
	Version  string
}

type server struct {
	Deps
	api    huma.API
	bodies *semaphore.Weighted
}

// New returns the API's handler.
func New(cfg Config, deps Deps) (http.Handler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	s := &server{Deps: deps, bodies: semaphore.NewWeighted(maxBodies)}
	s.api = humago.New(mux, description(deps.Version))
	s.registerTasks()
	s.registerBlobs()
	s.registerYard()
	s.registerDead()
	s.registerEvents()
	spec, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI description: %w", err)
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(spec) //nolint:errcheck // the client has gone
	})
	mux.Handle("GET /metrics", deps.Metrics)
	mux.HandleFunc("/", noRoute(mux))
	guarded := loopback.Guard(mux, !cfg.AllowRemote, func(w http.ResponseWriter, _ *http.Request, why string) {
		writeProblem(w, http.StatusForbidden, why)
	})
	return newMetrics(deps.Registry).measure(guarded), nil
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
		writeProblem(w, http.StatusNotFound, "there is nothing here; /openapi.json tells what is where")
	}
}

// writeProblem writes an error where no route is known yet.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(huma.NewError(status, detail)) // the client has gone
}

// retryAfter is the Retry-After, in seconds, of a full queue and of an absence.
const retryAfter = "5"

// problem turns an error into an answer. What it does not know is logged and not
// shown.
func (s *server) problem(err error) error {
	var (
		invalid  *tasks.InvalidError
		conflict *client.ConflictError
		full     *client.FullError
		away     *client.UnavailableError
		status   huma.StatusError
	)
	switch {
	case errors.As(err, &status):
		return err
	case errors.As(err, &invalid):
		return invalidProblem(invalid)
	case errors.As(err, &conflict):
		return invalidProblem(&tasks.InvalidError{Fields: []tasks.FieldError{{Path: "options.id", Message: conflict.Error()}}})
	case errors.As(err, &full):
		return later(http.StatusTooManyRequests, full.Error())
	case errors.Is(err, client.ErrNotFound):
		return huma.Error404NotFound("no task has this id, or it is no longer kept")
	case errors.Is(err, client.ErrTooManyWaits):
		return later(http.StatusServiceUnavailable, "too many requests wait here; ask without wait")
	case errors.As(err, &away):
		// Where Redis is, is not the caller's business.
		s.Log.Warn().Err(err).Msg("redis is away")
		return later(http.StatusServiceUnavailable, "the queue cannot be reached; try again later")
	case errors.Is(err, context.Canceled):
		return huma.Error503ServiceUnavailable("the request was broken off")
	}
	s.Log.Error().Err(err).Msg("request failed")
	return huma.Error500InternalServerError("the request failed; the server's log says why")
}

func later(status int, detail string) error {
	return huma.ErrorWithHeaders(huma.NewError(status, detail), http.Header{"Retry-After": {retryAfter}})
}

func invalidProblem(e *tasks.InvalidError) error {
	details := make([]error, len(e.Fields))
	for i, f := range e.Fields {
		location := f.Path
		if location == "" {
			location = "body"
		}
		details[i] = &huma.ErrorDetail{Location: location, Message: f.Message}
	}
	return huma.Error422UnprocessableEntity("the request is not valid", details...)
}
