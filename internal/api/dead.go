package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// maxSweep bounds the letters of one call, sweepTime how long it may take.
	maxSweep = 1000
	// deadAgain is when to go on with a sweep for which there was no room.
	deadAgain = 5 * time.Second
	sweepTime = 30 * time.Second
)

// DeadQuery chooses dead letters by the address. Its name is exported because
// the library passes over embedded types that are not.
type DeadQuery struct {
	Kind   string `query:"kind" doc:"Those of this kind."`
	Queue  string `query:"queue" doc:"Those of this queue."`
	Reason string `query:"reason" doc:"Those that failed for this reason." example:"upstream"`
	Group  string `query:"group" doc:"Those with this fingerprint."`
	Since  string `query:"since" doc:"Those that failed at this time or later, as 2026-01-31T08:00:00Z."`
	Before string `query:"before" doc:"Those that failed before this time."`
}

func (q DeadQuery) filter() (tasks.DeadFilter, error) {
	f := tasks.DeadFilter{Kind: q.Kind, Queue: q.Queue, Reason: tasks.Reason(q.Reason), Group: q.Group}
	for _, m := range []struct {
		name, text string
		into       *time.Time
	}{{"since", q.Since, &f.Since}, {"before", q.Before, &f.Before}} {
		if m.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, m.text)
		if err != nil {
			return f, tasks.Invalid(m.name, "must be a time as 2026-01-31T08:00:00Z")
		}
		*m.into = t
	}
	return f, nil
}

type deadListInput struct {
	DeadQuery
	Limit string `query:"limit" doc:"Letters on a page, from 1 to 1000; 100 if absent."`
	After string `query:"after" doc:"The next of the page before."`
}

type deadGroupsInput struct{ DeadQuery }

type deadIDInput struct {
	ID string `path:"id" doc:"The task's id."`
}

type deadPageOutput struct{ Body tasks.DeadPage }
type deadGroupsOutput struct{ Body tasks.DeadGroups }
type deadLetterOutput struct{ Body tasks.DeadLetter }

type deadSweepOutput struct {
	RetryAfter string `header:"Retry-After" doc:"Seconds until it makes sense to go on, if there was no room."`
	Body       tasks.DeadSweep
}

func (s *server) registerDead() {
	huma.Register(s.api, huma.Operation{
		OperationID: "get-dead", Method: http.MethodGet, Path: "/v1/dead", Summary: "List dead letters", Tags: []string{"dead letters"},
		Description: "Tasks that failed for good, the latest first. `next` continues the list; letters that come or go meanwhile " +
			"neither double nor hide others. A page may hold less than its limit, also nothing, and still have a `next`.",
		Errors: []int{401, 403, 422, 503},
	}, s.listDead)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-dead-groups", Method: http.MethodGet, Path: "/v1/dead/groups", Summary: "Group dead letters by what failed alike", Tags: []string{"dead letters"},
		Description: "By kind, reason, and message but for names and numbers; the largest group first, at most 1000 groups.",
		Errors:      []int{401, 403, 422, 503},
	}, s.groupDead)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-dead-letter", Method: http.MethodGet, Path: "/v1/dead/{id}", Summary: "Look at a dead letter", Tags: []string{"dead letters"},
		Description: "With its payload and its options; 409 if the task is no dead letter.",
		Errors:      []int{401, 403, 404, 409, 503},
	}, s.getDead)
	huma.Register(s.api, huma.Operation{
		OperationID: "delete-dead-letter", Method: http.MethodDelete, Path: "/v1/dead/{id}", Summary: "Delete a dead letter for good", Tags: []string{"dead letters"},
		DefaultStatus: http.StatusNoContent, Errors: []int{401, 403, 404, 409, 503},
	}, s.deleteDead)
	registerBody(s, huma.Operation{
		OperationID: "replay-dead-letter", Method: http.MethodPost, Path: "/v1/dead/{id}/replay", Summary: "Replay a dead letter", Tags: []string{"dead letters"},
		Description: "Puts the task back into its queue under its id, changed if there is a body; its attempts are counted anew. Of any " +
			"number of callers one succeeds. 409 if the task is no dead letter (any more).",
		DefaultStatus: http.StatusAccepted, Errors: []int{400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503}, Middlewares: huma.Middlewares{s.readAnyBody},
	}, reflect.TypeFor[tasks.Replay](), s.replayDead)
	registerBody(s, huma.Operation{
		OperationID: "replay-dead", Method: http.MethodPost, Path: "/v1/dead/replay", Summary: "Replay many dead letters", Tags: []string{"dead letters"},
		Description: "Replays what the filter chooses, the oldest first, at most 1000 letters and 30 seconds a call, at the rate that is asked for. " +
			"`stopped` tells why it ended before all were replayed: limit, full, memory or time. To go on without meeting what has failed " +
			"again, call it again with the first `started_at` as `before`. Without a filter `all` must be set.",
		Errors: []int{400, 401, 403, 408, 413, 415, 422, 503}, Middlewares: huma.Middlewares{s.readBody(taskBodies)},
	}, reflect.TypeFor[tasks.DeadCall](), s.sweepDead("replay dead letters", s.Client.SweepReplay))
	registerBody(s, huma.Operation{
		OperationID: "delete-dead", Method: http.MethodPost, Path: "/v1/dead/delete", Summary: "Delete many dead letters for good", Tags: []string{"dead letters"},
		Description: "Deletes what the filter chooses, at most 1000 letters and 30 seconds a call. Without a filter `all` must be set.",
		Errors:      []int{400, 401, 403, 408, 413, 415, 422, 503}, Middlewares: huma.Middlewares{s.readBody(taskBodies)},
	}, reflect.TypeFor[tasks.DeadCall](), s.sweepDead("delete dead letters", s.Client.SweepDelete))
}

