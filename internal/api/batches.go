package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/tasks"
)

type postBatchInput struct {
	Key string `header:"Idempotency-Key" doc:"Becomes the batch's id: the same key with the same tasks gives the first batch, with others it is refused." example:"nightly-2026-11-23"`
}

type batchInput struct {
	ID   string `path:"id" doc:"The batch's id."`
	Wait string `query:"wait" doc:"How long to wait until every task is final, at most 60s." example:"30s"`
}

type batchOutput struct {
	Status     int
	Location   string `header:"Location" doc:"Where the batch is found, if it is not finished."`
	RetryAfter string `header:"Retry-After" doc:"Seconds until it makes sense to ask again, if it is not finished."`
	Body       tasks.BatchInfo
}

func (s *server) registerBatches() {
	huma.Register(s.api, huma.Operation{
		OperationID: "post-batch", Method: http.MethodPost, Path: "/v1/batches", Summary: "Hand over many tasks as one", Tags: []string{"batches"},
		Description: "All of them or none. They run in the bulk queues of their kinds. 202 with the batch; a fault names its task, as " +
			"tasks[3].payload.query. The body may also be NDJSON, a task a line.",
		DefaultStatus: http.StatusAccepted, Errors: []int{400, 401, 403, 408, 413, 415, 422, 429, 503},
		Middlewares: huma.Middlewares{s.readBody(batchBodies)},
		Responses:   map[string]*huma.Response{"200": s.batchResponse("The batch is known and finished.")},
	}, s.postBatch)
	s.api.OpenAPI().Paths["/v1/batches"].Post.RequestBody = s.batchBody()
	huma.Register(s.api, huma.Operation{
		OperationID: "get-batch", Method: http.MethodGet, Path: "/v1/batches/{id}", Summary: "Look at a batch", Tags: []string{"batches"},
		Description: "How many of its tasks are in each state; with `wait`, once all of them are final.", Errors: []int{401, 403, 404, 422, 503},
	}, s.getBatch)
	s.registerBatchResults()
	huma.Register(s.api, huma.Operation{
		OperationID: "delete-batch", Method: http.MethodDelete, Path: "/v1/batches/{id}", Summary: "Cancel a batch", Tags: []string{"batches"},
		Description: "Tasks that wait are canceled at once, those that run are asked to stop. 409 if the batch had ended.",
		Errors:      []int{401, 403, 404, 409, 503},
		Responses:   map[string]*huma.Response{"202": s.batchResponse("Tasks of it run and were asked to stop.")},
	}, s.cancelBatch)
}

// readBatch makes a batch of a body.
func readBatch(b body, key string) (tasks.Batch, error) {
	var batch tasks.Batch
	var err error
	if b.lines {
		batch.Requests, err = readLines(b.bytes)
	} else {
		batch, err = tasks.DecodeBatch(b.bytes)
	}
	if err != nil {
		return batch, err
	}
	batch.ID, err = useKey(batch.ID, key, "id")
	return batch, err
}

// readLines reads a task a line; blank lines are none.
func readLines(text []byte) ([]tasks.Request, error) {
	var all []tasks.Request
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		r, err := tasks.DecodeRequest(line)
		if err != nil {
			return nil, atLine(number, err)
		}
		if all = append(all, r); len(all) > tasks.MaxBatchTasks {
			break // Check says how many there may be
		}
	}
	return all, nil
}

func atLine(number int, err error) error {
	var in *tasks.InvalidError
	if !errors.As(err, &in) {
		return err
	}
	at := make([]tasks.FieldError, len(in.Fields))
	for i, f := range in.Fields {
		path := fmt.Sprintf("line %d", number)
		if f.Path != "" {
			path += ": " + f.Path
		}
		at[i] = tasks.FieldError{Path: path, Message: f.Message}
	}
	return &tasks.InvalidError{Fields: at}
}

