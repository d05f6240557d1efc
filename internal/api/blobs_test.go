package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

func TestBlobs_UploadAndGet(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	data := strings.Repeat("some bytes \xff\x00", 10_000)
	sha := blob.SHA([]byte(data))
	got := d.ask(t, http.MethodPost, "/v1/blobs", data, "Content-Type", "text/html")
	if want := fmt.Sprintf(`{"sha256":%q,"bytes":%d}`, sha, len(data)); got.status != http.StatusCreated || strings.TrimSpace(got.body) != want || got.header.Get("Location") != "/v1/blobs/"+sha {
		t.Fatalf("got %+v, want 201 with %s", got, want)
	}
	got = d.ask(t, http.MethodGet, "/v1/blobs/"+sha, "")
	if got.status != http.StatusOK || got.body != data || got.header.Get("Content-Type") != anyBytes || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got %d with %d bytes and %v", got.status, len(got.body), got.header)
	}
}

func TestBlobs_Refusals(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	for name, tt := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		text               string
	}{
		"unknown":    {http.MethodGet, "/v1/blobs/" + blob.SHA(nil), "", nil, 404, "no blob has this hash"},
		"no hash":    {http.MethodGet, "/v1/blobs/x", "", nil, 422, "path.sha"},
		"empty":      {http.MethodPost, "/v1/blobs", "", nil, 422, "must not be empty"},
		"too large":  {http.MethodPost, "/v1/blobs", strings.Repeat("x", maxBlob+1), nil, 413, "16 MiB"},
		"compressed": {http.MethodPost, "/v1/blobs", "x", []string{"Content-Encoding", "gzip"}, 415, "Content-Encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := d.ask(t, tt.method, tt.path, tt.body, tt.headers...)
			if got.status != tt.status || !strings.Contains(got.body, tt.text) || got.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s, want %d with %q", got.status, got.body, tt.status, tt.text)
			}
		})
	}
}

// A body whose length is not told is bounded too.
func TestBlobs_ChunkedBodiesAreBounded(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL+"/v1/blobs", endless{})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d, want 413", answer.StatusCode)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestBlobs_ATaskNamesOne(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	body := func(sha string) string {
		return `{"kind":"document_parse","payload":{"source":{"blob":"` + sha + `"}}}`
	}
	got := d.ask(t, http.MethodPost, "/v1/tasks", body(blob.SHA([]byte("never"))))
	if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, `"location":"payload.source.blob"`) {
		t.Errorf("got %d %s, want 422 at payload.source.blob", got.status, got.body)
	}
	d.ask(t, http.MethodPost, "/v1/blobs", "# Hello")
	d.ask(t, http.MethodPost, "/v1/tasks", body(blob.SHA([]byte("# Hello")))).task(t, http.StatusAccepted, tasks.Pending)
}

func TestBlobs_NoRoom(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	if err := d.broker.Client().ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	got := d.ask(t, http.MethodPost, "/v1/blobs", "x")
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s, want 503 with Retry-After", got.status, got.body)
	}
}

// A result whose blob is lost is no empty 200.
func TestResult_ALostBlobIsTold(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	lost := blob.Marker{SHA: blob.SHA([]byte("lost")), Size: 100_000}
	d.broker.Client().HSet(t.Context(), broker.TaskKey("search", "x"), "state", "completed", "y_final", "completed", "result", lost.Bytes())
	got := d.ask(t, http.MethodGet, "/v1/tasks/x/result", "")
	if got.status != http.StatusConflict || !strings.Contains(got.body, "the result is lost") {
		t.Errorf("got %d %s, want 409 that says so", got.status, got.body)
	}
}
