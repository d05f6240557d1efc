package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/tasks"
)

func (r reply) batch(t testing.TB, status int) tasks.BatchInfo {
	t.Helper()
	var info tasks.BatchInfo
	if err := json.Unmarshal([]byte(r.body), &info); err != nil || r.status != status || info.ID == "" {
		t.Fatalf("got %d %s, %v; want %d and a batch", r.status, r.body, err, status)
	}
	return info
}

func queries(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = query(fmt.Sprint("q", i))
	}
	return strings.Join(all, ",")
}

func TestBatches(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	body := `{"tasks":[` + queries(60) + `]}`
	r := d.ask(t, "POST", "/v1/batches", body, "Idempotency-Key", "nightly")
	if info := r.batch(t, 202); info.ID != "nightly" || info.Total != 60 || info.Counts[tasks.Pending] != 60 || r.header.Get("Location") != "/v1/batches/nightly" {
		t.Errorf("got %+v", info)
	}
	d.ask(t, "POST", "/v1/batches", body, "Idempotency-Key", "nightly").batch(t, 202)
	d.ask(t, "POST", "/v1/batches", `{"tasks":[`+queries(2)+`]}`, "Idempotency-Key", "nightly").problem(t, 422, "id", "other tasks")
	d.ask(t, "GET", "/v1/batches/nightly?wait=10ms", "").batch(t, 200)
	d.serve(t)
	if info := d.ask(t, "GET", "/v1/batches/nightly?wait=30s", "").batch(t, 200); !info.Finished() || info.Counts[tasks.Completed] != 60 {
		t.Errorf("got %+v", info)
	}
	results := d.ask(t, "GET", "/v1/batches/nightly/results?from=2", "")
	lines := strings.Split(strings.TrimSpace(results.body), "\n")
	if results.status != 200 || results.header.Get("Content-Type") != "application/x-ndjson" || len(lines) != 58 {
		t.Fatalf("got %d, %d lines: %s", results.status, len(lines), results.body)
	}
	for i, line := range lines {
		var task tasks.Task
		if err := json.Unmarshal([]byte(line), &task); err != nil || task.ID != fmt.Sprint("nightly.", i+2) || task.State != tasks.Completed || len(task.Result) == 0 {
			t.Errorf("line %d: got %s", i, line)
		}
	}
	d.ask(t, "DELETE", "/v1/batches/nightly", "").problem(t, 409, "", "has ended")
}

func TestBatches_Lines(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	text := query("a") + "\n\n" + query("b") + "\n"
	info := d.ask(t, "POST", "/v1/batches", text, "Content-Type", "application/x-ndjson", "Idempotency-Key", "b").batch(t, 202)
	if info.ID != "b" || info.Total != 2 {
		t.Errorf("got %+v", info)
	}
	d.ask(t, "POST", "/v1/batches", query("a")+"\n\n"+`{"kind":`, "Content-Type", "application/x-ndjson").problem(t, 422, "line 3", "")
	d.ask(t, "POST", "/v1/tasks", query("a"), "Content-Type", "application/x-ndjson").problem(t, 415, "", "")
}

func TestBatches_Cancel(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.ask(t, "POST", "/v1/batches", `{"id":"b","tasks":[`+queries(3)+`]}`).batch(t, 202)
	if info := d.ask(t, "DELETE", "/v1/batches/b", "").batch(t, 200); info.Counts[tasks.Canceled] != 3 {
		t.Errorf("got %+v", info)
	}
	d.ask(t, "DELETE", "/v1/batches/b", "").batch(t, 200)
}

func TestBatches_BadRequests(t *testing.T) {
	t.Parallel()
	d := open(t, client.Config{QueueLimit: 5, BulkLimit: 5})
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		location, text     string
	}{
		"no task":        {"POST", "/v1/batches", `{"tasks":[]}`, 422, "tasks", "must be 1 to"},
		"field of one":   {"POST", "/v1/batches", `{"tasks":[` + query("x") + `,` + query("") + `]}`, 422, "tasks[1].payload.query", "must not be empty"},
		"unknown field":  {"POST", "/v1/batches", `{"requests":[]}`, 422, "requests", ""},
		"full":           {"POST", "/v1/batches", `{"tasks":[` + queries(6) + `]}`, 429, "", "queue search:bulk is full"},
		"too large":      {"POST", "/v1/batches", `{"id":"` + strings.Repeat("x", MaxBatchBody) + `"}`, 413, "", "in several batches"},
		"unknown":        {"GET", "/v1/batches/nope", "", 404, "", "no batch has this id"},
		"unknown stream": {"GET", "/v1/batches/nope/results", "", 404, "", "no batch"},
		"bad start":      {"GET", "/v1/batches/nope/results?from=x", "", 422, "query.from", ""},
		"not to cancel":  {"DELETE", "/v1/batches/nope", "", 404, "", "no batch"},
		"bad wait":       {"GET", "/v1/batches/nope?wait=2h", "", 422, "wait", ""},
		"method":         {"PUT", "/v1/batches", "", 405, "", "PUT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := d.ask(t, tt.method, tt.path, tt.body)
			r.problem(t, tt.status, tt.location, tt.text)
			if tt.status == 429 && r.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}

// TestBatches_StopEndsAStream: whoever reads learns where to go on.
func TestBatches_StopEndsAStream(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.ask(t, "POST", "/v1/batches", `{"id":"b","tasks":[`+queries(30)+`]}`).batch(t, 202)
	if _, err := d.client.Cancel(t.Context(), "b.0"); err != nil {
		t.Fatal(err)
	}
	r, err := http.Get(d.URL + "/v1/batches/b/results")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	if !lines.Scan() || !strings.Contains(lines.Text(), `"b.0"`) {
		t.Fatalf("got %s, want b.0 before the others end", lines.Text())
	}
	close(d.stop)
	var end streamEnd
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &end) != nil || end.Next != 1 || end.Error == nil || end.Error.Reason != tasks.ReasonInterrupted {
		t.Errorf("got %s, want where to go on", lines.Text())
	}
	if lines.Scan() {
		t.Errorf("got %s after the end", lines.Text())
	}
}

