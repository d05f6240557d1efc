package api

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// body is a request's body and the room it takes.
type body struct {
	bytes   []byte
	release func()
}

type bodyKey struct{}

func bodyOf(ctx context.Context) body {
	b, _ := ctx.Value(bodyKey{}).(body) // set by readBody for the operations that have it
	return b
}

// readBody reads a JSON body within its bounds of type, size, time and memory.
// The library could, but would leave its read deadline set: it fires during a
// wait and cancels the request.
func (s *server) readBody(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if !isJSON(r.Header) {
		s.refuse(ctx, http.StatusUnsupportedMediaType, "send JSON, not compressed, with Content-Type: application/json")
		return
	}
	if r.ContentLength > MaxBody {
		s.refuse(ctx, http.StatusRequestEntityTooLarge, tooLarge)
		return
	}
	room := r.ContentLength
	if room < 0 {
		room = MaxBody // chunked: it may become that much
	}
	if !s.bodies.TryAcquire(room) {
		ctx.SetHeader("Retry-After", retryAfter)
		s.refuse(ctx, http.StatusServiceUnavailable, "too many large requests at once; try again later")
		return
	}
	release := sync.OnceFunc(func() { s.bodies.Release(room) })
	defer release()
	control := http.NewResponseController(w)
	// Only test recorders have no deadlines.
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		s.refuseRead(ctx, err)
		return
	}
	_ = control.SetReadDeadline(time.Time{})
	next(huma.WithValue(ctx, bodyKey{}, body{data, release}))
}

const tooLarge = "the body is over 16 MiB; put large documents where a url leads to them"

func (s *server) refuseRead(ctx huma.Context, err error) {
	var most *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &most):
		s.refuse(ctx, http.StatusRequestEntityTooLarge, tooLarge)
	case errors.As(err, &timeout) && timeout.Timeout():
		s.refuse(ctx, http.StatusRequestTimeout, "the body did not arrive within "+bodyTimeout.String())
	default:
		s.refuse(ctx, http.StatusBadRequest, "the body broke off")
	}
}

func (s *server) refuse(ctx huma.Context, status int, detail string) {
	_ = huma.WriteErr(s.api, ctx, status, detail) // the client has gone
}

func isJSON(h http.Header) bool {
	if e := h.Get("Content-Encoding"); e != "" && e != "identity" {
		return false
	}
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (t == "application/json" || (strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json")))
}
