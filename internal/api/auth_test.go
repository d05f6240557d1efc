package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/tasks"
)

// key makes a key that the door knows, and returns the header that holds it.
func (d *door) key(t testing.TB, k keys.Key) (id string, header []string) {
	t.Helper()
	k, token, err := keys.New(d.broker).Add(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "the key is known", func() bool {
		_, err := d.keys.Ring.Find(token)
		return err == nil
	})
	return k.ID, []string{"Authorization", "Bearer " + token}
}

func TestKeys_AreAskedForOnceThereIsOne(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.ask(t, "POST", "/v1/tasks", query("x")).task(t, 202, tasks.Pending)
	id, header := d.key(t, keys.Key{Name: "shop", Actions: []keys.Action{keys.Enqueue, keys.Read}})
	task := d.ask(t, "POST", "/v1/tasks", query("x"), header...).task(t, 202, tasks.Pending)
	for name, headers := range map[string][]string{
		"nothing": nil, "a word": {"Authorization", "Bearer x"}, "another scheme": {"Authorization", "Basic eDp5"}, "an empty one": {"Authorization", "Bearer "},
	} {
		r := d.ask(t, "GET", "/v1/tasks/"+task.ID, "", headers...)
		if r.problem(t, 401, "", ""); !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: got %q", name, r.header.Get("WWW-Authenticate"))
		}
	}
	d.ask(t, "DELETE", "/v1/tasks/"+task.ID, "", header...).problem(t, 403, "", "not good for cancel")
	d.ask(t, "GET", "/v1/audit", "", header...).problem(t, 403, "", "not good for admin")
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/docs", "/metrics"} {
		if r := d.ask(t, "GET", path, ""); r.status != 200 {
			t.Errorf("%s: got %d", path, r.status)
		}
	}
	if _, err := keys.New(d.broker).Revoke(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "the revocation is known", func() bool {
		return d.ask(t, "GET", "/v1/tasks/"+task.ID, "", header...).status == 401
	})
	d.ask(t, "GET", "/v1/tasks/"+task.ID, "", header...).problem(t, 401, "", "revoked")
	d.ask(t, "POST", "/v1/tasks", query("x")).problem(t, 401, "", "send a key")
}

func TestKeys_Kinds(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	other := d.ask(t, "POST", "/v1/tasks", `{"kind":"config_gen","payload":{"template":"x"}}`).task(t, 202, tasks.Pending)
	mixed := `{"id":"mixed","tasks":[` + query("x") + `,{"kind":"config_gen","payload":{"template":"x"}}]}`
	d.ask(t, "POST", "/v1/batches", mixed).batch(t, 202)
	_, header := d.key(t, keys.Key{Name: "shop", Kinds: []string{"search"}, Actions: []keys.Action{keys.Enqueue, keys.Read, keys.Cancel}})
	d.ask(t, "POST", "/v1/tasks", query("x"), header...).task(t, 202, tasks.Pending)
	d.ask(t, "POST", "/v1/batches", `{"tasks":[`+query("x")+`]}`, header...).batch(t, 202)
	for _, tt := range []struct{ method, path, body string }{
		{"POST", "/v1/tasks", `{"kind":"config_gen","payload":{"template":"x"}}`},
		{"POST", "/v1/batches", strings.Replace(mixed, "mixed", "again", 1)},
		{"GET", "/v1/tasks/" + other.ID, ""}, {"GET", "/v1/tasks/" + other.ID + "?wait=1s", ""}, {"GET", "/v1/tasks/" + other.ID + "/result", ""},
		{"DELETE", "/v1/tasks/" + other.ID, ""}, {"GET", "/v1/batches/mixed", ""}, {"GET", "/v1/batches/mixed?wait=1s", ""},
		{"GET", "/v1/batches/mixed/results", ""}, {"DELETE", "/v1/batches/mixed", ""},
	} {
		d.ask(t, tt.method, tt.path, tt.body, header...).problem(t, 403, "", "not good for the kind config_gen")
	}
	if task, err := d.client.Status(t.Context(), other.ID); err != nil || task.State != tasks.Pending {
		t.Errorf("got %+v, %v, want the task untouched", task, err)
	}
}

func TestKeys_Quotas(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	all := []keys.Action{keys.Enqueue, keys.Read, keys.Cancel}
	_, slow := d.key(t, keys.Key{Name: "slow", Actions: all, Rate: 0.01})
	_, small := d.key(t, keys.Key{Name: "small", Actions: all, InFlight: 2})
	d.ask(t, "GET", "/v1/queues", "", slow...)
	r := d.ask(t, "GET", "/v1/queues", "", slow...)
	if r.problem(t, 429, "", "0.01 requests a second"); len(r.header.Get("Retry-After")) < 2 {
		t.Errorf("got Retry-After %q, want nearly 100", r.header.Get("Retry-After"))
	}
	first := d.ask(t, "POST", "/v1/tasks", query("a"), small...).task(t, 202, tasks.Pending)
	d.ask(t, "POST", "/v1/tasks", query("a"), append([]string{"Idempotency-Key", first.ID}, small...)...).task(t, 202, tasks.Pending)
	d.ask(t, "POST", "/v1/tasks", query(""), small...).problem(t, 422, "payload.query", "")
	d.ask(t, "POST", "/v1/batches", `{"tasks":[`+queries(2)+`]}`, small...).problem(t, 429, "", "has 1")
	d.ask(t, "POST", "/v1/tasks", query("b"), small...).task(t, 202, tasks.Pending)
	if r = d.ask(t, "POST", "/v1/tasks", query("c"), small...); r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	r.problem(t, 429, "", "may have 2 unfinished tasks, and has 2")
	d.ask(t, "DELETE", "/v1/tasks/"+first.ID, "", small...).task(t, 200, tasks.Canceled)
	brokertest.Until(t, "a place is free", func() bool { return d.ask(t, "POST", "/v1/tasks", query("c"), small...).status == 202 })
}

