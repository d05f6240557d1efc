package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/internal/webhooks"
)

type endpointsOutput struct {
	Body struct {
		Endpoints []webhooks.Endpoint `json:"endpoints"`
	}
}

type deliveriesInput struct {
	Dead  bool `query:"dead" doc:"Those that were given up instead of those that are to be made."`
	Limit int  `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many."`
}

type deliveriesOutput struct {
	Body struct {
		Deliveries []webhooks.Delivery `json:"deliveries"`
	}
}

type deliveryOutput struct{ Body webhooks.Delivery }

func (s *server) registerWebhooks() {
	if s.Webhooks == nil {
		return
	}
	shut := []int{401, 403, 429, 503}
	huma.Register(s.api, huma.Operation{
		OperationID: "get-webhooks", Method: http.MethodGet, Path: "/v1/webhooks", Summary: "List the webhooks' endpoints", Tags: []string{"webhooks"}, Errors: shut,
	}, s.endpoints)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-deliveries", Method: http.MethodGet, Path: "/v1/webhooks/deliveries", Summary: "List calls of webhooks", Tags: []string{"webhooks"},
		Description: "Calls that are to be made, or with `dead` those that were given up; they are kept for 30 days.", Errors: append(shut, 422),
	}, s.deliveries)
	huma.Register(s.api, huma.Operation{
		OperationID: "retry-delivery", Method: http.MethodPost, Path: "/v1/webhooks/deliveries/{id}/retry", Summary: "Make a call again", Tags: []string{"webhooks"},
		Errors: append(shut, 404),
	}, s.retryDelivery)
}

func (s *server) endpoints(ctx context.Context, _ *struct{}) (*endpointsOutput, error) {
	all, err := s.Webhooks.Endpoints(ctx)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	for i := range all {
		all[i].Salt = ""
	}
	out := &endpointsOutput{}
	out.Body.Endpoints = all
	return out, nil
}

func (s *server) deliveries(ctx context.Context, in *deliveriesInput) (*deliveriesOutput, error) {
	all, err := s.Webhooks.Deliveries(ctx, in.Dead, in.Limit)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &deliveriesOutput{}
	out.Body.Deliveries = append([]webhooks.Delivery{}, all...)
	return out, nil
}

func (s *server) retryDelivery(ctx context.Context, in *struct {
	ID string `path:"id" doc:"The delivery's id."`
}) (*deliveryOutput, error) {
	d, err := s.Webhooks.Retry(ctx, in.ID)
	if errors.Is(err, webhooks.ErrUnknown) {
		return nil, huma.Error404NotFound("no call of a webhook has this id, or it was made")
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	s.note(ctx, keys.Entry{Class: keys.Changes, Action: "retry webhook", Object: d.ID})
	return &deliveryOutput{d}, nil
}

// WebhookConfig is what a deliverer of the client's yard works with.
func WebhookConfig(c *client.Client, m webhooks.Master, private bool, log zerolog.Logger, reg prometheus.Registerer) webhooks.Config {
	return webhooks.Config{
		Master: m, AllowPrivate: private, DoneChannel: results.DoneChannel, Task: c.Status, Batch: c.Batch,
		NotFound: func(err error) bool { return errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrNoBatch) },
		Log:      log, Registry: reg,
	}
}
