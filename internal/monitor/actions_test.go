package monitor

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

func mayChange(c *Config) { c.ReadOnly = false }

// post calls an action as a page of the given origin does.
func (y *testYard) post(path, body string, header ...string) *httptest.ResponseRecorder {
	y.tb.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	y.monitor.Handler().ServeHTTP(w, r)
	return w
}

// bury makes a dead letter of a task that waits.
func (y *testYard) bury(queue, id, reason, message string) {
	y.tb.Helper()
	ctx := y.tb.Context()
	_, err := y.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		p.LRem(ctx, broker.QueueKey(queue, "pending"), 0, id)
		p.HSet(ctx, broker.TaskKey(queue, id), "state", "archived", "y_final", "archived", "y_reason", reason, "y_msg", message, "y_fin", y.clock.UnixMilli())
		p.ZAdd(ctx, broker.QueueKey(queue, "archived"), redis.Z{Score: float64(y.clock.Unix()), Member: id})
		return nil
	})
	if err != nil {
		y.tb.Fatal(err)
	}
}

func (y *testYard) state(id string) tasks.State {
	y.tb.Helper()
	t, err := y.client.Status(y.tb.Context(), id)
	if err != nil {
		y.tb.Fatal(err)
	}
	return t.State
}

func TestActions_AreRefused(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enqueue("search", 1, tasks.WithID("a"))
	y.node("n1")
	y.sample(0)
	paths := []string{"/api/tasks/a/cancel", "/api/tasks/a/retry", "/api/nodes/n1/drain", "/api/nodes/n1/resume", "/api/dead/replay", "/api/dead/delete"}
	for _, path := range paths {
		if w := y.post(path, `{"id":"a"}`); w.Code != 403 || !strings.Contains(w.Body.String(), "--read-only=false") {
			t.Errorf("%s of a read-only monitor: got %d %s, want 403 and the remedy", path, w.Code, w.Body)
		}
	}
	other := openYard(t, y.broker, mayChange)
	other.sample(0)
	for _, path := range paths {
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "same-site"}} {
			if w := other.post(path, `{"id":"a"}`, header...); w.Code != 403 || !strings.Contains(w.Body.String(), "another site") {
				t.Errorf("%s with %v: got %d %s, want 403", path, header, w.Code, w.Body)
			}
		}
	}
	if got := y.state("a"); got != tasks.Pending {
		t.Errorf("got %s, want it untouched", got)
	}
}

func TestActions_Tasks(t *testing.T) {
	t.Parallel()
	y := newYard(t, mayChange)
	y.sample(0)
	y.enqueue("search", 1, tasks.WithID("a"))
	y.enqueue("search", 1, tasks.WithID("later"), tasks.WithDelay(time.Hour))
	y.enqueue("search", 1, tasks.WithID("dead"))
	y.bury("search", "dead", "timeout", "too long")
	for _, tt := range []struct {
		path  string
		code  int
		id    string
		state tasks.State
	}{
		{"/api/tasks/a/retry", 409, "a", tasks.Pending},
		{"/api/tasks/a/cancel", 200, "a", tasks.Canceled},
		{"/api/tasks/a/cancel", 409, "a", tasks.Canceled},
		{"/api/tasks/later/retry", 200, "later", tasks.Pending},
		{"/api/tasks/dead/retry", 200, "dead", tasks.Pending},
		{"/api/tasks/nobody/retry", 404, "dead", tasks.Pending},
		{"/api/tasks/%2A/cancel", 404, "dead", tasks.Pending},
	} {
		if w := y.post(tt.path, "", "Sec-Fetch-Site", "same-origin"); w.Code != tt.code {
			t.Errorf("%s: got %d %s, want %d", tt.path, w.Code, w.Body, tt.code)
		}
		if got := y.state(tt.id); got != tt.state {
			t.Errorf("%s: got %s, want %s", tt.path, got, tt.state)
		}
	}
	if !strings.Contains(y.log.String(), `"action":"/api/tasks/a/cancel"`) {
		t.Errorf("the log does not tell what was asked:\n%s", y.log)
	}
}

func TestActions_Nodes(t *testing.T) {
	t.Parallel()
	y := newYard(t, mayChange)
	y.node("n1")
	y.sample(0)
	if w := y.post("/api/nodes/n2/drain", ""); w.Code != 400 {
		t.Errorf("an unknown node: got %d, want 400", w.Code)
	}
	asked := func() bool {
		t.Helper()
		got, err := y.broker.DrainAsked(t.Context(), "n1")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if w := y.post("/api/nodes/n1/drain", ""); w.Code != 200 || !asked() {
		t.Errorf("drain: got %d %s", w.Code, w.Body)
	}
	if w := y.post("/api/nodes/n1/resume", ""); w.Code != 200 || asked() {
		t.Errorf("resume: got %d %s", w.Code, w.Body)
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	y := newYard(t, mayChange)
	y.sample(0)
	for i := range 30 {
		id := fmt.Sprintf("d%02d", i)
		y.enqueue("search", 1, tasks.WithID(id))
		reason, message := "timeout", fmt.Sprintf("over its limit of %d ms", 100+i)
		if i%3 == 0 {
			reason, message = "upstream", `host "a`+fmt.Sprint(i)+`.example" said password=hunter22`
		}
		y.bury("search", id, reason, message)
	}
	list := func() (d tasks.DeadGroups) {
		t.Helper()
		w := y.get("GET", "/api/dead")
		if strings.Contains(w.Body.String(), "hunter22") {
			t.Error("a message shows a secret")
		}
		if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := list()
	if len(d.Groups) != 2 || d.Groups[0].Count != 20 || d.Groups[0].Reason != "timeout" || d.Groups[1].Count != 10 || d.Letters != 30 {
		t.Fatalf("got %+v, want 20 that timed out and 10 of an upstream", d)
	}
	for _, body := range []string{``, `{}`, `{"fingerprint":"x"}`, `{"id":"*"}`, `{"all":true}`, `{"id":"d00","fingerprint":"` + d.Groups[0].Fingerprint + `"}`} {
		if w := y.post("/api/dead/delete", body); w.Code != 400 {
			t.Errorf("%s: got %d, want 400", body, w.Code)
		}
	}
	if w := y.post("/api/dead/replay", `{"fingerprint":"`+d.Groups[0].Fingerprint+`"}`); w.Code != 200 || !strings.Contains(w.Body.String(), `"done":20`) {
		t.Errorf("replay: got %d %s, want 20", w.Code, w.Body)
	}
	if w := y.post("/api/dead/delete", `{"id":"d00"}`); w.Code != 200 || !strings.Contains(w.Body.String(), `"done":1`) {
		t.Errorf("delete: got %d %s, want 1", w.Code, w.Body)
	}
	if d := list(); len(d.Groups) != 1 || d.Groups[0].Count != 9 || y.state("d01") != tasks.Pending {
		t.Errorf("got %+v, want 9 left", d)
	}
}