// registerBody registers an operation whose body is read by a middleware of
// ours, and described here.
func registerBody[I, O any](s *server, op huma.Operation, body reflect.Type, handle func(context.Context, *I) (*O, error)) {
	huma.Register(s.api, op, handle)
	// Set afterwards: with a body the library would read it itself.
	s.api.OpenAPI().Paths[op.Path].Post.RequestBody = &huma.RequestBody{
		Required: op.OperationID != "replay-dead-letter", Content: map[string]*huma.MediaType{"application/json": {Schema: s.schema(body)}},
	}
}

// readAnyBody reads a JSON body where there is one.
func (s *server) readAnyBody(ctx huma.Context, next func(huma.Context)) {
	if r, _ := humago.Unwrap(ctx); r.ContentLength == 0 {
		next(ctx)
		return
	}
	s.readBody(taskBodies)(ctx, next)
}

func (s *server) listDead(ctx context.Context, in *deadListInput) (*deadPageOutput, error) {
	f, err := in.filter()
	if err == nil {
		err = s.permitDead(ctx, f)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	limit := 100
	if in.Limit != "" {
		if limit, err = strconv.Atoi(in.Limit); err != nil {
			return nil, s.fail(ctx, tasks.Invalid("limit", "must be a number from 1 to 1000"))
		}
	}
	page, err := s.Client.DeadLetters(ctx, f, in.After, limit)
	if err != nil {
		return nil, s.failDead(ctx, err)
	}
	return &deadPageOutput{page}, nil
}

func (s *server) groupDead(ctx context.Context, in *deadGroupsInput) (*deadGroupsOutput, error) {
	f, err := in.filter()
	if err == nil {
		err = s.permitDead(ctx, f)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	groups, err := s.Client.DeadGroups(ctx, f)
	if err != nil {
		return nil, s.failDead(ctx, err)
	}
	return &deadGroupsOutput{groups}, nil
}

func (s *server) getDead(ctx context.Context, in *deadIDInput) (*deadLetterOutput, error) {
	// First, since who may not see the task must not learn that it is no letter.
	if err := s.permitLetter(ctx, in.ID); err != nil {
		return nil, s.fail(ctx, err)
	}
	d, err := s.Client.DeadLetter(ctx, in.ID)
	if err == nil {
		err = s.permit(ctx, d.Kind)
	}
	if err != nil {
		return nil, s.failDead(ctx, err)
	}
	return &deadLetterOutput{d}, nil
}

func (s *server) deleteDead(ctx context.Context, in *deadIDInput) (*struct{}, error) {
	err := s.permitLetter(ctx, in.ID)
	if err == nil {
		err = s.Client.DeleteDead(ctx, in.ID)
	}
	if err != nil {
		return nil, s.failDead(ctx, err)
	}
	s.note(ctx, keys.Entry{Class: keys.Changes, Action: "delete dead letter", Object: in.ID, Count: 1})
	return nil, nil //nolint:nilnil // no content
}

func (s *server) replayDead(ctx context.Context, in *deadIDInput) (*taskOutput, error) {
	b, change := bodyOf(ctx), tasks.Replay{}
	if len(b.bytes) > 0 {
		var err error
		if change, err = tasks.DecodeReplay(b.bytes); err != nil {
			return nil, s.fail(ctx, err)
		}
	}
	if err := s.permitLetter(ctx, in.ID); err != nil {
		return nil, s.failDead(ctx, err)
	}
	t, err := s.Client.ReplayDead(ctx, in.ID, change)
	if err != nil {
		return nil, s.failDead(ctx, err)
	}
	s.note(ctx, keys.Entry{Class: keys.Changes, Action: "replay dead letter", Object: in.ID, Kind: t.Kind, Count: 1})
	out := answer(t)
	out.Status, out.Location = http.StatusAccepted, "/v1/tasks/"+t.ID // it may have ended already
	return out, nil
}

// sweepDead does something with many letters, within the bounds of a call.
func (s *server) sweepDead(action string, do func(context.Context, tasks.DeadCall, client.Sweep) (tasks.DeadSweep, error)) func(context.Context, *struct{}) (*deadSweepOutput, error) {
	return func(ctx context.Context, _ *struct{}) (*deadSweepOutput, error) {
		b := bodyOf(ctx)
		call, err := tasks.DecodeDeadCall(b.bytes)
		b.release()
		switch {
		case err != nil:
			return nil, s.fail(ctx, err)
		case call.Empty() && !call.All:
			return nil, s.fail(ctx, tasks.Invalid("all", "must be set to take every dead letter; or give a filter: kind, queue, reason, group, since or before"))
		case call.Limit > maxSweep:
			return nil, s.fail(ctx, tasks.Invalid("limit", "must be from 0 to "+strconv.Itoa(maxSweep)))
		case call.Limit == 0:
			call.Limit = maxSweep
		}
		if err := s.permitDead(ctx, call.DeadFilter); err != nil {
			return nil, err
		}
		timed, cancel := context.WithTimeout(ctx, sweepTime)
		defer cancel()
		go s.endWithStop(timed, cancel)
		done, err := do(timed, call, client.Sweep{})
		out := &deadSweepOutput{Body: done}
		if done.Done > 0 { // also where an error ended it
			chosen, _ := json.Marshal(call.DeadFilter) // of texts and times
			s.note(ctx, keys.Entry{Class: keys.Changes, Action: action, Object: string(chosen), Kind: call.Kind, Count: done.Done})
		}
		if done.Stopped == "full" || done.Stopped == "memory" {
			out.RetryAfter = seconds(deadAgain)
			return out, nil
		}
		if err != nil && (timed.Err() == nil || ctx.Err() != nil) {
			return nil, s.failDead(ctx, err)
		}
		return out, nil
	}
}

// permitDead answers a key that is good for some kinds only and asks for more.
func (s *server) permitDead(ctx context.Context, f tasks.DeadFilter) error {
	kind := f.Kind
	if kind == "" && f.Queue != "" {
		kind = tasks.KindOf(f.Queue)
	}
	if kind == "" && limited(ctx) {
		return s.refuseKind(ctx, "", "the key "+callOf(ctx).key.Name+" is good for some kinds only: give one as kind")
	}
	return s.permit(ctx, kind)
}

// permitLetter does the same for one letter.
func (s *server) permitLetter(ctx context.Context, id string) error {
	if !limited(ctx) {
		return nil
	}
	t, err := s.Client.Status(ctx, id)
	if err != nil {
		return err
	}
	return s.permit(ctx, t.Kind)
}

// endWithStop cancels when the server stops.
func (s *server) endWithStop(ctx context.Context, cancel context.CancelFunc) {
	select {
	case <-s.Stopping:
		cancel()
	case <-ctx.Done():
	}
}

// failDead turns an error about dead letters into an answer.
func (s *server) failDead(ctx context.Context, err error) error {
	if errors.Is(err, client.ErrNotDead) {
		return huma.Error409Conflict("the task is no dead letter; GET /v1/tasks/{id} tells what it is")
	}
	return s.fail(ctx, err)
}
