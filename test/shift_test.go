package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// shift is a yard at work, used by its doors alone: commands and HTTP.
type shift struct {
	*yard
	api, page string // addresses
	key       string // of an admin
	producer  *program
	worker    *program
	calls     chan string // bodies that the webhook's endpoint got
}

// newShift starts a worker, a producer and a monitor on y's Redis.
func newShift(y *yard) *shift {
	y.t.Helper()
	s := &shift{yard: y, calls: make(chan string, 10)}
	endpoint := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.calls <- string(body)
	}))
	y.t.Cleanup(endpoint.Close)
	secret := filepath.Join(y.t.TempDir(), "webhooks")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s3cret", 8)), 0o600); err != nil {
		y.t.Fatal(err)
	}
	signed := []string{"--webhook-secret-file", secret, "--webhook-allow-private"}
	s.startWorker()
	at := address(y.t)
	s.page = "http://" + at
	y.start("monitor", "--listen", at, "--read-only=false", "--asynqmon-read-only=false")
	s.key = tokenPattern.FindString(y.run("keys", "add", "ops", "--actions", "admin", "--rate", "1000", "--in-flight", "1000"))
	s.api, s.producer = y.serve(http.DefaultClient, "http", signed...)
	y.run(append(append([]string{"webhooks"}, signed...), "add", "shop", endpoint.URL)...)
	s.until("a node is up", func() bool { return strings.Contains(s.get(s.page+"/metrics"), "jobyard_node_up{") })
	return s
}

func (s *shift) startWorker() {
	s.t.Helper()
	s.worker = s.start("worker", "--admin-listen", address(s.t), "--allow-private-urls")
}

// until is more patient than brokertest: five programs run beside the test.
func (s *shift) until(what string, done func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-s.t.Context().Done():
		}
		if time.Now().After(end) {
			s.t.Fatalf("not within a minute: %s", what)
		}
	}
}

// ask sends a request with the key and returns its status and answer.
func (s *shift) ask(method, address, body string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error() // not there, or not yet
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, string(raw)
}

func (s *shift) get(address string) string {
	s.t.Helper()
	status, body := s.ask("GET", address, "")
	if status != http.StatusOK {
		return ""
	}
	return body
}

// must asks and fails the test unless the answer is a good one with want in it.
func (s *shift) must(method, address, body, want string) string {
	s.t.Helper()
	status, got := s.ask(method, address, body)
	if status/100 != 2 || !strings.Contains(got, want) {
		s.t.Errorf("%s %s: got %d %.500s, want %q", method, address, status, got, want)
	}
	return got
}

// says fails the test unless a command of the producer prints want.
func (s *shift) says(want string, args ...string) {
	s.t.Helper()
	if out := s.run(args...); !strings.Contains(out, want) {
		s.t.Errorf("producer %s: got %s, want %q", strings.Join(args, " "), out, want)
	}
}

// all goes through what a yard is used for.
func (s *shift) all() {
	s.t.Helper()
	s.tasks()
	s.failures()
	s.watching()
	s.lostWorker()
	s.keys()
}

// tasks hands over work of every kind and size, by every way.
func (s *shift) tasks() {
	s.t.Helper()
	ctx := patience(s.t)
	done := s.batch(ctx, mixed(16))
	if len(done) != 16 {
		s.t.Fatalf("got %d answers, want 16", len(done))
	}
	for _, task := range done {
		if task.State != tasks.Completed {
			s.t.Errorf("got %+v, want it completed", task)
		}
	}
	large := fmt.Sprintf(`{"kind":"document_parse","payload":{"source":{"text":%q},"content_type":"text/markdown"},"options":{"id":"large","webhook":"shop"}}`,
		"# Large\n\n"+strings.Repeat("word ", 40_000))
	s.must("POST", s.api+"/v1/tasks?wait=60s", large, `"state":"completed"`)
	select {
	case call := <-s.calls:
		if !strings.Contains(call, `"task.completed"`) || !strings.Contains(call, `"large"`) {
			s.t.Errorf("got the call %.300s", call)
		}
	case <-ctx.Done():
		s.t.Error("nobody was called")
	}
	s.must("GET", s.api+"/v1/tasks/large/result", "", `"title":"Large"`)
	s.must("GET", s.api+"/v1/tasks/large/events", "", `"state":"completed"`)
	var sent struct{ SHA256 string }
	if err := json.Unmarshal([]byte(s.must("POST", s.api+"/v1/blobs", "# From a blob", `"sha256"`)), &sent); err != nil {
		s.t.Fatal(err)
	}
	s.says("# From a blob", "blob", "get", sent.SHA256)
	s.must("POST", s.api+"/v1/tasks?wait=60s", `{"kind":"document_parse","payload":{"source":{"blob":"`+sent.SHA256+`"},"content_type":"text/markdown"}}`, "From a blob")
	s.must("POST", s.api+"/v1/tasks?wait=60s", `{"kind":"search","payload":{"query":"soon"},"options":{"in":"1s"}}`, `"state":"completed"`)
	s.must("POST", s.api+"/v1/tasks", `{"kind":"search","payload":{"query":"never"},"options":{"in":"1h","id":"never"}}`, `"state":"scheduled"`)
	s.must("DELETE", s.api+"/v1/tasks/never", "", `"state":"canceled"`)
	b := `{"id":"b","webhook":"shop","tasks":[{"kind":"search","payload":{"query":"a"}},{"kind":"config_gen","payload":{"template":"no-such"}}]}`
	s.must("POST", s.api+"/v1/batches", b, `"total":2`)
	s.must("GET", s.api+"/v1/batches/b/results", "", `"b.1"`)
	s.must("GET", s.api+"/v1/batches/b?wait=60s", "", `"finished_at"`)
}

