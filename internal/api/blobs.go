package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/jobyard/jobyard/client"
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
			"them in payload.source.blob. The same bytes are stored once.",
		DefaultStatus: http.StatusCreated, Errors: []int{403, 408, 413, 415, 422, 503}, Middlewares: huma.Middlewares{s.readBlob},
	}, s.postBlob)
	// Set afterwards: with a body the library would read it itself.
	s.api.OpenAPI().Paths["/v1/blobs"].Post.RequestBody = &huma.RequestBody{Required: true, Content: binary}
	huma.Register(s.api, huma.Operation{
		OperationID: "get-blob", Method: http.MethodGet, Path: "/v1/blobs/{sha}", Summary: "Get a blob's bytes", Tags: []string{"blobs"},
		Description: "What was uploaded, or what a task's large payload or result consists of.",
		Errors:      []int{403, 404, 422, 503},
		Responses:   map[string]*huma.Response{"200": {Description: "The bytes, checked against their hash.", Content: binary}},
	}, s.getBlob)
}

func (s *server) postBlob(ctx context.Context, _ *struct{}) (*blobOutput, error) {
	b := bodyOf(ctx)
	if len(b.bytes) == 0 {
		return nil, s.problem(tasks.Invalid("body", "must not be empty"))
	}
	sha, err := s.Client.PutBlob(ctx, bytes.NewReader(b.bytes))
	if full, ok := errors.AsType[*client.MemoryError](err); ok {
		s.Log.Warn().Err(full).Msg("blob refused")
		return nil, later(http.StatusServiceUnavailable, "there is no room for more; try again later")
	}
	if err != nil {
		return nil, s.problem(err)
	}
	return &blobOutput{Status: http.StatusCreated, Location: "/v1/blobs/" + sha, Body: blobView{SHA256: sha, Bytes: len(b.bytes)}}, nil
}

func (s *server) getBlob(ctx context.Context, in *blobInput) (*blobBytes, error) {
	data, err := s.Client.Blob(ctx, in.SHA)
	if errors.Is(err, client.ErrNoBlob) {
		return nil, huma.Error404NotFound("no blob has this hash, or it is no longer kept")
	}
	if err != nil {
		return nil, s.problem(err)
	}
	// A browser must neither show nor run what a stranger has uploaded.
	return &blobBytes{
		ContentType: anyBytes, ETag: `"` + in.SHA + `"`, Cache: "private, max-age=3600, immutable",
		Disposition: `attachment; filename="` + in.SHA + `"`, Sniff: "nosniff", Body: data,
	}, nil
}

// readBlob reads a body of any kind within its bounds of size, time and memory,
// as readBody does for JSON.
func (s *server) readBlob(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		s.refuse(ctx, http.StatusUnsupportedMediaType, "send the bytes as they are, without Content-Encoding")
		return
	}
	room := r.ContentLength
	switch {
	case room > maxBlob:
		s.refuse(ctx, http.StatusRequestEntityTooLarge, blobTooLarge())
		return
	case room < 0:
		room = maxBlob // chunked: it may become that much
	}
	if !s.bodies.TryAcquire(room) {
		ctx.SetHeader("Retry-After", retryAfter)
		s.refuse(ctx, http.StatusServiceUnavailable, "too many large requests at once; try again later")
		return
	}
	release := sync.OnceFunc(func() { s.bodies.Release(room) })
	defer release()
	control := http.NewResponseController(w)
	// Only test recorders have no deadlines.
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBlob))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		s.refuse(ctx, http.StatusRequestEntityTooLarge, blobTooLarge())
		return
	}
	if err != nil {
		s.refuseRead(ctx, err)
		return
	}
	_ = control.SetReadDeadline(time.Time{})
	next(huma.WithValue(ctx, bodyKey{}, body{data, release}))
}

func blobTooLarge() string {
	return fmt.Sprintf("the body is over %d MiB; put larger documents where a url leads to them", maxBlob>>20)
}
