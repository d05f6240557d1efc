package report

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

func deadLetter() tasks.DeadLetter {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	retries := 3
	return tasks.DeadLetter{
		Task: tasks.Task{
			ID: "id-1", Kind: "sdk_fetch", Queue: "sdk_fetch:bulk", State: tasks.Archived, Attempts: 4, FinishedAt: at, Node: "n",
			Error:    &tasks.Error{Reason: tasks.ReasonUpstream, Message: "example.com \x1b[31manswered\n503 \u202eand so on and so on and so on and so on and so on and so on"},
			Progress: &tasks.Progress{Fraction: 0.5, Done: 3, Total: 6, Message: "download"},
			Replayed: &tasks.Replayed{Times: 2, At: at, Reason: tasks.ReasonTimeout},
		},
		Fingerprint: "0123456789ab", Crashes: 1,
		Options: &tasks.Options{Timeout: tasks.Duration(time.Minute), MaxRetry: &retries, Retention: tasks.Duration(time.Hour)},
		Payload: json.RawMessage(`{"name":"a\u001b[2Jb","version":"1"}`),
	}
}

func TestDeadPage(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 6, 6, 0, time.UTC)
	check(t, Style{Width: 60}.DeadPage(tasks.DeadPage{Letters: []tasks.DeadLetter{deadLetter()}}, now), `
id-1  sdk_fetch:bulk  upstream  2m ago  4 attempts  0123456789ab
    example.com [31manswered 503 and so on and so on and so…
`)
	check(t, Style{}.DeadGroups([]tasks.DeadGroup{
		{Fingerprint: "0123456789ab", Kind: "search", Reason: "timeout", Message: "over\x07 time", Count: 1200, LastAt: now.Add(-50 * time.Hour)},
		{Fingerprint: "ba9876543210", Kind: "search", Reason: "oom", Message: "over memory", Count: 1, LastAt: now},
	}, now), `
1,200 letters  search  timeout  last 2d ago    0123456789ab
    over time
1 letter       search  oom      last just now  ba9876543210
    over memory
`)
}

func TestDeadLetter(t *testing.T) {
	t.Parallel()
	got := Style{}.DeadLetter(deadLetter())
	for _, want := range []string{
		"progress  download · 50 % · 3 of 6\n", "replayed  2 times, last ", "after it had failed for timeout\n", "group     0123456789ab\n",
		"crashes   1 worker died while they ran it\n", "options   timeout 1m0s, 3 retries, kept for 1h0m0s\n", "payload\n{\n  \"name\": \"a\\u001b[2Jb\",\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q in it", got, want)
		}
	}
	if strings.ContainsAny(got, "\x1b\u202e") {
		t.Error("a stranger's text steers the terminal")
	}
	d := deadLetter()
	d.Payload = json.RawMessage(`"` + strings.Repeat("x", 40<<10) + `"`)
	if got := (Style{}).DeadLetter(d); len(got) > maxShown+2000 || !strings.Contains(got, "24.0 KiB more; --json shows all of it") {
		t.Errorf("got %d bytes of a large payload", len(got))
	}
}

func TestFollowing(t *testing.T) {
	t.Parallel()
	s := Style{Width: 40}
	for want, task := range map[string]tasks.Task{
		"":                     {Kind: "search", State: tasks.Pending},
		"search: parse · 12 %": {Kind: "search", State: tasks.Active, Progress: &tasks.Progress{Fraction: 0.12, Message: "parse"}},
		"search: 7":            {Kind: "search", State: tasks.Active, Progress: &tasks.Progress{Done: 7}},
		"search: attempt 3":    {Kind: "search", State: tasks.Active, Attempts: 3},
		"search: tried again soon, after upstre…": {Kind: "search", State: tasks.Retry, Error: &tasks.Error{Reason: "upstream", Message: "not now"}},
	} {
		if got := s.Following(task); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