func TestKeys_AuditLog(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	_, header := d.key(t, keys.Key{Name: "ops", Actions: []keys.Action{keys.Admin}})
	task := d.ask(t, "POST", "/v1/tasks", query("hush"), append(header, "X-Request-Id", "req-1")...).task(t, 202, tasks.Pending)
	d.ask(t, "DELETE", "/v1/tasks/"+task.ID, "", header...).task(t, 200, tasks.Canceled)
	d.ask(t, "GET", "/v1/queues", "").problem(t, 401, "", "")
	var log struct{ Entries []keys.Entry }
	var text string
	brokertest.Until(t, "all of it is written", func() bool {
		text = d.ask(t, "GET", "/v1/audit", "", header...).body
		return json.Unmarshal([]byte(text), &log) == nil && len(log.Entries) == 3
	})
	of := map[keys.Class]keys.Entry{}
	for _, e := range log.Entries {
		of[e.Class] = e
	}
	refused, canceled, handed := of[keys.Refusals], of[keys.Changes], of[keys.Handed]
	if handed.Action != "enqueue" || handed.Object != task.ID || handed.Name != "ops" || handed.RequestID != "req-1" || handed.Remote != "127.0.0.1" {
		t.Errorf("got %+v", handed)
	}
	if canceled.Action != "cancel" || refused.Status != 401 || strings.Contains(text, "hush") || strings.Contains(text, header[1][12:]) {
		t.Errorf("got %s", text)
	}
	d.ask(t, "GET", "/v1/audit?class=payloads", "", header...).problem(t, 422, "query.class", "")
}

// TestKeys_OthersAreNotServedWithoutOne asks as another machine would.
func TestKeys_OthersAreNotServedWithoutOne(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	from := func(remote string, header ...string) int {
		r := request("GET", "/v1/queues", "")
		r.RemoteAddr = remote
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		d.Config.Handler.ServeHTTP(w, r)
		return w.Code
	}
	for remote, want := range map[string]int{"127.0.0.1:1": 200, "[::1]:1": 200, "192.0.2.7:1": 403, "": 403} {
		if got := from(remote); got != want {
			t.Errorf("%q: got %d, want %d", remote, got, want)
		}
	}
	if got := from("127.0.0.1:1", "X-Forwarded-For", "192.0.2.7"); got != 403 {
		t.Errorf("through a proxy: got %d, want 403", got)
	}
	_, header := d.key(t, keys.Key{Name: "a", Actions: []keys.Action{keys.Read}})
	if got := from("192.0.2.7:1", header...); got != 200 {
		t.Errorf("with a key: got %d, want 200", got)
	}
	r := request("GET", "/v1/queues", "")
	r.Host, r.RemoteAddr = "yard.example", "192.0.2.7:1"
	r.Header.Set(header[0], header[1])
	w := httptest.NewRecorder()
	if d.Config.Handler.ServeHTTP(w, r); w.Code != 200 {
		t.Errorf("by name, with a key: got %d", w.Code)
	}
}

// TestKeys_RoutesAreShutUnlessNamed: a route that somebody adds needs a key.
func TestKeys_RoutesAreShutUnlessNamed(t *testing.T) {
	t.Parallel()
	for route, want := range map[string]keys.Action{
		"POST /v1/tasks": keys.Enqueue, "GET /v1/tasks/{id}": keys.Read, "DELETE /v1/tasks/{id}": keys.Cancel, "POST /v1/dead/{id}/replay": keys.Admin,
		"DELETE /v1/dead/{id}": keys.Admin, "GET /v1/dead": keys.Read, "PUT /v1/anything": keys.Admin, "GET /v1/audit": keys.Admin,
	} {
		method, _, _ := strings.Cut(route, " ")
		if got := actionOf(method, route); got != want {
			t.Errorf("%s: got %s, want %s", route, got, want)
		}
	}
}

// BenchmarkKey is a request with a key beside one without (BenchmarkPost).
func BenchmarkKey(b *testing.B) {
	d := open(b, client.Config{QueueLimit: 1e6, BulkLimit: 1e6})
	_, header := d.key(b, keys.Key{Name: "a", Actions: []keys.Action{keys.Enqueue}})
	for b.Loop() {
		r := request("POST", "/v1/tasks", query("x"))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(header[0], header[1])
		w := httptest.NewRecorder()
		if d.Config.Handler.ServeHTTP(w, r); w.Code != http.StatusAccepted {
			b.Fatal(w.Code, w.Body)
		}
	}
}
