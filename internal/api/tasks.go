package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/tasks"
)

type postInput struct {
	Key  string `header:"Idempotency-Key" doc:"Becomes options.id: the same key with the same payload gives the first task, with another payload it is refused." example:"order-4711"`
	Wait string `query:"wait" doc:"How long to wait for the result, at most 60s. If the task is not done by then the answer is 202." example:"30s"`
}

type taskInput struct {
	ID   string `path:"id" doc:"The task's id."`
	Wait string `query:"wait" doc:"How long to wait until the task is done, at most 60s." example:"30s"`
}

type taskOutput struct {
	Status     int
	Location   string `header:"Location" doc:"Where the task is found, if it is not done."`
	RetryAfter string `header:"Retry-After" doc:"Seconds until it makes sense to ask again, if the task is not done."`
	Body       tasks.Task
}

type resultInput struct {
	ID          string `path:"id" doc:"The task's id."`
	Wait        string `query:"wait" doc:"How long to wait until the task is done, at most 60s." example:"30s"`
	IfNoneMatch string `header:"If-None-Match" doc:"The ETag of a result that you have: if it is the same, the answer is 304."`
}

type resultOutput struct {
	Status      int
	ETag        string `header:"ETag" doc:"Tells this result from others."`
	Cache       string `header:"Cache-Control"`
	Location    string `header:"Location"`
	RetryAfter  string `header:"Retry-After"`
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *server) registerTasks() {
	huma.Register(s.api, huma.Operation{
		OperationID: "post-task", Method: http.MethodPost, Path: "/v1/tasks", Summary: "Hand over a task", Tags: []string{"tasks"},
		Description: "200 with the task if it is done, also if it failed: the call worked, and `state` and `error` tell how the task " +
			"ended. Else 202 with the task as it is and its Location. An accepted task is always answered with its id.",
		Errors: []int{400, 401, 403, 408, 413, 415, 422, 429, 503}, Middlewares: huma.Middlewares{s.readBody(taskBodies)},
		Responses: map[string]*huma.Response{"202": s.taskResponse("The task is accepted and not done.")},
	}, s.post)
	// Set afterwards: with a body the library would read it itself.
	s.api.OpenAPI().Paths["/v1/tasks"].Post.RequestBody = s.taskBody()
	huma.Register(s.api, huma.Operation{
		OperationID: "get-task", Method: http.MethodGet, Path: "/v1/tasks/{id}", Summary: "Look at a task", Tags: []string{"tasks"},
		Description: "The task as it is, in whatever state; a task that failed is 200 with `state` archived and its `error`.",
		Errors:      []int{401, 403, 404, 422, 503},
	}, s.get)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-result", Method: http.MethodGet, Path: "/v1/tasks/{id}/result", Summary: "Get a task's result alone", Tags: []string{"tasks"},
		Description: "200 with the result as its kind has it; 202 with the task if it is not done; 304 if If-None-Match names it; " +
			"409 if the task failed or was canceled.",
		Errors: []int{401, 403, 404, 409, 422, 503},
		Responses: map[string]*huma.Response{
			"200": {Description: "The result.", Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{}}}},
			"202": s.taskResponse("The task is not done."),
			"304": {Description: "You have this result."},
		},
	}, s.result)
	huma.Register(s.api, huma.Operation{
		OperationID: "delete-task", Method: http.MethodDelete, Path: "/v1/tasks/{id}", Summary: "Cancel a task", Tags: []string{"tasks"},
		Description: "200 if it is canceled (also if it was before), 202 if it runs and was asked to stop, 409 if it had ended.",
		Errors:      []int{401, 403, 404, 409, 503},
		Responses:   map[string]*huma.Response{"202": s.taskResponse("The task runs and was asked to stop.")},
	}, s.cancel)
}

func (s *server) post(ctx context.Context, in *postInput) (*taskOutput, error) {
	wait, err := parseWait(in.Wait)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	b := bodyOf(ctx)
	r, err := tasks.DecodeRequest(b.bytes)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if r.Options.ID, err = useKey(r.Options.ID, in.Key, "options.id"); err != nil {
		return nil, s.fail(ctx, err)
	}
	t, err := s.enqueue(ctx, r)
	b.release() // a wait must not hold the room of its body
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if wait > 0 && !t.State.Final() {
		// The task is accepted: whatever becomes of the wait, its id is the answer.
		if ended, err := s.await(ctx, wait, t.ID, t.Queue); err == nil {
			t = ended
		}
	}
	return answer(t), nil
}

// enqueue hands a task over in the name of the request's key.
func (s *server) enqueue(ctx context.Context, r tasks.Request) (tasks.Task, error) {
	if err := s.permit(ctx, r.Kind); err != nil {
		return tasks.Task{}, err
	}
	if !counted(ctx) {
		t, err := s.Client.Enqueue(ctx, r)
		if err == nil {
			s.note(ctx, keys.Entry{Class: keys.Handed, Action: "enqueue", Object: t.ID, Kind: t.Kind, Count: 1})
		}
		return t, err
	}
	checked, err := r.Check(time.Now()) // an invalid one must not take a place
	if err != nil {
		return tasks.Task{}, err
	}
	if checked.Options.ID == "" {
		checked.Options.ID = uuid.Must(uuid.NewV7()).String()
	}
	release, err := s.reserve(ctx, checked.Options.ID, checked.Options.Queue, 1)
	if err != nil {
		return tasks.Task{}, err
	}
	t, err := s.Client.Enqueue(ctx, checked)
	if err != nil || t.State.Final() {
		release()
	}
	if err == nil {
		s.note(ctx, keys.Entry{Class: keys.Handed, Action: "enqueue", Object: t.ID, Kind: t.Kind, Count: 1})
	}
	return t, err
}