func (s *server) postBatch(ctx context.Context, in *postBatchInput) (*batchOutput, error) {
	body := bodyOf(ctx)
	batch, err := readBatch(body, in.Key)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	info, err := s.enqueueBatch(ctx, batch)
	if err != nil {
		return nil, s.failBatch(ctx, err)
	}
	return batchAnswer(info, http.StatusAccepted), nil
}

// enqueueBatch hands a batch over in the name of the request's key.
func (s *server) enqueueBatch(ctx context.Context, b tasks.Batch) (tasks.BatchInfo, error) {
	kinds := map[string]struct{}{}
	for _, r := range b.Requests {
		kinds[r.Kind] = struct{}{}
	}
	if b.Callback != nil {
		kinds[b.Callback.Kind] = struct{}{}
	}
	if err := s.permit(ctx, slices.Sorted(maps.Keys(kinds))...); err != nil {
		return tasks.BatchInfo{}, err
	}
	if b.ID == "" && counted(ctx) {
		b.ID = uuid.Must(uuid.NewV7()).String()
	}
	release, err := s.reserve(ctx, b.ID, "", len(b.Requests))
	if err != nil {
		return tasks.BatchInfo{}, err
	}
	info, err := s.Client.EnqueueBatch(ctx, b)
	if err != nil || info.Finished() {
		release()
	}
	if err == nil {
		s.note(ctx, keys.Entry{Class: keys.Handed, Action: "enqueue batch", Object: info.ID, Kind: strings.Join(info.Kinds, ","), Count: info.Total})
	}
	return info, err
}

// failBatch is fail where the id in question is the batch's.
func (s *server) failBatch(ctx context.Context, err error) error {
	if c, ok := errors.AsType[*client.ConflictError](err); ok {
		return invalidProblem(&tasks.InvalidError{Fields: []tasks.FieldError{{
			Path: "id", Message: fmt.Sprintf("batch id %s belongs to a batch with other tasks; use another id", c.ID),
		}}})
	}
	return s.fail(ctx, err)
}

// batchAnswer is a batch as it is: 200 once it is finished.
func batchAnswer(info tasks.BatchInfo, unfinished int) *batchOutput {
	out := &batchOutput{Status: http.StatusOK, Body: info}
	if !info.Finished() {
		out.Status, out.Location, out.RetryAfter = unfinished, "/v1/batches/"+info.ID, "1"
	}
	return out
}

func (s *server) getBatch(ctx context.Context, in *batchInput) (*batchOutput, error) {
	wait, err := parseWait(in.Wait)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	info, err := s.lookBatch(ctx, in.ID, wait)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return batchAnswer(info, http.StatusOK), nil
}

func (s *server) lookBatch(ctx context.Context, id string, wait time.Duration) (tasks.BatchInfo, error) {
	if wait == 0 || limited(ctx) {
		info, err := s.Client.Batch(ctx, id)
		if err == nil {
			err = s.permit(ctx, info.Kinds...)
		}
		if err != nil || wait == 0 {
			return info, err
		}
	}
	timed, done, err := s.waiting(ctx, wait)
	if err != nil {
		return tasks.BatchInfo{}, err
	}
	defer done()
	info, err := s.Client.WaitBatch(timed, id)
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		return s.Client.Batch(ctx, id)
	}
	return info, err
}

func (s *server) cancelBatch(ctx context.Context, in *struct {
	ID string `path:"id" doc:"The batch's id."`
}) (*batchOutput, error) {
	before, err := s.lookBatch(ctx, in.ID, 0)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	err = s.Client.CancelBatch(ctx, in.ID)
	if errors.Is(err, client.ErrFinal) {
		if before.Counts[tasks.Canceled] > 0 { // as with a task: canceled already is canceled
			return batchAnswer(before, http.StatusAccepted), nil
		}
		return nil, huma.Error409Conflict("the batch has ended already")
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	s.note(ctx, keys.Entry{Class: keys.Changes, Action: "cancel batch", Object: in.ID, Count: before.Total})
	info, err := s.Client.Batch(ctx, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return batchAnswer(info, http.StatusAccepted), nil
}
