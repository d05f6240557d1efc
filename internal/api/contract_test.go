package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/internal/webhooks"
	"github.com/jobyard/jobyard/tasks"
)

// contract remembers which answers of which routes were seen, and holds each to
// the description.
type contract struct {
	t    *testing.T
	doc  any
	mu   sync.Mutex
	seen map[string]bool // "POST /v1/tasks 202"
}

// documented lists the answers that the description knows.
func (c *contract) documented() []string {
	var all []string
	for path, item := range c.doc.(map[string]any)["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			for status := range op.(map[string]any)["responses"].(map[string]any) {
				if status != "default" {
					all = append(all, strings.ToUpper(method)+" "+path+" "+status)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// check notes an answer; what is JSON must be as described.
func (c *contract) check(route string, r reply) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[fmt.Sprint(route, " ", r.status)] = true
	method, path, _ := strings.Cut(route, " ")
	media, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	if r.body == "" || !strings.HasSuffix(media, "json") || media == "application/x-ndjson" {
		return
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", c.doc); err != nil {
		c.t.Fatal(err)
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	at := fmt.Sprintf("openapi.json#/paths/%s/%s/responses/%d/content/%s/schema", escape.Replace(path), strings.ToLower(method), r.status, escape.Replace(media))
	schema, err := compiler.Compile(at)
	if err != nil {
		c.t.Errorf("%s %d is not described: %v", route, r.status, err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(r.body))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		c.t.Errorf("%s %d: %v\n%s", route, r.status, err, r.body)
	}
}

// TestContract walks every route to every answer that the description knows.
func TestContract(t *testing.T) {
	t.Parallel()
	d := open(t, client.Config{QueueLimit: 6, BulkLimit: 6}, func(c *Config) { c.MaxWaits, c.BodyTimeout = 2, 200*time.Millisecond })
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(d.ask(t, "GET", "/openapi.json", "").body))
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{t: t, doc: doc, seen: map[string]bool{}}
	_, admin := d.key(t, keys.Key{Name: "admin", Actions: []keys.Action{keys.Admin}})
	_, nothing := d.key(t, keys.Key{Name: "nothing", Actions: []keys.Action{keys.Cancel}, Kinds: []string{"sdk_fetch"}})
	_, slow := d.key(t, keys.Key{Name: "slow", Actions: []keys.Action{keys.Admin}, Rate: 0.0001})
	d.ask(t, "GET", "/v1/kinds", "", slow...)
	do := func(want int, route, path, body string, headers ...string) reply {
		t.Helper()
		method, _, _ := strings.Cut(route, " ")
		r := d.ask(t, method, path, body, headers...)
		if r.status != want {
			t.Errorf("%s %s: got %d %.300s, want %d", method, path, r.status, r.body, want)
		}
		c.check(route, r)
		return r
	}
	routes := map[string]string{ // to a path that exists, or 404s
		"POST /v1/tasks": "/v1/tasks", "GET /v1/tasks/{id}": "/v1/tasks/x", "DELETE /v1/tasks/{id}": "/v1/tasks/x", "GET /v1/tasks/{id}/result": "/v1/tasks/x/result",
		"POST /v1/batches": "/v1/batches", "GET /v1/batches/{id}": "/v1/batches/x", "DELETE /v1/batches/{id}": "/v1/batches/x",
		"GET /v1/batches/{id}/results": "/v1/batches/x/results", "GET /v1/queues": "/v1/queues", "GET /v1/kinds": "/v1/kinds", "GET /v1/audit": "/v1/audit",
		"GET /v1/webhooks": "/v1/webhooks", "GET /v1/webhooks/deliveries": "/v1/webhooks/deliveries",
		"POST /v1/webhooks/deliveries/{id}/retry": "/v1/webhooks/deliveries/x/retry", "GET /v1/tasks/{id}/events": "/v1/tasks/x/events",
		"GET /v1/dead": "/v1/dead", "GET /v1/dead/groups": "/v1/dead/groups", "GET /v1/dead/{id}": "/v1/dead/x", "DELETE /v1/dead/{id}": "/v1/dead/x",
		"POST /v1/dead/{id}/replay": "/v1/dead/x/replay", "POST /v1/dead/replay": "/v1/dead/replay", "POST /v1/dead/delete": "/v1/dead/delete",
		"POST /v1/blobs": "/v1/blobs", "GET /v1/blobs/{sha}": "/v1/blobs/" + blob.SHA([]byte("x")),
	}
	bodies := map[string]string{
		"POST /v1/tasks": query("x"), "POST /v1/batches": `{"tasks":[` + query("x") + `]}`, "POST /v1/blobs": "x",
		"POST /v1/dead/replay": `{"all":true}`, "POST /v1/dead/delete": `{"all":true}`,
	}
	for route, path := range routes {
		body := bodies[route]
		do(401, route, path, body)
		if actionOf(strings.Fields(route)[0], route) != keys.Cancel { // which it is good for
			do(403, route, path, body, nothing...)
		}
		do(429, route, path, body, slow...)
		if strings.Contains(path, "/x") || route == "GET /v1/blobs/{sha}" {
			do(404, route, path, body, admin...)
		}
	}
	with := func(more ...string) []string { return append(slices.Clone(admin), more...) }
	large := strings.Repeat("x", MaxBatchBody+1)
	for _, post := range []struct {
		route, useless string
		most           int
	}{
		{"POST /v1/tasks", "{}", MaxBody}, {"POST /v1/batches", "{}", MaxBatchBody}, {"POST /v1/blobs", "", maxBlob},
		{"POST /v1/dead/{id}/replay", `{"id":"x"}`, MaxBody}, {"POST /v1/dead/replay", "{}", MaxBody}, {"POST /v1/dead/delete", "{}", MaxBody},
	} {
		path := routes[post.route]
		do(413, post.route, path, large[:post.most+1], admin...)
		do(415, post.route, path, "{}", with("Content-Type", "text/plain", "Content-Encoding", "gzip")...)
		do(422, post.route, path, post.useless, admin...)
		c.check(post.route, d.half(t, path, admin[1], false))
		c.check(post.route, d.half(t, path, admin[1], true))
	}
	for route, path := range map[string]string{
		"GET /v1/tasks/{id}": "/v1/tasks/x?wait=9h", "GET /v1/tasks/{id}/result": "/v1/tasks/x/result?wait=9h", "GET /v1/batches/{id}": "/v1/batches/x?wait=9h",
		"GET /v1/batches/{id}/results": "/v1/batches/x/results?from=-1", "GET /v1/audit": "/v1/audit?limit=0", "GET /v1/webhooks/deliveries": "/v1/webhooks/deliveries?limit=0",
		"GET /v1/dead": "/v1/dead?limit=0", "GET /v1/dead/groups": "/v1/dead/groups?kind=x", "GET /v1/blobs/{sha}": "/v1/blobs/x",
	} {
		do(422, route, path, "", admin...)
	}
	d.walk(t, do, with)
	d.away(t, do, routes, bodies, admin)
	for _, answer := range c.documented() {
		// A 500 would be a fault of ours. Without Redis the kinds are shut only
		// once the keys are stale, as all else. Whether canceling finds
		// work going on or ended is a matter of the moment.
		if strings.HasSuffix(answer, " 500") || answer == "GET /v1/kinds 503" || answer == "DELETE /v1/batches/{id} 202" || answer == "DELETE /v1/tasks/{id} 202" {
			continue
		}
		if !c.seen[answer] {
			t.Errorf("never seen: %s", answer)
		}
	}
}

// walk takes tasks and batches through their states.
func (d *door) walk(t *testing.T, do func(int, string, string, string, ...string) reply, with func(...string) []string) {
	t.Helper()
	admin := with()
	other := do(202, "POST /v1/tasks", "/v1/tasks", `{"kind":"config_gen","payload":{"template":"x"},"options":{"id":"other"}}`, admin...)
	_, one := d.key(t, keys.Key{Name: "search only", Actions: []keys.Action{keys.Enqueue, keys.Read, keys.Cancel}, Kinds: []string{"search"}})
	do(403, "DELETE /v1/tasks/{id}", "/v1/tasks/other", "", one...)
	do(202, "POST /v1/batches", "/v1/batches", `{"id":"foreign","tasks":[{"kind":"config_gen","payload":{"template":"x"}}]}`, admin...)
	do(403, "DELETE /v1/batches/{id}", "/v1/batches/foreign", "", one...)
	_ = other
	for i := range 6 {
		do(202, "POST /v1/tasks", "/v1/tasks", query(fmt.Sprint(i)), with("Idempotency-Key", fmt.Sprint("t", i))...)
	}
	do(429, "POST /v1/tasks", "/v1/tasks", query("y"), admin...)
	do(429, "POST /v1/batches", "/v1/batches", `{"tasks":[`+queries(7)+`]}`, admin...)
	do(202, "GET /v1/tasks/{id}/result", "/v1/tasks/t0/result", "", admin...)
	do(200, "DELETE /v1/tasks/{id}", "/v1/tasks/t0", "", admin...)
	do(202, "POST /v1/batches", "/v1/batches", `{"id":"b","tasks":[`+queries(3)+`]}`, admin...)
	d.serve(t)
	do(200, "GET /v1/batches/{id}", "/v1/batches/b?wait=30s", "", admin...)
	do(200, "POST /v1/batches", "/v1/batches", `{"id":"b","tasks":[`+queries(3)+`]}`, admin...)
	do(200, "GET /v1/batches/{id}/results", "/v1/batches/b/results", "", admin...)
	do(409, "DELETE /v1/batches/{id}", "/v1/batches/b", "", admin...)
	do(200, "GET /v1/tasks/{id}", "/v1/tasks/t1?wait=30s", "", admin...)
	tag := do(200, "GET /v1/tasks/{id}/result", "/v1/tasks/t1/result", "", admin...).header.Get("ETag")
	do(304, "GET /v1/tasks/{id}/result", "/v1/tasks/t1/result", "", with("If-None-Match", tag)...)
	do(409, "GET /v1/tasks/{id}/result", "/v1/tasks/t0/result", "", admin...)
	do(409, "DELETE /v1/tasks/{id}", "/v1/tasks/t1", "", admin...)
	brokertest.Until(t, "there is room", func() bool {
		return d.ask(t, "POST", "/v1/tasks", query("hang"), with("Idempotency-Key", "hang")...).status == 202
	})
	brokertest.Until(t, "it runs", func() bool {
		task, err := d.client.Status(t.Context(), "hang")
		return err == nil && task.State == tasks.Active
	})
	if r := d.ask(t, "DELETE", "/v1/tasks/hang", "", admin...); r.status != 202 && r.status != 200 {
		t.Errorf("got %d %s", r.status, r.body)
	}
	do(200, "POST /v1/tasks", "/v1/tasks?wait=30s", query("now"), admin...)
	for route, path := range map[string]string{
		"GET /v1/queues": "/v1/queues", "GET /v1/kinds": "/v1/kinds", "GET /v1/audit": "/v1/audit", "GET /healthz": "/healthz", "GET /readyz": "/readyz",
		"GET /v1/webhooks": "/v1/webhooks", "GET /v1/webhooks/deliveries": "/v1/webhooks/deliveries",
	} {
		do(200, route, path, "", admin...)
	}
	d.cancelBatch(t, do, admin)
	d.retry(t, do, admin)
	d.bury(t, do, with)
	sha := blob.SHA([]byte("some bytes"))
	do(201, "POST /v1/blobs", "/v1/blobs", "some bytes", admin...)
	do(200, "GET /v1/blobs/{sha}", "/v1/blobs/"+sha, "", admin...)
}

// bury makes dead letters, and raises and deletes them; t1 has completed.
func (d *door) bury(t *testing.T, do func(int, string, string, string, ...string) reply, with func(...string) []string) {
	t.Helper()
	admin := with()
	events := do(200, "GET /v1/tasks/{id}/events", "/v1/tasks/t1/events", "", admin...)
	_, id, _ := strings.Cut(events.body, "\nid: ")
	id, _, _ = strings.Cut(id, "\n")
	do(204, "GET /v1/tasks/{id}/events", "/v1/tasks/t1/events", "", with("Last-Event-ID", id)...)
	do(409, "GET /v1/dead/{id}", "/v1/dead/t1", "", admin...)
	do(409, "DELETE /v1/dead/{id}", "/v1/dead/t1", "", admin...)
	do(409, "POST /v1/dead/{id}/replay", "/v1/dead/t1/replay", "", admin...)
	for _, id := range []string{"f0", "f1"} {
		do(200, "POST /v1/tasks", "/v1/tasks?wait=30s", query("fail"), with("Idempotency-Key", id)...).task(t, 200, tasks.Archived)
	}
	do(200, "GET /v1/dead", "/v1/dead?limit=1", "", admin...)
	do(200, "GET /v1/dead/groups", "/v1/dead/groups?kind=search", "", admin...)
	do(200, "GET /v1/dead/{id}", "/v1/dead/f0", "", admin...)
	do(202, "POST /v1/dead/{id}/replay", "/v1/dead/f0/replay", `{"payload":{"query":"well"}}`, admin...)
	do(204, "DELETE /v1/dead/{id}", "/v1/dead/f1", "", admin...)
	do(200, "POST /v1/dead/replay", "/v1/dead/replay", `{"kind":"search","dry_run":true}`, admin...)
	do(200, "POST /v1/dead/delete", "/v1/dead/delete", `{"all":true}`, admin...)
}

// cancelBatch cancels a batch that waits, and one that runs.
func (d *door) cancelBatch(t *testing.T, do func(int, string, string, string, ...string) reply, admin []string) {
	t.Helper()
	do(200, "DELETE /v1/batches/{id}", "/v1/batches/foreign", "", admin...)
	do(202, "POST /v1/batches", "/v1/batches", `{"id":"hangs","tasks":[`+query("hang")+`]}`, admin...)
	brokertest.Until(t, "it runs", func() bool {
		task, err := d.client.Status(t.Context(), "hangs.0")
		return err == nil && task.State == tasks.Active
	})
	if r := d.ask(t, "DELETE", "/v1/batches/hangs", "", admin...); r.status != 202 && r.status != 200 {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

// retry makes a call of a webhook due again.
func (d *door) retry(t *testing.T, do func(int, string, string, string, ...string) reply, admin []string) {
	t.Helper()
	raw, err := json.Marshal(webhooks.Delivery{ID: "msg_1", Endpoint: "shop", Object: "t1", Created: time.Now(), GivenUp: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.broker.Client().Set(t.Context(), "jobyard:{webhooks}:delivery:msg_1", raw, 0).Err(); err != nil {
		t.Fatal(err)
	}
	do(200, "POST /v1/webhooks/deliveries/{id}/retry", "/v1/webhooks/deliveries/msg_1/retry", "", admin...)
}

// away asks every route while Redis is.
func (d *door) away(t *testing.T, do func(int, string, string, string, ...string) reply, routes, bodies map[string]string, admin []string) {
	t.Helper()
	d.broker.Close()
	for route, path := range routes {
		if route != "GET /v1/kinds" { // is known without Redis
			do(503, route, path, bodies[route], admin...)
		}
	}
	do(503, "GET /readyz", "/readyz", "")
}

// half sends half of a body: the rest comes never, or the connection is shut
// for writing.
func (d *door) half(t *testing.T, path, authorization string, shut bool) reply {
	t.Helper()
	conn, err := net.Dial("tcp", d.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", path, authorization)
	if shut {
		conn.(*net.TCPConn).CloseWrite()
	}
	raw, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	var status int
	if _, err := fmt.Sscanf(head, "HTTP/1.1 %d", &status); err != nil || status != 400 && status != 408 {
		t.Errorf("got %s", raw)
	}
	return reply{status, http.Header{"Content-Type": {"application/problem+json"}}, body}
}
