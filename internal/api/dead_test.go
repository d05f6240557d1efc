package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/tasks"
)

// kill makes so many dead letters, by a worker that fails them.
func (d *door) kill(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		d.ask(t, "POST", "/v1/tasks", fmt.Sprintf(`{"kind":"search","payload":{"query":"fail"},"options":{"id":"d%d"}}`, i)).task(t, 202, tasks.Pending)
	}
	brokertest.Until(t, "all have failed", func() bool { return d.dead(t, "").Total == int64(n) })
}

func (d *door) dead(t testing.TB, query string) tasks.DeadPage {
	t.Helper()
	var page tasks.DeadPage
	d.ask(t, "GET", "/v1/dead"+query, "").into(t, 200, &page)
	return page
}

func (r reply) into(t testing.TB, status int, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), v); err != nil || r.status != status {
		t.Fatalf("got %d %s, %v; want %d", r.status, r.body, err, status)
	}
}

func TestDead_ListGroupShow(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.serve(t)
	d.kill(t, 5)
	page := d.dead(t, "?limit=2&reason=not_found&kind=search")
	if len(page.Letters) != 2 || page.Next == "" || page.Letters[0].Error.Message != "nothing there" {
		t.Errorf("got %+v", page)
	}
	rest := d.dead(t, "?limit=1000&after="+page.Next)
	if len(rest.Letters) != 3 || rest.Next != "" {
		t.Errorf("got %+v", rest)
	}
	var groups tasks.DeadGroups
	d.ask(t, "GET", "/v1/dead/groups", "").into(t, 200, &groups)
	if len(groups.Groups) != 1 || groups.Groups[0].Count != 5 || groups.Groups[0].Fingerprint != page.Letters[0].Fingerprint {
		t.Errorf("got %+v", groups)
	}
	var letter tasks.DeadLetter
	d.ask(t, "GET", "/v1/dead/d3", "").into(t, 200, &letter)
	if string(letter.Payload) != `{"query":"fail"}` || letter.Options == nil || *letter.Options.MaxRetry != 3 || letter.Attempts != 1 {
		t.Errorf("got %+v", letter)
	}
	d.ask(t, "GET", "/v1/dead/nobody", "").problem(t, 404, "", "no task has this id")
	for query, field := range map[string]string{
		"kind=x": "kind", "queue=x": "queue", "reason=x": "reason", "group=x": "group", "since=x": "since", "before=1": "before",
		"limit=x": "limit", "limit=0": "limit", "limit=1001": "limit", "after=x": "after",
	} {
		d.ask(t, "GET", "/v1/dead?"+query, "").problem(t, 422, field, "must be")
	}
	d.ask(t, "POST", "/v1/dead", "{}").problem(t, 405, "", "")
}

func TestDead_ReplayAndDeleteOne(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.serve(t)
	d.kill(t, 3)
	r := d.ask(t, "POST", "/v1/dead/d0/replay", `{"payload":{"query":"well"},"options":{"timeout":"5s"}}`)
	if r.status != 202 || r.header.Get("Location") != "/v1/tasks/d0" {
		t.Errorf("got %d, %v", r.status, r.header)
	}
	if done := d.ask(t, "GET", "/v1/tasks/d0?wait=20s", "").task(t, 200, tasks.Completed); done.Replayed == nil || done.Replayed.Times != 1 || done.Replayed.Reason != tasks.ReasonNotFound {
		t.Errorf("got %+v", done)
	}
	d.ask(t, "POST", "/v1/dead/d0/replay", "").problem(t, 409, "", "no dead letter")
	d.ask(t, "DELETE", "/v1/dead/d0", "").problem(t, 409, "", "no dead letter")
	d.ask(t, "GET", "/v1/dead/d0", "").problem(t, 409, "", "no dead letter")
	d.ask(t, "POST", "/v1/dead/nobody/replay", "").problem(t, 404, "", "no task")
	d.ask(t, "POST", "/v1/dead/d1/replay", `{"payload":{"query":""}}`).problem(t, 422, "payload.query", "must")
	d.ask(t, "POST", "/v1/dead/d1/replay", `{"pay":1}`).problem(t, 422, "pay", "is not a field")
	d.ask(t, "POST", "/v1/dead/d1/replay", `{"options":{"timeout":"1h"}}`).problem(t, 422, "options.timeout", "must be")
	if r := d.ask(t, "DELETE", "/v1/dead/d1", ""); r.status != 204 || r.body != "" {
		t.Errorf("got %d %s", r.status, r.body)
	}
	d.ask(t, "GET", "/v1/tasks/d1", "").problem(t, 404, "", "")
	// Of many callers at once one succeeds.
	var all sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	d.ask(t, "DELETE", "/v1/dead/d2", "")
	d.ask(t, "POST", "/v1/tasks?wait=20s", `{"kind":"search","payload":{"query":"fail"},"options":{"id":"d3"}}`).task(t, 200, tasks.Archived)
	for range 8 {
		all.Go(func() {
			r := d.ask(t, "POST", "/v1/dead/d3/replay", `{"payload":{"query":"hang"}}`)
			mu.Lock()
			defer mu.Unlock()
			statuses[r.status]++
		})
	}
	all.Wait()
	if statuses[202] != 1 || statuses[409] != 7 {
		t.Errorf("got %v", statuses)
	}
}

