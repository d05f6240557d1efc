package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/jobyard/jobyard/internal/mcp"
	"github.com/jobyard/jobyard/tasks"
)

// assistants serves the tools of the Model Context Protocol: what a key may do
// is what its assistant may do.
func (s *server) assistants(mux *http.ServeMux) error {
	tools, err := mcp.NewTools(s.Version)
	if err != nil {
		return err
	}
	h := tools.Handler(s.yardOf)
	// There are no sessions to listen to or to end; clients ask whether there are.
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		mux.HandleFunc(method+" /mcp", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", http.MethodPost)
			writeProblem(w, http.StatusMethodNotAllowed, "this path does not take "+r.Method)
		})
	}
	mux.HandleFunc("POST /mcp", func(w http.ResponseWriter, r *http.Request) {
		room := min(r.ContentLength, mcp.MaxBody) // more is refused
		if room < 0 {
			room = mcp.MaxBody
		}
		if !s.bodies.TryAcquire(room) {
			w.Header().Set("Retry-After", seconds(time.Second))
			writeProblem(w, http.StatusServiceUnavailable, "too many large requests at once; try again later")
			return
		}
		defer s.bodies.Release(room)
		ctx, done, err := s.waiting(r.Context(), WriteTimeout-time.Minute)
		if err != nil {
			w.Header().Set("Retry-After", seconds(time.Second))
			writeProblem(w, http.StatusServiceUnavailable, "too many requests wait here; try again later")
			return
		}
		defer done()
		h.ServeHTTP(w, r.WithContext(ctx))
	})
	return nil
}

// yardOf is the yard as the request's key sees it.
func (s *server) yardOf(r *http.Request) mcp.Yard {
	c := callOf(r.Context())
	as := func(ctx context.Context) context.Context { return context.WithValue(ctx, callKey{}, c) }
	y := mcp.Yard{
		Enqueue: func(ctx context.Context, r tasks.Request) (tasks.Task, error) { return s.enqueue(as(ctx), r) },
		Wait:    s.Client.Wait, Status: s.Client.Status, Cancel: s.Client.Cancel,
		Explain: func(err error) string {
			if p, ok := errors.AsType[*huma.ErrorModel](s.fail(as(r.Context()), err)); ok {
				return p.Detail
			}
			return "the call failed"
		},
	}
	if c.key != nil {
		y.Allows = c.key.AllowsKind
	}
	return y
}
