package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/jobyard/jobyard/tasks"
)

// queueView is a queue as the API shows it.
type queueView struct {
	Queue         string                `json:"queue"`
	Counts        map[tasks.State]int64 `json:"counts" doc:"Tasks by state."`
	Waiting       int64                 `json:"waiting" doc:"Tasks that the limit counts."`
	Limit         int                   `json:"limit" doc:"How many may wait; at the limit a task is answered with 429."`
	OldestSeconds float64               `json:"oldest_seconds" doc:"How long the longest waiting task has waited."`
	Paused        bool                  `json:"paused"`
	Processed     int64                 `json:"processed" doc:"Attempts since the queue exists."`
	Failed        int64                 `json:"failed"`
}

// kindView is a kind as the API shows it.
type kindView struct {
	Kind          string `json:"kind"`
	Queue         string `json:"queue"`
	BulkQueue     string `json:"bulk_queue"`
	PayloadSchema string `json:"payload_schema" doc:"Where the payload's JSON Schema is."`
	ResultSchema  string `json:"result_schema" doc:"Where the result's JSON Schema is."`
	// Payload and Result are those schemas themselves.
	Payload json.RawMessage `json:"payload" doc:"The payload's JSON Schema, complete in itself."`
	Result  json.RawMessage `json:"result" doc:"The result's JSON Schema, complete in itself."`
}

type queuesOutput struct {
	Body struct {
		Queues []queueView `json:"queues"`
	}
}

type kindsOutput struct {
	Body struct {
		Kinds []kindView `json:"kinds"`
	}
}

type healthOutput struct {
	Body struct {
		Status string `json:"status" example:"ok"`
	}
}

// readyTimeout bounds the look whether Redis answers.
const readyTimeout = 3 * time.Second

func (s *server) registerYard() error {
	kinds, err := s.kinds()
	if err != nil {
		return err
	}
	huma.Register(s.api, huma.Operation{
		OperationID: "get-queues", Method: http.MethodGet, Path: "/v1/queues", Summary: "Look at the queues", Tags: []string{"yard"},
		Errors: []int{401, 403, 503},
	}, s.queues)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-kinds", Method: http.MethodGet, Path: "/v1/kinds", Summary: "List the kinds of work", Tags: []string{"yard"},
		Errors: []int{401, 403},
	}, func(context.Context, *struct{}) (*kindsOutput, error) {
		out := &kindsOutput{}
		out.Body.Kinds = kinds
		return out, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Summary: "Is this process alive?", Tags: []string{"health"},
	}, func(context.Context, *struct{}) (*healthOutput, error) { return healthy(), nil })
	huma.Register(s.api, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Summary: "Can this process accept tasks?", Tags: []string{"health"},
		Errors: []int{503},
	}, func(ctx context.Context, _ *struct{}) (*healthOutput, error) {
		ctx, cancel := context.WithTimeout(ctx, readyTimeout)
		defer cancel()
		if err := s.Ready(ctx); err != nil {
			return nil, s.fail(ctx, err)
		}
		return healthy(), nil
	})
	return nil
}

func healthy() *healthOutput {
	out := &healthOutput{}
	out.Body.Status = "ok"
	return out
}

func (s *server) queues(ctx context.Context, _ *struct{}) (*queuesOutput, error) {
	list, err := s.Client.Queues(ctx)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &queuesOutput{}
	for _, q := range list {
		out.Body.Queues = append(out.Body.Queues, queueView{
			Queue: q.Name, Counts: q.Counts, Waiting: q.Waiting(), Limit: s.Client.Limit(q.Name),
			OldestSeconds: q.Oldest.Seconds(), Paused: q.Paused, Processed: q.Processed, Failed: q.Failed,
		})
	}
	return out, nil
}
