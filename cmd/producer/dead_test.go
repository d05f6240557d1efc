package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// graves makes so many dead letters, which fail again if they are replayed.
func graves(t *testing.T, n int) (url string, b *broker.Broker) {
	t.Helper()
	url, b = yard(t)
	for i := range n {
		command(t, url, "", "enqueue", "search", "--payload", `{"query":"fail"}`, "--id", fmt.Sprint("d", i), "--wait").
			want(t, 1, "search archived, not_found: nothing there", "")
	}
	return url, b
}

func TestDead_ListAndShow(t *testing.T) {
	t.Parallel()
	url, _ := graves(t, 3)
	a := command(t, url, "", "dead", "list", "--limit", "2", "--reason", "not_found")
	a.want(t, 0, "d2  search  not_found", "")
	a.want(t, 0, "\n    nothing there\n", "")
	a.want(t, 0, "2 dead letters shown of 3 in these queues; it goes on with --after ", "")
	after := a.out[strings.LastIndex(a.out, " ")+1 : len(a.out)-1]
	a = command(t, url, "", "dead", "list", "--after", after)
	a.want(t, 0, "d0  search", "")
	if strings.Contains(a.out, "d1") || !strings.HasSuffix(a.out, "1 dead letter\n") {
		t.Errorf("got %q", a.out)
	}
	command(t, url, "", "dead", "list", "--kind", "sdk_fetch").want(t, 0, "no dead letters fit, of 0", "")
	command(t, url, "", "dead", "list", "--groups").want(t, 0, "3 letters  search  not_found", "")
	command(t, url, "", "dead", "list", "--groups").want(t, 0, "3 dead letters in 1 group\n", "")
	var page tasks.DeadPage
	if a := command(t, url, "", "dead", "list", "--json"); json.Unmarshal([]byte(a.out), &page) != nil || len(page.Letters) != 3 || page.Total != 3 {
		t.Errorf("got %+v", a)
	}
	a = command(t, url, "", "dead", "show", "d1")
	a.want(t, 0, "options   timeout 30s, 3 retries, kept for 24h0m0s\npayload\n{\n  \"query\": \"fail\"\n}\n", "")
	var letter tasks.DeadLetter
	if a := command(t, url, "", "dead", "show", "d1", "--json"); json.Unmarshal([]byte(a.out), &letter) != nil || string(letter.Payload) != `{"query":"fail"}` {
		t.Errorf("got %+v", a)
	}
}

func TestDead_Replay(t *testing.T) {
	t.Parallel()
	url, b := graves(t, 4)
	buried := func(n int64) { // those that were replayed have failed again
		brokertest.Until(t, fmt.Sprint(n, " dead letters"), func() bool {
			return b.Client().ZCard(t.Context(), broker.QueueKey("search", "archived")).Val() == n
		})
	}
	command(t, url, "", "dead", "replay", "d0", "--payload", `{"query":"well"}`, "--wait").want(t, 0, "1 hit", "")
	command(t, url, `{"query":"well"}`, "dead", "replay", "d1", "--payload", "-", "--max-retry", "0", "--wait").want(t, 0, "1 hit", "")
	command(t, url, "", "dead", "replay", "d2", "--payload", `{"query":""}`).want(t, 2, "", "payload.query: must")
	command(t, url, "", "dead", "replay", "d2", "--wait").want(t, 1, "nothing there", "")
	command(t, url, "", "status", "d2").want(t, 0, "replayed  1 time, last ", "")
	a := command(t, url, "", "dead", "replay", "--reason", "not_found", "--dry-run")
	a.want(t, 0, "would replay 2 dead letters; nothing was touched\n2 letters  search", "")
	var sweep tasks.DeadSweep
	if a := command(t, url, "", "dead", "replay", "--all", "--rate", "100", "--json"); json.Unmarshal([]byte(a.out), &sweep) != nil || sweep.Done != 2 || a.code != 0 {
		t.Errorf("got %+v", a)
	}
	buried(2)
	command(t, url, "", "dead", "replay", "d0", "nobody").want(t, 2, "", "the task is no dead letter: d0\nno such task: nobody")
	command(t, url, "", "dead", "replay", "--all", "--limit", "1").want(t, 0, "replayed 1 dead letter in ", "")
}

