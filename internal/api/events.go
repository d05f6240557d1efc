package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/sync/semaphore"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/tasks"
)

// Bounds of event streams.
const (
	// maxStreams is how many are open at once.
	maxStreams = 1000
	// heartbeat is how often a quiet stream shows that it lives: proxies and
	// clients give up on silence.
	heartbeat = 15 * time.Second
	// eventWrite is how long a client may take to read an event.
	eventWrite = 10 * time.Second
	// reconnectAfter is what clients are told to wait before they come again.
	reconnectAfter = 2 * time.Second
	// watchAgain is the pause before a look that failed is repeated.
	watchAgain = time.Second
)

type eventsInput struct {
	ID   string `path:"id" doc:"The task's id."`
	Last string `header:"Last-Event-ID" doc:"The id of the last event that was seen: it is not sent again. Browsers send it when they come again."`
}

func (s *server) registerEvents() {
	streams := semaphore.NewWeighted(maxStreams)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-events", Method: http.MethodGet, Path: "/v1/tasks/{id}/events", Summary: "Watch a task", Tags: []string{"tasks"},
		Description: "Server-sent events (text/event-stream). The first tells the task as it is, each further one a change: `event: state` " +
			"or `event: progress`, with the task without its result as data. Changes that follow each other closely may come as one. The " +
			"stream ends after the final state, or after 15 minutes: come again with Last-Event-ID. 204 if the final state was seen, so that " +
			"browsers do not come again.",
		Errors: []int{401, 403, 404, 503},
		Responses: map[string]*huma.Response{
			"200": {Description: "The events.", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}},
			"204": {Description: "The task is final, and its last event was seen."},
		},
	}, func(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		return s.events(ctx, in, streams)
	})
}

func (s *server) events(ctx context.Context, in *eventsInput, streams *semaphore.Weighted) (*huma.StreamResponse, error) {
	t, err := s.Client.Status(ctx, in.ID)
	if err == nil {
		err = s.permit(ctx, t.Kind)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if t.State.Final() && in.Last == t.Stamp() {
		return &huma.StreamResponse{Body: func(c huma.Context) { c.SetStatus(http.StatusNoContent) }}, nil
	}
	if !streams.TryAcquire(1) {
		return nil, later(http.StatusServiceUnavailable, reconnectAfter, "too many streams are open here; ask with wait instead")
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		defer streams.Release(1)
		_, w := humago.Unwrap(c)
		c.SetHeader("Content-Type", "text/event-stream")
		c.SetHeader("Cache-Control", "no-store")
		c.SetHeader("X-Accel-Buffering", "no") // nginx would hold events back
		c.SetStatus(http.StatusOK)
		e := &eventStream{w: w, control: http.NewResponseController(w), seen: in.Last}
		e.run(ctx, s.Stopping, func(ctx context.Context, out chan<- tasks.Task) { s.watch(ctx, in.ID, out) })
	}}, nil
}

// watch passes a task's changes on until it is final, gone, or ctx ends. While
// Redis is away it goes on looking.
func (s *server) watch(ctx context.Context, id string, out chan<- tasks.Task) {
	for {
		var failed error
		for t, err := range s.Client.Watch(ctx, id) {
			if failed = err; err != nil {
				break
			}
			if s.permit(ctx, t.Kind) != nil { // the id may be another task's by now
				return
			}
			select {
			case out <- t:
			case <-ctx.Done():
				return
			}
		}
		if _, away := errors.AsType[*client.UnavailableError](failed); !away {
			return
		}
		select {
		case <-time.After(watchAgain):
		case <-ctx.Done():
			return
		}
	}
}

// eventStream is one client's stream.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	seen    string // the id of the last event the client has
	last    tasks.Task
}

// run writes events until the task is final, the client has gone, the server
// stops, or the stream has its limit: then the client comes again, and its key
// is asked for anew.
func (e *eventStream) run(ctx context.Context, stopping <-chan struct{}, watch func(context.Context, chan<- tasks.Task)) {
	ctx, cancel := context.WithTimeout(ctx, streamLimit)
	changes := make(chan tasks.Task)
	var watching sync.WaitGroup
	watching.Go(func() { defer close(changes); watch(ctx, changes) })
	defer watching.Wait()
	defer cancel()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	if e.write(fmt.Sprintf("retry: %d\n\n", reconnectAfter.Milliseconds())) != nil {
		return
	}
	for {
		var err error
		select {
		case t, more := <-changes:
			if !more {
				return
			}
			err = e.change(t)
			beat.Reset(heartbeat)
		case <-beat.C:
			err = e.write(":\n\n")
		case <-stopping:
			_ = e.write(": the server stops, come again\n\n") // or not: the client may have gone
			return
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// change writes an event, unless the client has it.
func (e *eventStream) change(t tasks.Task) error {
	name := "state"
	if t.State == e.last.State && t.Attempts == e.last.Attempts {
		name = "progress"
	}
	e.last = t
	id := t.Stamp()
	if id == e.seen {
		return nil
	}
	t.Result = nil // may be large, and has its own address
	var data strings.Builder
	if err := huma.DefaultJSONFormat.Marshal(&data, t); err != nil {
		return err
	}
	e.seen = id
	return e.write(fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", id, name, strings.TrimSpace(data.String())))
}

func (e *eventStream) write(text string) error {
	_ = e.control.SetWriteDeadline(time.Now().Add(eventWrite)) // only test recorders have no deadlines
	_, err := e.w.Write([]byte(text))
	if err == nil {
		err = e.control.Flush()
	}
	// HTTP/2 ends a stream whose deadline passes, also if nothing is written.
	_ = e.control.SetWriteDeadline(time.Time{})
	return err
}
