package api

import (
	"context"
	"net/http"
	"regexp"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/internal/trace"
)

// requestIDHeader carries the id under which a request is found in the logs.
const requestIDHeader = "X-Request-Id"

// saneID is what an id of the caller's may be: nothing that could forge a line
// of a log.
var saneID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}$`)

// call is what is known of a request while it is served.
type call struct {
	id     string
	remote string
	key    *keys.Key // nil where none was needed
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// identify gives every request an id: the caller's if it is sane, else a new
// one. The answer carries it.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !saneID.MatchString(id) {
			id = uuid.Must(uuid.NewV7()).String()
		}
		w.Header().Set(requestIDHeader, id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, &call{id: id, remote: host(r.RemoteAddr)})))
	})
}

// log is the log of one request.
func (s *server) log(ctx context.Context) zerolog.Logger {
	log := s.Log.With().Str("request_id", callOf(ctx).id)
	if id := trace.ID(ctx); id != "" {
		log = log.Str("trace_id", id)
	}
	return log.Logger()
}

// problemError is a problem (RFC 9457) with the id of its request.
type problemError struct {
	*huma.ErrorModel
	RequestID string `json:"request_id,omitempty"`
}

// withRequestID adds the request's id to every problem on its way out.
func withRequestID(ctx huma.Context, _ string, v any) (any, error) {
	if p, ok := v.(*huma.ErrorModel); ok {
		return problemError{p, callOf(ctx.Context()).id}, nil
	}
	return v, nil
}
