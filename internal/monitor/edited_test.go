package monitor

import (
	"strings"
	"testing"

	"github.com/jobyard/jobyard/tasks"
)

func TestActions_ReplayEdited(t *testing.T) {
	t.Parallel()
	y := newYard(t, mayChange)
	y.enqueue("search", 1, tasks.WithID("lost"))
	y.sample(0)
	if got := y.post("/api/tasks/lost/replay", `{"payload": {"query": "tides"}}`); got.Code != 404 && got.Code != 409 {
		t.Errorf("one that waits: got %d %s, want a refusal", got.Code, got.Body)
	}
	y.bury("search", "lost", "upstream", "nobody answered")
	for name, tt := range map[string]struct{ body, want string }{
		"no JSON":              {`{`, "JSON"},
		"no payload":           {`{}`, `send {`},
		"a field that is none": {`{"payload": {"query": "x"}, "queue": "bulk"}`, "queue"},
		"a mask":               {`{"payload": {"query": "` + maskedText + `"}}`, "write the secret in its place"},
		"a cut":                {`{"payload": {"query": "abc… (the first 3 of 9 bytes)"}}`, "shown cut"},
		"an invalid payload":   {`{"payload": {"query": "x", "limit": -1}}`, "limit"},
		"too much":             {`{"payload": {"query": "` + strings.Repeat("x", maxBody) + `"}}`, "too large"},
	} {
		if got := y.post("/api/tasks/lost/replay", tt.body); got.Code != 400 || !strings.Contains(got.Body.String(), tt.want) {
			t.Errorf("%s: got %d %s, want 400 with %q", name, got.Code, got.Body, tt.want)
		}
	}
	if got := y.state("lost"); got != tasks.Archived {
		t.Fatalf("got %s after refusals, want it where it was", got)
	}
	if got := y.post("/api/tasks/lost/replay", `{"payload": {"query": "tides at night"}}`); got.Code != 200 {
		t.Fatalf("got %d %s", got.Code, got.Body)
	}
	st, err := y.monitor.store.Standing(t.Context(), "lost")
	if err != nil || st.Task.State != tasks.Pending || !strings.Contains(string(st.Payload), "tides at night") {
		t.Errorf("got %s with %s, %v, want it back with the new payload", st.Task.State, st.Payload, err)
	}
}