// A quiet stream shows that it lives, by what no reader of JSON stumbles over.
func TestLineWriter_Beats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &strict{ResponseRecorder: httptest.NewRecorder()}
		l := newLineWriter(w)
		<-time.After(4*heartbeat + time.Second)
		l.write(tasks.Task{ID: "x"})
		<-time.After(heartbeat + time.Second)
		l.close()
		if w.ended {
			t.Error("its deadline passed while nothing was written")
		}
		var task tasks.Task
		line, rest, _ := strings.Cut(w.Body.String(), "\n")
		if err := json.Unmarshal([]byte(line), &task); err != nil || task.ID != "x" || !strings.HasPrefix(line, "    {") || rest != " " {
			t.Errorf("got %q (%v), want a space each %s", w.Body, err, heartbeat)
		}
	})
}

func TestResult_ETag(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.serve(t)
	task := d.ask(t, "POST", "/v1/tasks?wait=30s", query("x")).task(t, 200, tasks.Completed)
	path := "/v1/tasks/" + task.ID + "/result"
	tag := d.ask(t, "GET", path, "").header.Get("ETag")
	if tag == "" {
		t.Fatal("no ETag")
	}
	for known, want := range map[string]int{tag: 304, strings.TrimPrefix(tag, "W/"): 304, `"a", ` + tag: 304, "*": 304, `"a"`: 200} {
		r := d.ask(t, "GET", path, "", "If-None-Match", known)
		if r.status != want || (want == 304) != (r.body == "") || r.header.Get("ETag") != tag {
			t.Errorf("%s: got %+v, want %d", known, r, want)
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	for sent, kept := range map[string]bool{"order-7": true, "a/b=": true, "": false, "two words": false, "new\tline": false, strings.Repeat("x", 129): false} {
		r := d.ask(t, "GET", "/v1/tasks/nope", "", "X-Request-Id", sent)
		got := r.header.Get("X-Request-Id")
		if got == "" || (got == sent) != kept {
			t.Errorf("%q: got %q", sent, got)
		}
		if !strings.Contains(r.body, `"request_id":"`+got+`"`) {
			t.Errorf("got %s without %s", r.body, got)
		}
	}
	if r := d.ask(t, "GET", "/nowhere", ""); !strings.Contains(r.body, r.header.Get("X-Request-Id")) {
		t.Errorf("got %s", r.body)
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	for accept, want := range map[string]string{"gzip": "gzip", "zstd": "zstd", "gzip, zstd": "zstd", "identity": ""} {
		r := d.ask(t, "GET", "/openapi.json", "", "Accept-Encoding", accept)
		if got := r.header.Get("Content-Encoding"); got != want || !strings.Contains(r.header.Get("Vary"), "Accept-Encoding") {
			t.Errorf("%s: got %q, %v", accept, got, r.header)
		}
	}
	if r := d.ask(t, "GET", "/healthz", "", "Accept-Encoding", "gzip"); r.header.Get("Content-Encoding") != "" {
		t.Errorf("a small answer is compressed")
	}
}

func TestDocs_LoadNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	for _, path := range []string{"/docs", "/docs/docs.js", "/docs/docs.css"} {
		r := d.ask(t, "GET", path, "")
		if r.status != 200 || strings.Contains(r.body, "http:") || strings.Contains(r.body, "https:") ||
			!strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: got %d, %v", path, r.status, r.header)
		}
	}
}

func TestWaits_AreBounded(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig(), func(c *Config) { c.MaxWaits = 1 })
	task := d.ask(t, "POST", "/v1/tasks", query("x")).task(t, 202, tasks.Pending)
	first := make(chan reply, 1)
	go func() {
		r := reply{status: 503} // the asking below may hold the only place
		for r.status == 503 && t.Context().Err() == nil {
			r = d.ask(t, "GET", "/v1/tasks/"+task.ID+"?wait=60s", "")
		}
		first <- r
	}()
	for deadline := time.Now().Add(20 * time.Second); ; {
		r := d.ask(t, "GET", "/v1/tasks/"+task.ID+"?wait=1ms", "")
		if r.status == 503 {
			if r.problem(t, 503, "", "ask without wait"); r.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a second wait is allowed")
		}
	}
	// An accepted task is answered with its id all the same.
	d.ask(t, "POST", "/v1/tasks?wait=10s", query("y")).task(t, 202, tasks.Pending)
	close(d.stop)
	(<-first).task(t, 200, tasks.Pending)
}
