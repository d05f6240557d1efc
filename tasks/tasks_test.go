package tasks_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestRequest_CheckNamesTheField(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, request, path, message string }{
		{"an unknown kind", `{"kind":"sing","payload":{}}`, "kind", "must be one of search, sdk_fetch"},
		{"no payload", `{"kind":"search"}`, "payload", "got nothing"},
		{"an unknown field", `{"kind":"search","payload":{"query":"a","limits":3}}`, "payload.limits", "is not a field"},
		{"a wrong type", `{"kind":"search","payload":{"query":"a","limit":"3"}}`, "payload.limit", "must be a whole number, got string"},
		{"a payload that is no object", `{"kind":"search","payload":[]}`, "payload", "must be an object"},
		{"an empty query", `{"kind":"search","payload":{"query":""}}`, "payload.query", "must not be empty"},
		{"a bad facet", `{"kind":"search","payload":{"query":"a","facets":["collection","color"]}}`, "payload.facets[1]", "must be one of"},
		{"a bad filter", `{"kind":"search","payload":{"query":"a","filters":{"color":["red"]}}}`, "payload.filters.color", "must be one of"},
		{"a bad token", `{"kind":"search","payload":{"query":"a","min_token":"soon"}}`, "payload.min_token", "must be a token"},
		{"two sources", `{"kind":"document_parse","payload":{"source":{"text":"a","url":"http://h/"}}}`, "payload.source", "exactly one"},
		{"a file address", `{"kind":"document_parse","payload":{"source":{"url":"file:///etc/passwd"}}}`, "payload.source.url", "http or https"},
		{"index without a uri", `{"kind":"document_parse","payload":{"source":{"text":"a"},"index":true}}`, "payload.uri", "must be set"},
		{"an unknown ecosystem", `{"kind":"sdk_fetch","payload":{"ecosystem":"cobol","name":"x"}}`, "payload.ecosystem", `"npm" or "go"`},
		{"a climbing name", `{"kind":"sdk_fetch","payload":{"ecosystem":"go","name":"a/../../b"}}`, "payload.name", ".."},
		{"parameters that are no object", `{"kind":"config_gen","payload":{"template":"x","parameters":[1]}}`, "payload.parameters", "an object"},
		{"a climbing path", `{"kind":"config_gen","payload":{"template":"x","existing":{"../a":"b"}}}`, "payload.existing", "relative"},
		{"a negative timeout", `{"kind":"search","payload":{"query":"a"},"options":{"timeout":"-1s"}}`, "options.timeout", "from 1ms to 2m0s"},
		{"a timeout without a unit", `{"kind":"search","payload":{"query":"a"},"options":{"timeout":30}}`, "options.timeout", `must be text with a unit as "30s" or "1.5m", got 30`},
		{"another kind's queue", `{"kind":"search","payload":{"query":"a"},"options":{"queue":"sdk_fetch"}}`, "options.queue", `"search:bulk"`},
		{"too many retries", `{"kind":"search","payload":{"query":"a"},"options":{"max_retry":26}}`, "options.max_retry", "0 to 25"},
		{"a bad id", `{"kind":"search","payload":{"query":"a"},"options":{"id":"a b"}}`, "options.id", "letters"},
		{"two starts", `{"kind":"search","payload":{"query":"a"},"options":{"in":"1s","at":"2026-02-01T00:00:00Z"}}`, "options.at", "together"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := tasks.DecodeRequest([]byte(tt.request))
			if err == nil {
				_, err = r.Check(now)
			}
			var in *tasks.InvalidError
			if !errors.As(err, &in) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			if f := in.Fields[0]; f.Path != tt.path || !strings.Contains(f.Message, tt.message) {
				t.Errorf("got %+v, want path %q and %q", f, tt.path, tt.message)
			}
		})
	}
}

