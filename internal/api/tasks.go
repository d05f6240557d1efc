package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/jobyard/jobyard/client"
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

type resultOutput struct {
	Status      int
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
		Errors: []int{403, 408, 413, 415, 422, 429, 503}, Middlewares: huma.Middlewares{s.readBody},
		Responses: map[string]*huma.Response{"202": s.taskResponse("The task is accepted and not done.")},
	}, s.post)
	// Set afterwards: with a body the library would read it itself.
	s.api.OpenAPI().Paths["/v1/tasks"].Post.RequestBody = s.requestBody()
	huma.Register(s.api, huma.Operation{
		OperationID: "get-task", Method: http.MethodGet, Path: "/v1/tasks/{id}", Summary: "Look at a task", Tags: []string{"tasks"},
		Description: "The task as it is, in whatever state; a task that failed is 200 with `state` archived and its `error`.",
		Errors:      []int{403, 404, 422, 503},
	}, s.get)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-result", Method: http.MethodGet, Path: "/v1/tasks/{id}/result", Summary: "Get a task's result alone", Tags: []string{"tasks"},
		Description: "200 with the result as its kind has it; 202 with the task if it is not done; 409 if the task failed or was canceled.",
		Errors:      []int{403, 404, 409, 422, 503},
		Responses: map[string]*huma.Response{
			"200": {Description: "The result.", Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{}}}},
			"202": s.taskResponse("The task is not done."),
		},
	}, s.result)
	huma.Register(s.api, huma.Operation{
		OperationID: "delete-task", Method: http.MethodDelete, Path: "/v1/tasks/{id}", Summary: "Cancel a task", Tags: []string{"tasks"},
		Description: "200 if it is canceled (also if it was before), 202 if it runs and was asked to stop, 409 if it had ended.",
		Errors:      []int{403, 404, 409, 503},
		Responses:   map[string]*huma.Response{"202": s.taskResponse("The task runs and was asked to stop.")},
	}, s.cancel)
}

func (s *server) post(ctx context.Context, in *postInput) (*taskOutput, error) {
	wait, err := parseWait(in.Wait)
	if err != nil {
		return nil, s.problem(err)
	}
	b := bodyOf(ctx)
	r, err := tasks.DecodeRequest(b.bytes)
	if err != nil {
		return nil, s.problem(err)
	}
	if err := useKey(&r, in.Key); err != nil {
		return nil, s.problem(err)
	}
	t, err := s.Client.Enqueue(ctx, r)
	b.release() // a wait must not hold the room of its body
	if err != nil {
		return nil, s.problem(err)
	}
	if wait > 0 && !t.State.Final() {
		// The task is accepted: whatever becomes of the wait, its id is the answer.
		if ended, err := s.await(ctx, t.ID, wait); err == nil {
			t = ended
		}
	}
	return answer(t), nil
}

// useKey makes the Idempotency-Key header the task's id. Structured headers
// come in quotes.
func useKey(r *tasks.Request, key string) error {
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	switch {
	case key == "":
	case r.Options.ID != "" && r.Options.ID != key:
		return tasks.Invalid("Idempotency-Key", "must be the same as options.id where both are set")
	case !tasks.ValidID(key):
		return tasks.Invalid("Idempotency-Key", "must be 1 to 128 letters, digits or . _ : - and begin with a letter or digit")
	default:
		r.Options.ID = key
	}
	return nil
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

// await waits for a task and returns it as it is when the time is up, or when
// the server stops.
func (s *server) await(ctx context.Context, id string, limit time.Duration) (tasks.Task, error) {
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	go func() {
		select {
		case <-s.Stopping:
			cancel()
		case <-timed.Done():
		}
	}()
	t, err := s.Client.Wait(timed, id)
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
	if wait > 0 {
		return s.await(ctx, in.ID, wait)
	}
	return s.Client.Status(ctx, in.ID)
}

func (s *server) get(ctx context.Context, in *taskInput) (*taskOutput, error) {
	t, err := s.look(ctx, in)
	if err != nil {
		return nil, s.problem(err)
	}
	return &taskOutput{Status: http.StatusOK, Body: t}, nil
}

func (s *server) result(ctx context.Context, in *taskInput) (*resultOutput, error) {
	t, err := s.look(ctx, in)
	if err != nil {
		return nil, s.problem(err)
	}
	switch {
	case t.State == tasks.Completed && t.Error == nil:
		return &resultOutput{Status: http.StatusOK, ContentType: "application/json", Body: t.Result}, nil
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
		return nil, s.problem(err)
	}
	return &resultOutput{Status: a.Status, Location: a.Location, RetryAfter: a.RetryAfter, ContentType: "application/json", Body: []byte(raw.String())}, nil
}

func (s *server) cancel(ctx context.Context, in *struct {
	ID string `path:"id" doc:"The task's id."`
}) (*taskOutput, error) {
	t, err := s.Client.Cancel(ctx, in.ID)
	switch {
	case errors.Is(err, client.ErrFinal) && t.State == tasks.Canceled:
	case errors.Is(err, client.ErrFinal):
		return nil, huma.Error409Conflict("the task has ended already: it is " + string(t.State))
	case err != nil:
		return nil, s.problem(err)
	}
	return answer(t), nil
}
