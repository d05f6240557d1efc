package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/tasks"
)

// maxBlob is the largest body of an upload.
const maxBlob = tasks.MaxPayloadBytes

// anyBytes is the media type of blobs: the yard does not know what they are.
const anyBytes = "application/octet-stream"

type blobOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where the blob is found."`
	Body     blobView
}

// blobView is a blob as the API shows it.
type blobView struct {
	SHA256 string `json:"sha256" doc:"The blob's name: document_parse takes it as payload.source.blob."`
	Bytes  int    `json:"bytes"`
}

type blobBytes struct {
	ContentType string `header:"Content-Type"`
	ETag        string `header:"ETag"`
	Cache       string `header:"Cache-Control"`
	Disposition string `header:"Content-Disposition"`
	Sniff       string `header:"X-Content-Type-Options"`
	Body        []byte
}

type blobInput struct {
	SHA string `path:"sha" doc:"The SHA-256 of the bytes, in hexadecimal digits." pattern:"^[0-9a-f]{64}$"`
}

func (s *server) registerBlobs() {
	binary := map[string]*huma.MediaType{anyBytes: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	huma.Register(s.api, huma.Operation{
		OperationID: "post-blob", Method: http.MethodPost, Path: "/v1/blobs", Summary: "Upload a document", Tags: []string{"blobs"},
		Description: "The body is the bytes as they are, of any Content-Type. They are kept for an hour, and for as long as a task names " +
			"them in payload.source.blob. The same bytes are stored once. A key that is good for some kinds only needs document_parse.",
		DefaultStatus: http.StatusCreated, Errors: []int{400, 401, 403, 408, 413, 415, 422, 503}, Middlewares: huma.Middlewares{s.readBody(blobBodies)},
	}, s.postBlob)
	// Set afterwards: with a body the library would read it itself.
	s.api.OpenAPI().Paths["/v1/blobs"].Post.RequestBody = &huma.RequestBody{Required: true, Content: binary}
	huma.Register(s.api, huma.Operation{
		OperationID: "get-blob", Method: http.MethodGet, Path: "/v1/blobs/{sha}", Summary: "Get a blob's bytes", Tags: []string{"blobs"},
		Description: "What was uploaded, or what a task's large payload or result consists of: the hash is what opens it. A key that is " +
			"good for some kinds only needs document_parse.",
		Errors:    []int{401, 403, 404, 422, 503},
		Responses: map[string]*huma.Response{"200": {Description: "The bytes, checked against their hash.", Content: binary}},
	}, s.getBlob)
}

func (s *server) postBlob(ctx context.Context, _ *struct{}) (*blobOutput, error) {
	if err := s.permit(ctx, tasks.DocumentParse.Name()); err != nil {
		return nil, err
	}
	b := bodyOf(ctx)
	if len(b.bytes) == 0 {
		return nil, s.fail(ctx, tasks.Invalid("body", "must not be empty"))
	}
	sha, err := s.Client.PutBlob(ctx, bytes.NewReader(b.bytes))
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	s.note(ctx, keys.Entry{Class: keys.Handed, Action: "upload", Object: sha, Count: 1})
	return &blobOutput{Status: http.StatusCreated, Location: "/v1/blobs/" + sha, Body: blobView{SHA256: sha, Bytes: len(b.bytes)}}, nil
}

func (s *server) getBlob(ctx context.Context, in *blobInput) (*blobBytes, error) {
	if err := s.permit(ctx, tasks.DocumentParse.Name()); err != nil {
		return nil, err
	}
	data, err := s.Client.Blob(ctx, in.SHA)
	if errors.Is(err, client.ErrNoBlob) {
		return nil, huma.Error404NotFound("no blob has this hash, or it is no longer kept")
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	// A browser must neither show nor run what a stranger has uploaded.
	return &blobBytes{
		ContentType: anyBytes, ETag: `"` + in.SHA + `"`, Cache: "private, max-age=3600, immutable",
		Disposition: `attachment; filename="` + in.SHA + `"`, Sniff: "nosniff", Body: data,
	}, nil
}
