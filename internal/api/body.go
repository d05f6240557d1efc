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
	bytes []byte
	// lines tells that it is NDJSON.
	lines   bool
	release func()
}

type bodyKey struct{}

func bodyOf(ctx context.Context) body {
	b, _ := ctx.Value(bodyKey{}).(body) // set by readBody for the operations that have it
	return b
}

// bodies says which bodies an operation takes.
type bodies struct {
	most int64
	// copies is how often a body lies in memory while it is used.
	copies int64
	// lines allows NDJSON beside JSON, raw bytes of any type.
	lines, raw bool
	tooLarge   string
}

var (
	taskBodies  = bodies{most: MaxBody, copies: 1, tooLarge: "the body is over 16 MiB; put large documents where a url leads to them"}
	blobBodies  = bodies{most: maxBlob, copies: 2, raw: true, tooLarge: "the body is over 16 MiB; put larger documents where a url leads to them"}
	batchBodies = bodies{most: MaxBatchBody, copies: 3, lines: true, tooLarge: "the body is over 32 MiB; hand the tasks over in several batches"}
)

// readBody reads a body within its bounds of type, size, time and memory. The
// library could, but would leave its read deadline set: it fires during a wait
// and cancels the request.
func (s *server) readBody(allowed bodies) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		lines := allowed.lines && isNDJSON(r.Header)
		if allowed.raw && isEncoded(r.Header) {
			s.refuse(ctx, http.StatusUnsupportedMediaType, "send the bytes as they are, without Content-Encoding")
			return
		}
		if !isJSON(r.Header) && !lines && !allowed.raw {
			s.refuse(ctx, http.StatusUnsupportedMediaType, "send JSON, not compressed, with Content-Type: application/json")
			return
		}
		if r.ContentLength > allowed.most {
			s.refuse(ctx, http.StatusRequestEntityTooLarge, allowed.tooLarge)
			return
		}
		room := r.ContentLength * allowed.copies
		if room < 0 {
			room = allowed.most * allowed.copies // chunked: it may become that much
		}
		if !s.bodies.TryAcquire(room) {
			ctx.SetHeader("Retry-After", seconds(bodyTimeout/10))
			s.refuse(ctx, http.StatusServiceUnavailable, "too many large requests at once; try again later")
			return
		}
		release := sync.OnceFunc(func() { s.bodies.Release(room) })
		defer release()
		control := http.NewResponseController(w)
		// Only test recorders have no deadlines.
		_ = control.SetReadDeadline(time.Now().Add(s.cfg.BodyTimeout))
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, allowed.most))
		if err != nil {
			s.refuseRead(ctx, err, allowed)
			return
		}
		_ = control.SetReadDeadline(time.Time{})
		next(huma.WithValue(ctx, bodyKey{}, body{data, lines, release}))
	}
}

func (s *server) refuseRead(ctx huma.Context, err error, allowed bodies) {
	var most *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &most):
		s.refuse(ctx, http.StatusRequestEntityTooLarge, allowed.tooLarge)
	case errors.As(err, &timeout) && timeout.Timeout():
		s.refuse(ctx, http.StatusRequestTimeout, "the body did not arrive within "+s.cfg.BodyTimeout.String())
	default:
		s.refuse(ctx, http.StatusBadRequest, "the body broke off")
	}
}

func (s *server) refuse(ctx huma.Context, status int, detail string) {
	_ = huma.WriteErr(s.api, ctx, status, detail) // the client has gone
}

func isEncoded(h http.Header) bool {
	e := h.Get("Content-Encoding")
	return e != "" && e != "identity"
}

func isJSON(h http.Header) bool {
	if isEncoded(h) {
		return false
	}
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (t == "application/json" || (strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json")))
}

func isNDJSON(h http.Header) bool {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && h.Get("Content-Encoding") == "" && (t == "application/x-ndjson" || t == "application/jsonl")
}
