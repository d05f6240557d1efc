package search

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/library"
	"github.com/jobyard/jobyard/tasks"
)

func guide() library.Document {
	return library.Document{
		URI: "npm:camera@2.0.0/README.md", Collection: "npm", Title: "Camera", Language: "en", ContentType: "text/markdown",
		URL: "https://docs.test/camera#top",
		Sections: []library.Section{
			{ID: "s0", Body: "A component for the device's camera."},
			{ID: "s1", Heading: "Permissions", Anchor: "permissions", Level: 2, Body: "Ask <b>first</b> & only once for permission to use it."},
			{ID: "s2", Heading: "Usage", Anchor: "usage", Level: 2, Code: "const [p, ask] = useCameraPermissions();"},
		},
	}
}

func TestJob_Handle(t *testing.T) {
	t.Parallel()
	job := serve(t, []library.Document{guide()})
	handle := func(p tasks.SearchPayload) tasks.SearchResult {
		t.Helper()
		r, err := job.Handle(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}

	r := handle(tasks.SearchPayload{Query: "permission", Facets: []string{"collection"}})
	want := tasks.SearchHit{
		ID: "s1", Document: "npm:camera@2.0.0/README.md", Collection: "npm", Title: "Camera", Heading: "Permissions",
		Anchor: "permissions", URL: "https://docs.test/camera#permissions",
		Snippet: "Ask &lt;b&gt;first&lt;/b&gt; &amp; only once for <mark>permission</mark> to use it.",
		Score:   r.Hits[0].Score, Why: []string{"heading: permission", "body: permission"},
	}
	if !reflect.DeepEqual(r.Hits[0], want) {
		t.Errorf("hit:\n got %+v\nwant %+v", r.Hits[0], want)
	}
	if r.Total != 2 || r.Facets["collection"]["npm"] != 2 || r.Stale || r.Token == "0-0" || r.DidYouMean != "" {
		t.Errorf("got %+v", r)
	}

	r = handle(tasks.SearchPayload{Query: "useCameraPermissions"})
	if r.Hits[0].ID != "s2" || !strings.Contains(r.Hits[0].Snippet, "<mark>useCameraPermissions</mark>();") {
		t.Errorf("code-like query: got %+v", r.Hits[0])
	}
	if r = handle(tasks.SearchPayload{Query: "permision camra"}); r.DidYouMean != "permission camera" || len(r.Hits) == 0 {
		t.Errorf("typos: got did_you_mean %q and %d hits", r.DidYouMean, len(r.Hits))
	}
	if r = handle(tasks.SearchPayload{Query: "permision", Fuzzy: "off"}); r.DidYouMean != "" || len(r.Hits) != 0 {
		t.Errorf("typos without fuzzy: got did_you_mean %q and %d hits", r.DidYouMean, len(r.Hits))
	}
	for name, p := range map[string]tasks.SearchPayload{
		"unknown collection":        {Query: "camera", Collection: "nowhere"},
		"collection against filter": {Query: "camera", Collection: "npm", Filters: map[string][]string{"collection": {"go"}}},
		"only punctuation":          {Query: "?!"},
		"past the end":              {Query: "camera", Offset: 10_000, Limit: 100},
	} {
		if r := handle(p); r.Hits == nil || len(r.Hits) != 0 {
			t.Errorf("%s: got %v, want an empty list", name, r.Hits)
		}
	}
	if r = handle(tasks.SearchPayload{Query: "camera", Collection: "npm", Limit: 1}); len(r.Hits) != 1 || r.Total != 3 {
		t.Errorf("limit 1: got %d hits of %d, want 1 of 3", len(r.Hits), r.Total)
	}
}

func TestJob_RefusesBadPayloads(t *testing.T) {
	t.Parallel()
	job := offline(t)
	for name, p := range map[string]tasks.SearchPayload{
		"no query": {}, "bad token": {Query: "a", MinToken: "5"}, "token over range": {Query: "a", MinToken: "99999999999999999999-0"},
		"limit": {Query: "a", Limit: 101}, "facet": {Query: "a", Facets: []string{"body"}},
	} {
		_, err := job.Handle(t.Context(), p)
		if f := fault.Of(err); f == nil || f.Reason != tasks.ReasonInvalid || f.Verdict != fault.Permanent || len(f.Fields) == 0 {
			t.Errorf("%s: got %v, want a permanent fault that names the field", name, err)
		}
	}
}

// offline makes a job over an empty replica that nothing feeds.
func offline(t *testing.T) *Job {
	t.Helper()
	replica, err := library.Open(t.Context(), library.Config{Dir: t.TempDir()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = replica.Close() })
	job, err := New(DefaultConfig(), replica)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func TestJob_AwaitsATokenWithinBounds(t *testing.T) {
	t.Parallel()
	job := offline(t)
	job.cfg.MaxWait = 20 * time.Millisecond
	if stale, err := job.await(t.Context(), "5-0"); err != nil || !stale {
		t.Errorf("a token that does not come: got stale %v, %v; want stale", stale, err)
	}
	if r, err := job.Handle(t.Context(), tasks.SearchPayload{Query: "a", MinToken: "5-0"}); err != nil || !r.Stale || r.Token != "0-0" {
		t.Errorf("an answer before its token: got %+v, %v; want it stale at 0-0", r, err)
	}
	job.cfg.MaxWait = time.Minute
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if _, err := job.await(ctx, "5-0"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a context shorter than the wait: got %v, want its end", err)
	}
	if stale, err := job.await(t.Context(), "0-0"); stale || err != nil {
		t.Errorf("a token that is reached: got stale %v, %v", stale, err)
	}
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	err := Config{MaxWait: -1, SnippetBytes: 1}.Validate()
	if err == nil || !strings.Contains(err.Error(), "max wait") || !strings.Contains(err.Error(), "snippet bytes") {
		t.Errorf("got %v, want both faults", err)
	}
}

func TestWeights_TellCodeFromLanguage(t *testing.T) {
	t.Parallel()
	code := []string{"useState", "XMLHttpRequest", "app.json", "fetch()", "@scope/pkg", "--no-color", "std::vector", "snake_case", "run -v"}
	language := []string{"how to use state", "Camera", "what is Expo?", "API reference", "e-mail address", "カメラ", "end. Then"}
	for _, q := range slices.Concat(code, language) {
		if got, want := weights(q).Code == 1, slices.Contains(code, q); got != want {
			t.Errorf("%q: code-like %v, want %v", q, got, want)
		}
	}
}
