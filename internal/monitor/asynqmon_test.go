package monitor

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

func TestAsynqmon_AsksNoOtherHost(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	for _, path := range []string{"/asynqmon/", "/asynqmon/queues/search/tasks/a.b.c"} {
		body := y.get("GET", path).Body.String()
		if !strings.Contains(body, `id="root"`) || strings.Contains(body, "//fonts.") {
			t.Errorf("%s: got %s, want its page without other hosts", path, body)
		}
	}
}

func TestAsynqmon_ShowsBoundedPayloads(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.sample(0)
	big, err := tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: strings.Repeat("ä", 30_000)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := y.client.Enqueue(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	w := y.get("GET", "/asynqmon/api/queues/document_parse/pending_tasks?page=-5&size=999999999")
	if w.Code != 200 || w.Body.Len() > maxShown+4000 || !strings.Contains(w.Body.String(), "(the first 2000 of 60000 bytes)") {
		t.Errorf("got %d and %d bytes, want the payload cut", w.Code, w.Body.Len())
	}
}

func TestAsynqmon_ReadsOurData(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enqueue("search", 1)
	y.enqueue("search", 1, tasks.WithDelay(90*time.Second+123*time.Millisecond)) // our scores have fractions
	y.sample(0)
	for _, path := range []string{
		"queues", "queues/search", "queues/search:bulk", "queue_stats", "servers", "scheduler_entries", "redis_info",
		"queues/search/pending_tasks", "queues/search/scheduled_tasks", "queues/search/active_tasks",
		"queues/search/retry_tasks", "queues/search/archived_tasks", "queues/search/completed_tasks",
	} {
		if w := y.get("GET", "/asynqmon/api/"+path); w.Code != 200 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: got %d %s", path, w.Code, w.Body)
		}
	}
}

func TestAsynqmon_RefusesHeavyPages(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.sample(0)
	ctx, c := t.Context(), y.broker.Client()
	big := strings.Repeat("x", maxResults/2+1)
	for _, id := range []string{"a", "b"} {
		c.HSet(ctx, broker.TaskKey("search", id), "result", big)
		c.ZAdd(ctx, broker.QueueKey("search", "completed"), z(id))
	}
	if got := y.get("GET", "/asynqmon/api/queues/search/completed_tasks?size=20&page=1").Code; got != 413 {
		t.Errorf("both results: got %d, want 413", got)
	}
	if got := y.get("GET", "/asynqmon/api/queues/search/completed_tasks?size=1&page=1").Code; got == 413 {
		t.Errorf("one of them: got %d, want it shown", got)
	}
}

func TestAsynqmon_MayChangeThings(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(c *Config) { c.AsynqmonReadOnly = false })
	y.sample(0)
	pause := "/asynqmon/api/queues/search:pause"
	if got := y.get("POST", pause, "Sec-Fetch-Site", "cross-site").Code; got != 403 {
		t.Errorf("a press from another site: got %d, want 403", got)
	}
	if got := y.get("POST", pause, "Sec-Fetch-Site", "same-origin").Code; got != 204 {
		t.Errorf("a press on our own page: got %d, want 204", got)
	}
	if o := y.sample(time.Second); !o.Queues[0].Paused {
		t.Error("the queue is not paused")
	}
	if got := y.get("POST", "/").Code; got != 405 {
		t.Errorf("our own routes: got %d, want 405", got)
	}
}