func TestDead_ReplayIntoAFullQueue(t *testing.T) {
	t.Parallel()
	url, b := graves(t, 3)
	if err := b.Client().Set(t.Context(), broker.QueueKey("search", "paused"), "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	limits := []string{"--queue-limit", "1", "--wait-timeout", "50ms"}
	a := command(t, url, "", append([]string{"dead", "replay", "--all"}, limits...)...)
	a.want(t, 4, "replayed 1 dead letter in", "waiting for room: queue search is full")
	command(t, url, "", append([]string{"dead", "replay", "d1"}, limits...)...).want(t, 4, "", "queue search is full")
}

func TestDead_Delete(t *testing.T) {
	t.Parallel()
	url, b := graves(t, 3)
	command(t, url, "", "dead", "delete", "d0").want(t, 0, "deleted d0\n", "")
	command(t, url, "", "dead", "delete", "d0").want(t, 2, "", "no such task: d0")
	command(t, url, "", "dead", "delete", "d1", "--dry-run").want(t, 0, "would take d1 (not_found)", "")
	command(t, url, "", "dead", "delete", "--before", "1h").want(t, 0, "deleted 0 dead letters", "")
	command(t, url, "", "dead", "delete", "--all", "--dry-run").want(t, 0, "would delete 2 dead letters", "")
	if n := b.Client().ZCard(t.Context(), broker.QueueKey("search", "archived")).Val(); n != 2 {
		t.Errorf("got %d letters, want both untouched", n)
	}
	command(t, url, "", "dead", "delete", "--kind", "search").want(t, 0, "deleted 2 dead letters in ", "")
	command(t, url, "", "dead", "list").want(t, 0, "no dead letters\n", "")
}

func TestDead_WrongUse(t *testing.T) {
	t.Parallel()
	url := brokertest.Server(t, "").URL
	for line, want := range map[string]string{
		"dead list x":                            "takes no arguments",
		"dead list --limit 0":                    "--limit must be from 1 to 1000",
		"dead list --groups --after x":           "--after goes on with a list",
		"dead list --after x":                    "after: must be a next",
		"dead list --reason nope":                "reason: must be one of",
		"dead show":                              "takes the id",
		"dead show nobody":                       "no such task: nobody",
		"dead replay":                            "which dead letters?",
		"dead replay --all --rate 0":             "--rate must be over 0",
		"dead replay --all --rate -1":            "--rate must be over 0",
		"dead replay --all --rate 1e9":           "--rate must be over 0",
		"dead replay --all --payload {}":         "are for one letter",
		"dead replay a b --wait":                 "are for one letter",
		"dead replay a --timeout 5s --dry-run":   "--dry-run is for",
		"dead replay a --timeout 0s":             "--timeout must not be 0",
		"dead replay a --kind search":            "but not both",
		"dead delete":                            "which dead letters?",
		"dead delete --all --reason oom":         "leave it out",
		"dead delete a --all":                    "but not both",
		"dead replay a --payload @/nowhere/file": "cannot read",
	} {
		command(t, url, "", strings.Fields(line)...).want(t, 2, "", want)
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var out bytes.Buffer
	m := newMeter(&out, false, "replay")
	m.start, m.told, m.now = now, now, func() time.Time { return now }
	full := errors.New("queue x is full")
	m.show(tasks.DeadSweep{Done: 1}, nil)
	m.show(tasks.DeadSweep{Done: 2}, full)
	m.show(tasks.DeadSweep{Done: 2}, full) // still
	now = now.Add(11 * time.Second)
	m.show(tasks.DeadSweep{Done: 3}, nil)
	m.close()
	if got, want := out.String(), "replay: 2 done; waiting for room: queue x is full\nreplay: 3 done\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// On a terminal there is no bar for what is done in a moment.
	out.Reset()
	m = newMeter(&out, true, "delete")
	m.total = 100
	m.show(tasks.DeadSweep{Done: 10}, nil)
	if out.Len() != 0 {
		t.Errorf("got %q at once", out.String())
	}
	m.now = func() time.Time { return m.start.Add(3 * time.Second) }
	m.show(tasks.DeadSweep{Done: 50}, nil)
	if !strings.Contains(out.String(), "50%") {
		t.Errorf("got %q, want a bar", out.String())
	}
	m.close()
}