func TestDead_Sweeps(t *testing.T) {
	t.Parallel()
	limits := client.DefaultConfig()
	limits.QueueLimit = 4
	d := open(t, limits)
	stop := d.work(t, func(context.Context, string) (string, error) {
		return "", fault.PermanentError(tasks.ReasonNotFound, "nothing there")
	})
	for i := range 8 { // never more than four at once
		d.ask(t, "POST", "/v1/tasks?wait=20s", fmt.Sprintf(`{"kind":"search","payload":{"query":"fail"},"options":{"id":"d%d"}}`, i)).task(t, 200, tasks.Archived)
	}
	stop()
	sweep := func(path, body string) (done tasks.DeadSweep, r reply) {
		t.Helper()
		r = d.ask(t, "POST", path, body)
		r.into(t, 200, &done)
		return done, r
	}
	if done, _ := sweep("/v1/dead/replay", `{"reason":"not_found","dry_run":true}`); done.Matched != 8 || done.Done != 0 || len(done.Groups) != 1 {
		t.Errorf("dry run: got %+v", done)
	}
	if done, _ := sweep("/v1/dead/replay", `{"all":true,"limit":3,"rate":1000}`); done.Done != 3 || done.Stopped != "limit" {
		t.Errorf("limit: got %+v", done)
	}
	if done, r := sweep("/v1/dead/replay", `{"kind":"search"}`); done.Done != 1 || done.Stopped != "full" || r.header.Get("Retry-After") == "" {
		t.Errorf("full: got %+v, %v", done, r.header)
	}
	d.ask(t, "POST", "/v1/dead/d7/replay", "").problem(t, 429, "", "full")
	if done, _ := sweep("/v1/dead/delete", `{"queue":"search","limit":2}`); done.Done != 2 || done.Stopped != "limit" {
		t.Errorf("delete: got %+v", done)
	}
	if done, _ := sweep("/v1/dead/delete", `{"all":true}`); done.Done != 2 || done.Stopped != "" {
		t.Errorf("delete all: got %+v", done)
	}
	for body, field := range map[string]string{
		`{}`: "all", `{"all":true,"kind":"search"}`: "all", `{"kind":"x"}`: "kind", `{"all":true,"limit":1001}`: "limit",
		`{"all":true,"limit":-1}`: "limit", `{"all":true,"rate":-2}`: "rate", `{"everything":true}`: "everything", `{"since":"x"}`: "",
	} {
		for _, path := range []string{"/v1/dead/replay", "/v1/dead/delete"} {
			if path == "/v1/dead/delete" && field == "rate" {
				continue
			}
			if r := d.ask(t, "POST", path, body); field != "" {
				r.problem(t, 422, field, "")
			} else if r.status != 422 {
				t.Errorf("%s %s: got %d %s", path, body, r.status, r.body)
			}
		}
	}
	d.ask(t, "POST", "/v1/dead/delete", `{"all":true,"rate":5}`).problem(t, 422, "rate", "replays only")
}

func TestDead_IsDescribed(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	body := d.ask(t, http.MethodGet, "/openapi.json", "").body
	for _, part := range []string{
		`"/v1/dead"`, `"/v1/dead/groups"`, `"/v1/dead/{id}"`, `"/v1/dead/{id}/replay"`, `"/v1/dead/replay"`, `"/v1/dead/delete"`,
		`"/v1/tasks/{id}/events"`, `"text/event-stream"`, `#/components/schemas/DeadCall`, `#/components/schemas/Replay"`, `#/components/schemas/Progress`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("%s is missing", part)
		}
	}
}