func TestRequest_CheckNamesEveryField(t *testing.T) {
	t.Parallel()
	r := tasks.Request{Kind: "search", Payload: json.RawMessage(`{"query":"","limit":-1,"fuzzy":"maybe"}`)}
	_, err := r.Check(now)
	var in *tasks.InvalidError
	if !errors.As(err, &in) || len(in.Fields) != 3 {
		t.Errorf("got %v, want three faults", err)
	}
}

func TestRequest_CheckFillsInDefaults(t *testing.T) {
	t.Parallel()
	r, err := tasks.Search.New(tasks.SearchPayload{Query: "a"}, tasks.WithTimeout(1500*time.Millisecond), tasks.WithQueue("bulk"))
	if err != nil {
		t.Fatal(err)
	}
	if r, err = r.Check(now); err != nil {
		t.Fatal(err)
	}
	o := r.Options
	if o.Queue != "search:bulk" || time.Duration(o.Timeout) != 1500*time.Millisecond || *o.MaxRetry != tasks.DefaultMaxRetry ||
		time.Duration(o.Retention) != tasks.DefaultRetention || !o.Start(now).IsZero() {
		t.Errorf("got %+v", o)
	}
}

func TestKind_PayloadOverTheLimit(t *testing.T) {
	t.Parallel()
	raw := `{"source":{"text":"` + strings.Repeat("a", tasks.MaxPayloadBytes) + `"}}`
	if _, err := tasks.DocumentParse.Check([]byte(raw)); err == nil || !strings.Contains(err.Error(), "16777216 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestTask_JSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(tasks.Task{
		ID: "1", Kind: "search", Queue: "search", State: tasks.Archived, Attempts: 2, EnqueuedAt: now,
		Error: &tasks.Error{Reason: tasks.ReasonInvalid, Message: "m", Fields: []tasks.FieldError{{Path: "payload.query", Message: "n"}}},
	})
	want := `{"id":"1","kind":"search","queue":"search","state":"archived","attempts":2,"enqueued_at":"2026-01-02T03:04:05Z",` +
		`"cached":"","error":{"reason":"invalid","message":"m","retryable":false,"fields":[{"path":"payload.query","message":"n"}]}}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"kind":"search","payload":{"query":"a"},"options":{"timeout":"1s"}}`))
	f.Add([]byte(`{"kind":"document_parse","payload":{"source":{"base64":"AA=="}}}`))
	f.Add([]byte(`{"kind":"config_gen","payload":{"template":"x","existing":{"a/b":"c"}}} trailing`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := tasks.DecodeRequest(raw)
		if err == nil {
			r, err = r.Check(now)
		}
		var in *tasks.InvalidError
		if err != nil && !errors.As(err, &in) {
			t.Fatalf("got %T %v, want an InvalidError", err, err)
		}
		if err != nil {
			return
		}
		// What was accepted once is accepted in its canonical form.
		if _, err := r.Check(now); err != nil {
			t.Errorf("canonical form refused: %v", err)
		}
	})
}

func TestRequest_Blob(t *testing.T) {
	t.Parallel()
	sha := strings.Repeat("0a", 32)
	for name, tt := range map[string]struct {
		payload tasks.DocumentParsePayload
		want    string
	}{
		"a blob":               {tasks.DocumentParsePayload{Source: tasks.DocumentSource{Blob: sha}, URI: "x", Index: true}, sha},
		"a text that looks so": {tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: `{"source":{"blob":"` + sha + `"}}`}}, ""},
		"a url":                {tasks.DocumentParsePayload{Source: tasks.DocumentSource{URL: "https://example.com/" + sha}}, ""},
	} {
		r, err := tasks.DocumentParse.New(tt.payload)
		if err != nil {
			t.Fatal(err)
		}
		// However the caller wrote it: what is queued has one form.
		r.Payload = []byte(strings.Replace(string(r.Payload), "{", "{ \n", 1))
		if r, err = r.Check(time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := r.Blob(); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
		r.Kind = "search"
		if got := r.Blob(); got != "" {
			t.Errorf("%s of another kind: got %q, want none", name, got)
		}
	}
}