// failures looks at dead letters, replays one and deletes them.
func (s *shift) failures() {
	s.t.Helper()
	s.must("GET", s.api+"/v1/dead", "", `"b.1"`)
	s.must("GET", s.api+"/v1/dead/groups", "", `"reason":"invalid"`)
	s.must("POST", s.api+"/v1/dead/b.1/replay", "", `"b.1"`)
	s.until("it has failed again", func() bool { return strings.Contains(s.get(s.api+"/v1/dead/b.1"), "no-such") })
	s.must("POST", s.api+"/v1/dead/replay", `{"all":true}`, `"matched":1`)
	s.until("it has failed again", func() bool { return strings.Contains(s.get(s.api+"/v1/dead/b.1"), "no-such") })
	s.says("deleted b.1", "dead", "delete", "b.1")
	// An upstream that is down is asked again later.
	s.must("POST", s.api+"/v1/tasks", `{"kind":"document_parse","payload":{"source":{"url":"http://127.0.0.1:1/x.md"}},"options":{"id":"again"}}`, `"again"`)
	s.until("it waits to be repeated", func() bool { return strings.Contains(s.get(s.api+"/v1/tasks/again"), `"state":"retry"`) })
	s.must("DELETE", s.api+"/v1/tasks/again", "", `"state":"canceled"`)
}

// watching asks the monitor for all there is to see, and lets it act.
func (s *shift) watching() {
	s.t.Helper()
	s.until("the monitor sees Redis", func() bool { return s.get(s.page+"/readyz") != "" })
	for path, want := range map[string]string{
		"/metrics": `jobyard_queue_tasks{queue="search",state="pending"} 0`, "/scale": `"desired_workers"`, "/api/tasks": `"large"`,
		"/api/tasks/large": `"large"`, "/api/dead": "", "/asynqmon/api/queues": `"search"`, "/asynqmon/api/redis_info": `"address"`,
		"/asynqmon/api/queues/search/completed_tasks": "", "/asynqmon/api/servers": "",
	} {
		s.must("GET", s.page+path, "", want)
	}
	s.must("POST", s.page+"/asynqmon/api/queues/search:pause", "", "")
	s.must("GET", s.api+"/v1/queues", "", `"paused":true`)
	s.must("POST", s.page+"/asynqmon/api/queues/search:resume", "", "")
	for _, args := range [][]string{{"status"}, {"check"}, {"why", "large"}} {
		if out, err := s.command(s.t.Context(), "monitor", args...).CombinedOutput(); err != nil {
			s.t.Errorf("monitor %v: %v\n%s", args, err, out)
		}
	}
	s.says("1 alive", "doctor")
}

// lostWorker kills the worker while it has a task in hand; another one gets it.
func (s *shift) lostWorker() {
	s.t.Helper()
	o := newOrigin(s.t)
	s.must("POST", s.api+"/v1/tasks", `{"kind":"document_parse","payload":{"source":{"url":"`+o.url+`"},"content_type":"text/markdown"},"options":{"id":"lost"}}`, `"lost"`)
	o.await(patience(s.t), s.t, 1)
	s.worker.kill(s.t)
	close(o.late)
	s.startWorker()
	s.must("GET", s.api+"/v1/tasks/lost?wait=60s", "", `"state":"completed"`)
}

// keys revokes the key and finds it shut out.
func (s *shift) keys() {
	s.t.Helper()
	s.says("ops", "keys", "list")
	s.says("enqueue", "keys", "audit")
	s.run("keys", "revoke", "ops")
	brokertest.Until(s.t, "the key is revoked", func() bool {
		status, _ := s.ask("GET", s.api+"/v1/queues", "")
		return status == http.StatusUnauthorized
	})
	raw, err := os.ReadFile(s.producer.log.Name())
	if err != nil || bytes.Contains(raw, []byte(s.key)) {
		s.t.Errorf("the key is in the log (%v):\n%s", err, raw)
	}
}