// Who may read sees the letters of its kinds; only an admin changes any.
func TestDead_Keys(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.serve(t)
	d.kill(t, 1)
	d.ask(t, "POST", "/v1/tasks", `{"kind":"config_gen","payload":{"template":"x"},"options":{"id":"other"}}`).task(t, 202, tasks.Pending)
	every := []keys.Action{keys.Enqueue, keys.Read, keys.Cancel}
	_, reader := d.key(t, keys.Key{Name: "reader", Kinds: []string{"search"}, Actions: every})
	_, most := d.key(t, keys.Key{Name: "most", Actions: every})
	for _, path := range []string{"/v1/dead?kind=search", "/v1/dead?queue=search:bulk", "/v1/dead/groups?queue=search", "/v1/dead/d0", "/v1/tasks/d0/events"} {
		if r := d.ask(t, "GET", path, "", reader...); r.status != 200 {
			t.Errorf("%s: got %d %s", path, r.status, r.body)
		}
	}
	for path, why := range map[string]string{
		"/v1/dead": "give one as kind", "/v1/dead/groups?reason=upstream": "give one as kind", "/v1/dead?kind=config_gen": "the kind config_gen",
		"/v1/dead?queue=config_gen:bulk": "the kind config_gen", "/v1/dead/groups?queue=config_gen": "the kind config_gen", "/v1/dead/other": "the kind config_gen",
		"/v1/tasks/other/events": "the kind config_gen", "/v1/blobs/" + strings.Repeat("0", 64): "the kind document_parse",
	} {
		d.ask(t, "GET", path, "", reader...).problem(t, 403, "", why)
	}
	d.ask(t, "POST", "/v1/blobs", "x", reader...).problem(t, 403, "", "the kind document_parse")
	if r := d.ask(t, "POST", "/v1/blobs", "x", most...); r.status != 201 {
		t.Errorf("got %d %s", r.status, r.body)
	}
	for _, header := range [][]string{reader, most} {
		d.ask(t, "DELETE", "/v1/dead/d0", "", header...).problem(t, 403, "", "not good for admin")
		for _, path := range []string{"/v1/dead/d0/replay", "/v1/dead/replay", "/v1/dead/delete"} {
			d.ask(t, "POST", path, `{"all":true}`, header...).problem(t, 403, "", "not good for admin")
		}
	}
	if page := d.deadAs(t, most); page.Total != 1 {
		t.Errorf("got %+v, want the letter untouched", page)
	}
}

func (d *door) deadAs(t testing.TB, header []string) (page tasks.DeadPage) {
	t.Helper()
	d.ask(t, "GET", "/v1/dead", "", header...).into(t, 200, &page)
	return page
}

// Every change is in the audit log, and what changed nothing is not.
func TestDead_AuditLog(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.serve(t)
	d.kill(t, 4)
	_, admin := d.key(t, keys.Key{Name: "ops", Actions: []keys.Action{keys.Admin}})
	d.ask(t, "POST", "/v1/dead/delete", `{"all":true,"dry_run":true}`, admin...)
	d.ask(t, "POST", "/v1/dead/replay", `{"reason":"upstream"}`, admin...)
	d.ask(t, "DELETE", "/v1/dead/nobody", "", admin...).problem(t, 404, "", "")
	d.ask(t, "DELETE", "/v1/dead/d0", "", admin...)
	d.ask(t, "POST", "/v1/dead/d1/replay", `{"payload":{"query":"hush"}}`, admin...)
	d.ask(t, "POST", "/v1/dead/replay", `{"reason":"not_found","limit":1}`, admin...)
	brokertest.Until(t, "it has failed again", func() bool { return d.deadAs(t, admin).Total == 2 })
	d.ask(t, "POST", "/v1/dead/delete", `{"kind":"search"}`, admin...)
	want := []string{
		`delete dead letters search {"kind":"search"} 2`, `replay dead letters  {"reason":"not_found"} 1`, `replay dead letter search d1 1`, `delete dead letter  d0 1`,
	}
	var got []string
	var raw string
	brokertest.Until(t, "all of it is written", func() bool {
		var log struct{ Entries []keys.Entry }
		raw = d.ask(t, "GET", "/v1/audit?class=changes", "", admin...).body
		if err := json.Unmarshal([]byte(raw), &log); err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, e := range log.Entries {
			if got = append(got, fmt.Sprint(e.Action, " ", e.Kind, " ", e.Object, " ", e.Count)); e.Name != "ops" || e.RequestID == "" {
				t.Errorf("got %+v", e)
			}
		}
		return len(got) >= len(want)
	})
	if !slices.Equal(got, want) || strings.Contains(raw, "hush") {
		t.Errorf("got %q, want %q", got, want)
	}
}
