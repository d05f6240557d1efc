package api

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/tasks"
)

// writeProblem writes an error where no route is known yet.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	model := &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail}
	_ = json.NewEncoder(w).Encode(problemError{model, w.Header().Get(requestIDHeader)}) // the client has gone
}

// awayAfter is the Retry-After while Redis is away.
const awayAfter = 5 * time.Second

// problem turns an error into an answer. What it does not know is logged and not
// shown.
func (s *server) problem(err error) error { return explain(s.Log, err) }

// fail is problem for a request whose id is known.
func (s *server) fail(ctx context.Context, err error) error { return explain(s.log(ctx), err) }

func explain(log zerolog.Logger, err error) error {
	var (
		invalid  *tasks.InvalidError
		conflict *client.ConflictError
		full     *client.FullError
		memory   *client.MemoryError
		quota    *keys.QuotaError
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
		return later(http.StatusTooManyRequests, full.RetryAfter, full.Error())
	case errors.As(err, &memory):
		log.Warn().Err(err).Msg("redis is nearly full")
		return later(http.StatusServiceUnavailable, memory.RetryAfter, "the queue's memory is nearly full; try again later")
	case errors.As(err, &quota):
		return later(http.StatusTooManyRequests, quota.RetryAfter, quota.Error())
	case errors.Is(err, client.ErrNotFound):
		return huma.Error404NotFound("no task has this id, or it is no longer kept")
	case errors.Is(err, client.ErrNoBatch):
		return huma.Error404NotFound("no batch has this id, or it is no longer kept")
	case errors.Is(err, client.ErrTooManyWaits):
		return later(http.StatusServiceUnavailable, time.Second, "too many requests wait here; ask without wait")
	case errors.As(err, &away):
		// Where Redis is, is not the caller's business.
		log.Warn().Err(err).Msg("redis is away")
		return later(http.StatusServiceUnavailable, awayAfter, "the queue cannot be reached; try again later")
	case errors.Is(err, context.Canceled):
		return huma.Error503ServiceUnavailable("the request was broken off")
	}
	log.Error().Err(err).Msg("request failed")
	return huma.Error500InternalServerError("the request failed; the server's log says why")
}

// later is a refusal that ends after a while.
func later(status int, after time.Duration, detail string) error {
	return huma.ErrorWithHeaders(huma.NewError(status, detail), http.Header{"Retry-After": {seconds(after)}})
}

// seconds writes a Retry-After; it is never too early.
func seconds(d time.Duration) string { return strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))) }

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
