package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/jobyard/jobyard/internal/keys"
)

type auditInput struct {
	Limit int        `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many entries."`
	Class keys.Class `query:"class" enum:"changes,handed,refusals" doc:"Only entries of this class."`
}

type auditOutput struct {
	Body struct {
		Entries []keys.Entry `json:"entries"`
	}
}

func (s *server) registerAudit() {
	if s.Keys == nil {
		return
	}
	huma.Register(s.api, huma.Operation{
		OperationID: "get-audit", Method: http.MethodGet, Path: "/v1/audit", Summary: "Read the audit log", Tags: []string{"yard"},
		Description: "Who did what, the newest first: what was handed over, changed, and refused. It has no payloads and no secrets, and " +
			"keeps the last 10,000 entries of each class.",
		Errors: []int{401, 403, 422, 429, 503},
	}, func(ctx context.Context, in *auditInput) (*auditOutput, error) {
		var classes []keys.Class
		if in.Class != "" {
			classes = append(classes, in.Class)
		}
		entries, err := s.Keys.Audit.Last(ctx, in.Limit, classes...)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out := &auditOutput{}
		out.Body.Entries = append([]keys.Entry{}, entries...)
		return out, nil
	})
}