// useKey makes the Idempotency-Key header the id, which stands at path.
// Structured headers come in quotes.
func useKey(id, key, path string) (string, error) {
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	switch {
	case key == "":
		return id, nil
	case id != "" && id != key:
		return id, tasks.Invalid("Idempotency-Key", "must be the same as "+path+" where both are set")
	case !tasks.ValidID(key):
		return id, tasks.Invalid("Idempotency-Key", "must be 1 to 128 letters, digits or . _ : - and begin with a letter or digit")
	}
	return key, nil
}

func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > MaxWait {
		return 0, tasks.Invalid("wait", fmt.Sprintf("must be a duration from 0s to %s, as 30s", MaxWait))
	}
	return d, nil
}

// waiting is a context for a wait: it ends after limit, and when the server
// stops. One more wait than are allowed is client.ErrTooManyWaits.
func (s *server) waiting(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc, error) {
	if !s.waits.TryAcquire(1) {
		return nil, nil, client.ErrTooManyWaits
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(s.stopping, cancel)
	return timed, func() {
		stop()
		cancel()
		s.waits.Release(1)
	}, nil
}

// await waits for a task and returns it as it is when the time is up, or when
// the server stops.
func (s *server) await(ctx context.Context, limit time.Duration, id string, queue ...string) (tasks.Task, error) {
	timed, done, err := s.waiting(ctx, limit)
	if err != nil {
		return tasks.Task{}, err
	}
	defer done()
	t, err := s.Client.Wait(timed, id, queue...)
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		return s.Client.Status(ctx, id) // what the wait saw last may be a second old
	}
	return t, err
}

func answer(t tasks.Task) *taskOutput {
	out := &taskOutput{Status: http.StatusOK, Body: t}
	if !t.State.Final() {
		out.Status, out.Location, out.RetryAfter = http.StatusAccepted, "/v1/tasks/"+t.ID, "1"
	}
	return out
}

// look reads the task that the path names, after a wait if one is asked for.
func (s *server) look(ctx context.Context, in *taskInput) (tasks.Task, error) {
	wait, err := parseWait(in.Wait)
	if err != nil {
		return tasks.Task{}, err
	}
	if wait > 0 && limited(ctx) {
		// Who may not see the task must not learn when it ends either.
		t, err := s.Client.Status(ctx, in.ID)
		if err == nil {
			err = s.permit(ctx, t.Kind)
		}
		if err != nil {
			return tasks.Task{}, err
		}
	}
	var t tasks.Task
	if wait > 0 {
		t, err = s.await(ctx, wait, in.ID)
	} else {
		t, err = s.Client.Status(ctx, in.ID)
	}
	if err == nil {
		err = s.permit(ctx, t.Kind)
	}
	return t, err
}

func (s *server) get(ctx context.Context, in *taskInput) (*taskOutput, error) {
	t, err := s.look(ctx, in)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := answer(t)
	out.Status, out.Location = http.StatusOK, ""
	return out, nil
}

func (s *server) result(ctx context.Context, in *resultInput) (*resultOutput, error) {
	t, err := s.look(ctx, &taskInput{ID: in.ID, Wait: in.Wait})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	switch {
	case t.State == tasks.Completed && t.Error == nil:
		return finished(t.Result, in.IfNoneMatch), nil
	case t.State.Final():
		detail := "the task is " + string(t.State)
		if t.Error != nil {
			detail += ": " + t.Error.Error()
		}
		return nil, huma.Error409Conflict(detail)
	}
	a := answer(t)
	var raw strings.Builder
	if err := huma.DefaultJSONFormat.Marshal(&raw, t); err != nil {
		return nil, s.fail(ctx, err)
	}
	return &resultOutput{Status: a.Status, Location: a.Location, RetryAfter: a.RetryAfter, ContentType: "application/json", Body: []byte(raw.String())}, nil
}

// finished answers with a result, or that the caller has it. Its tag is a weak
// one, since the bytes on the wire may be compressed.
func finished(result []byte, known string) *resultOutput {
	sum := sha256.Sum256(result)
	out := &resultOutput{Status: http.StatusOK, ETag: `W/"` + hex.EncodeToString(sum[:16]) + `"`, Cache: "private, no-cache"}
	for tag := range strings.SplitSeq(known, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == out.ETag[2:] {
			out.Status = http.StatusNotModified
			return out
		}
	}
	out.ContentType, out.Body = "application/json", result
	return out
}

func (s *server) cancel(ctx context.Context, in *struct {
	ID string `path:"id" doc:"The task's id."`
}) (*taskOutput, error) {
	if limited(ctx) {
		if _, err := s.look(ctx, &taskInput{ID: in.ID}); err != nil {
			return nil, s.fail(ctx, err)
		}
	}
	t, err := s.Client.Cancel(ctx, in.ID)
	if err == nil {
		s.note(ctx, keys.Entry{Class: keys.Changes, Action: "cancel", Object: t.ID, Kind: t.Kind})
	}
	switch {
	case errors.Is(err, client.ErrFinal) && t.State == tasks.Canceled:
	case errors.Is(err, client.ErrFinal):
		return nil, huma.Error409Conflict("the task has ended already: it is " + string(t.State))
	case err != nil:
		return nil, s.fail(ctx, err)
	}
	return answer(t), nil
}
