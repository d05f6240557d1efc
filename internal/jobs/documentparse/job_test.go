package documentparse

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/library"
	"github.com/jobyard/jobyard/tasks"
)

const jobDocument = "# Title\n\nSome prose.\n\n```go\nx := 1\n```\n\nMore prose.\n\n## Next\n\n```\ny\n```\n"

func TestJob_Sources(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte(jobDocument))
	sha := hex.EncodeToString(sum[:])
	job := New(Collaborators{
		Blob: func(_ context.Context, asked string) ([]byte, error) {
			if asked != sha {
				return []byte("other bytes"), nil
			}
			return []byte(jobDocument), nil
		},
		Fetch: func(_ context.Context, url string) (Fetched, error) {
			return Fetched{Data: []byte(jobDocument), ContentType: "text/markdown; charset=utf-8", URL: url + "/final"}, nil
		},
	})
	for name, src := range map[string]tasks.DocumentSource{
		"text": {Text: jobDocument}, "base64": {Base64: base64.StdEncoding.EncodeToString([]byte(jobDocument))},
		"blob": {Blob: sha}, "url": {URL: "https://example.com/doc"},
	} {
		res, err := job.Handle(t.Context(), tasks.DocumentParsePayload{Source: src, Filename: "a.md"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if res.Title != "Title" || res.SHA256 != sha || len(res.Sections) != 2 || res.Token != "" {
			t.Errorf("%s: got title %q, sha %.8s, %d sections, token %q", name, res.Title, res.SHA256, len(res.Sections), res.Token)
		}
		if got := res.Metadata["final_url"]; name == "url" && got != "https://example.com/doc/final" {
			t.Errorf("got final_url %v", got)
		}
	}
	_, err := job.Handle(t.Context(), tasks.DocumentParsePayload{Source: tasks.DocumentSource{Blob: strings.Repeat("0", 64)}})
	if got := fault.Of(err); got == nil || got.Reason != tasks.ReasonIntegrity {
		t.Errorf("got %v, want integrity for bytes of another sum", err)
	}
}

func TestJob_Faults(t *testing.T) {
	t.Parallel()
	job := New(Collaborators{})
	for name, test := range map[string]struct {
		payload tasks.DocumentParsePayload
		reason  tasks.Reason
		path    string
	}{
		"no source":  {tasks.DocumentParsePayload{}, tasks.ReasonInvalid, "payload.source"},
		"bad base64": {tasks.DocumentParsePayload{Source: tasks.DocumentSource{Base64: "%%"}}, tasks.ReasonInvalid, "payload.source.base64"},
		"png as Markdown": {tasks.DocumentParsePayload{ContentType: "text/markdown", Filename: "a.md", Source: tasks.DocumentSource{
			Base64: base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00"))}}, tasks.ReasonInvalid, "payload.source"},
		"random bytes": {tasks.DocumentParsePayload{Source: tasks.DocumentSource{
			Base64: base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00\x01\x02\x80\xff", 50)))}}, tasks.ReasonInvalid, "payload.source"},
		"pdf":        {tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: "%PDF-1.7\n1 0 obj"}}, tasks.ReasonRejected, ""},
		"no library": {tasks.DocumentParsePayload{Index: true, URI: "a", Source: tasks.DocumentSource{Text: "a"}}, tasks.ReasonRejected, ""},
		"no blobs":   {tasks.DocumentParsePayload{Source: tasks.DocumentSource{Blob: strings.Repeat("0", 64)}}, tasks.ReasonRejected, ""},
		"no fetcher": {tasks.DocumentParsePayload{Source: tasks.DocumentSource{URL: "https://example.com"}}, tasks.ReasonRejected, ""},
		"too large":  {tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: strings.Repeat("a", maxInput+1)}}, tasks.ReasonTooLarge, ""},
	} {
		_, err := job.Handle(t.Context(), test.payload)
		got := fault.Of(err)
		if got == nil || got.Verdict != fault.Permanent || got.Reason != test.reason {
			t.Errorf("%s: got %v, want permanent %s", name, err, test.reason)
			continue
		}
		if test.path != "" && (len(got.Fields) != 1 || got.Fields[0].Path != test.path) {
			t.Errorf("%s: got fields %v, want one at %s", name, got.Fields, test.path)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := job.Handle(ctx, tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: "# a"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's end", err)
	}
}

func TestJob_Indexes(t *testing.T) {
	t.Parallel()
	var docs []library.Document
	job := New(Collaborators{
		Index: func(_ context.Context, d library.Document) (string, error) {
			docs = append(docs, d)
			return "7-0", nil
		},
		Fetch: func(_ context.Context, url string) (Fetched, error) {
			return Fetched{Data: []byte(jobDocument), ContentType: "text/markdown", URL: "https://example.com/moved"}, nil
		},
	})
	res, err := job.Handle(t.Context(), tasks.DocumentParsePayload{
		Source: tasks.DocumentSource{Text: jobDocument}, Filename: "a.md", URI: "doc:1", Collection: "sdk", Index: true,
	})
	if err != nil || res.Token != "7-0" {
		t.Fatalf("got token %q, error %v", res.Token, err)
	}
	want := []library.Section{
		{ID: "s1", Heading: "Title", Anchor: "title", Level: 1, Body: "Some prose.\n\nMore prose.", Code: "x := 1"},
		{ID: "s2", Heading: "Next", Anchor: "next", Level: 2, Body: "", Code: "y"},
	}
	d := docs[0]
	if d.URI != "doc:1" || d.Collection != "sdk" || d.URL != "" || d.Title != "Title" || len(d.Sections) != 2 {
		t.Fatalf("got %+v", d)
	}
	for i := range want {
		if d.Sections[i] != want[i] {
			t.Errorf("got section %+v, want %+v", d.Sections[i], want[i])
		}
	}
	if _, err = job.Handle(t.Context(), tasks.DocumentParsePayload{Source: tasks.DocumentSource{URL: "https://example.com/asked"}, Index: true}); err != nil {
		t.Fatal(err)
	}
	if d := docs[1]; d.URI != "https://example.com/asked" || d.URL != "https://example.com/asked" || d.Collection != library.DefaultCollection {
		t.Errorf("got uri %q, url %q, collection %q", d.URI, d.URL, d.Collection)
	}
}

func TestWithoutCode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		code []string
		want string
	}{
		{"a\n\nb\n\nc", []string{"b"}, "a\n\nc"},
		{"a x b\n\nx", []string{"x"}, "a x b"},
		{"x", []string{"x", "y"}, ""},
		{"x\n\nprose x", []string{"x\n"}, "prose x"},
	} {
		if got := withoutCode(test.text, test.code); got != test.want {
			t.Errorf("withoutCode(%q, %q): got %q, want %q", test.text, test.code, got, test.want)
		}
	}
}
