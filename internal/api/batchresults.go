package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// streamLimit bounds a stream of results or events, and the wait in it.
	streamLimit = 15 * time.Minute
	// streamFlush is how long a line may lie in the buffer.
	streamFlush = 100 * time.Millisecond
	// streamWrite is how long a client may take to read what is buffered.
	streamWrite = 30 * time.Second
)

type batchResultsInput struct {
	ID   string `path:"id" doc:"The batch's id."`
	From int    `query:"from" minimum:"0" maximum:"50000" doc:"The number of the first task, from 0: where an earlier stream ended."`
}

// streamEnd is the last line of a stream that ends before the batch does.
type streamEnd struct {
	// Next is where to go on.
	Next  int          `json:"next" doc:"The number of the next task: ask again with ?from= it."`
	Error *tasks.Error `json:"error"`
}

func (s *server) registerBatchResults() {
	huma.Register(s.api, huma.Operation{
		OperationID: "get-batch-results", Method: http.MethodGet, Path: "/v1/batches/{id}/results", Summary: "Stream a batch's tasks", Tags: []string{"batches"},
		Description: "NDJSON: the tasks in their order, each once it is final; spaces before a line while nothing ends. A task that is no longer kept has an empty state and the " +
			"error not_found. If the stream ends before the batch, its last line is `{\"next\": n, \"error\": {…}}`: go on with `?from=n`.",
		Errors: []int{401, 403, 404, 422, 503},
		Responses: map[string]*huma.Response{"200": {Description: "A task a line.", Content: map[string]*huma.MediaType{
			"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	}, s.batchResults)
}

func (s *server) batchResults(ctx context.Context, in *batchResultsInput) (*huma.StreamResponse, error) {
	if _, err := s.lookBatch(ctx, in.ID, 0); err != nil {
		return nil, s.fail(ctx, err)
	}
	timed, done, err := s.waiting(ctx, streamLimit)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &huma.StreamResponse{Body: func(h huma.Context) {
		defer done()
		_, w := humago.Unwrap(h)
		h.SetHeader("Content-Type", "application/x-ndjson")
		h.SetHeader("Cache-Control", "no-store")
		h.SetHeader("X-Accel-Buffering", "no") // a proxy must not hold it back
		h.SetStatus(http.StatusOK)
		l := newLineWriter(w)
		defer l.close()
		s.stream(timed, l, in)
	}}, nil
}

// stream writes a batch's tasks until they end, the client is gone, or ctx
// ends.
func (s *server) stream(ctx context.Context, l *lineWriter, in *batchResultsInput) {
	n := in.From
	for t, err := range s.Client.BatchResultsFrom(ctx, in.ID, n) {
		switch {
		case errors.Is(err, client.ErrNotFound):
			t.Error = &tasks.Error{Reason: tasks.ReasonNotFound, Message: "the task is no longer kept"}
		case ctx.Err() != nil:
			why := "the stream has its limit; go on with ?from="
			if s.stopping.Err() != nil {
				why = "the server stops; go on with ?from="
			}
			l.write(streamEnd{n, &tasks.Error{Reason: tasks.ReasonInterrupted, Message: fmt.Sprint(why, n), Retryable: true}})
			return
		case err != nil:
			log := s.log(ctx)
			log.Warn().Err(err).Msg("stream of a batch broke off")
			l.write(streamEnd{n, &tasks.Error{Reason: tasks.ReasonUnknown, Message: fmt.Sprint("the queue cannot be read; go on with ?from=", n), Retryable: true}})
			return
		}
		if !l.write(t) {
			return
		}
		n++
	}
}

// lineWriter writes JSON lines and sees to it that none lies in a buffer for
// long, and that proxies and clients see a quiet stream live: by spaces, which
// JSON allows before a value.
type lineWriter struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	control *http.ResponseController
	fresh   bool // something was written since the last flush
	written time.Time
	failed  bool
	end     chan struct{}
	ended   sync.WaitGroup
}

func newLineWriter(w http.ResponseWriter) *lineWriter {
	l := &lineWriter{w: w, control: http.NewResponseController(w), fresh: true, written: time.Now(), end: make(chan struct{})}
	l.ended.Go(l.flushing)
	return l
}

func (l *lineWriter) flushing() {
	tick := time.NewTicker(streamFlush)
	defer tick.Stop()
	for {
		select {
		case <-l.end:
			return
		case <-tick.C:
			l.flush()
		}
	}
}

func (l *lineWriter) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.written) >= heartbeat && !l.failed {
		l.put([]byte(" "))
	}
	if l.fresh && !l.failed {
		l.fresh = false
		l.deadline(streamWrite)
		l.failed = l.control.Flush() != nil
		l.deadline(0)
	}
}

// deadline gives the client time anew: the server's own is for whole answers.
// 0 is none: HTTP/2 ends a stream whose deadline passes, also if nothing is
// written.
func (l *lineWriter) deadline(d time.Duration) {
	var until time.Time
	if d > 0 {
		until = time.Now().Add(d)
	}
	_ = l.control.SetWriteDeadline(until) // test recorders have none
}

func (l *lineWriter) write(v any) bool {
	raw, err := json.Marshal(v)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.failed {
		l.put(append(raw, '\n'))
	}
	return !l.failed
}

func (l *lineWriter) put(raw []byte) {
	l.deadline(streamWrite)
	_, err := l.w.Write(raw)
	l.fresh, l.failed, l.written = true, err != nil, time.Now()
}

func (l *lineWriter) close() {
	close(l.end)
	l.ended.Wait()
}
