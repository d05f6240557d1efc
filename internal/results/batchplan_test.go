package results

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

func TestPlan_CutsByKindRetentionAndSize(t *testing.T) {
	t.Parallel()
	batch := searches(t, "b", 4000)
	batch.Requests[10] = searchFor(t, strings.Repeat("long ", 100))
	batch.Requests[20] = searchFor(t, "later", tasks.WithDelay(time.Hour))
	batch.Requests[30] = searchFor(t, "kept", tasks.WithRetention(2*time.Hour))
	large, err := tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: strings.Repeat("x", 5000)}})
	if err != nil {
		t.Fatal(err)
	}
	batch.Requests[40] = large
	batch = checked(t, batch)
	p := newPlan(batch.Requests, time.Now())
	header := batchOf("b", p)
	if again := parsePlan(header, string(p.bytes())); fmt.Sprint(again) != fmt.Sprint(p) {
		t.Error("the map does not come back as it was written")
	}
	number := 0
	for _, u := range p.units(header) {
		for _, n := range u.tasks {
			if r := batch.Requests[n]; tasks.BulkQueue(r.Kind) != u.queue || u.bundled() && r.Options.Retention != batch.Requests[u.tasks[0]].Options.Retention {
				t.Fatalf("unit %s holds task %d of another class", u.id, n)
			}
			number++
		}
		if u.bundled() && (len(u.tasks) < 2 || len(u.tasks) > bundleTasks) {
			t.Errorf("unit %s holds %d tasks", u.id, len(u.tasks))
		}
	}
	if number != 4000 {
		t.Errorf("got %d tasks in units, want 4000", number)
	}
	for _, n := range []int{20, 30, 40} {
		if p.places[n].unit != lone {
			t.Errorf("task %d is in bundle %d, want it lone", n, p.places[n].unit)
		}
	}
	if p.places[10].unit == lone {
		t.Error("a task of 500 bytes is lone, want it in a bundle")
	}
}

func batchOf(id string, p plan) batch { return batch{id: id, kinds: p.kinds, total: len(p.places)} }

func TestSplitUnit(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"b.7": "b 7 false true", "b.b7": "b 7 true true", "a.b.0": "a.b 0 false true", "b": " 0 false false",
		"b.07": " 0 false false", "b.x": " 0 false false", ".7": " 0 false false", "b.b-1": "b -1 true false",
	} {
		batch, k, bundle, ok := splitUnit(id)
		if got := fmt.Sprint(batch, " ", k, " ", bundle, " ", ok); ok && got != want || !ok && !strings.HasSuffix(want, "false") {
			t.Errorf("%s: got %s, want %s", id, got, want)
		}
	}
}
