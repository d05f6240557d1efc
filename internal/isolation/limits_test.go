package isolation

import (
	"strings"
	"testing"
	"time"
)

func TestLimits_within(t *testing.T) {
	t.Parallel()
	pool := Limits{Wall: 10 * time.Second, CPU: 5 * time.Second, Memory: 100, Output: 1000, Files: 64}
	for name, tc := range map[string]struct{ ask, want Limits }{
		"nothing asked": {Limits{}, pool},
		"less of all":   {Limits{1, 2, 3, 4, 5}, Limits{1, 2, 3, 4, 5}},
		"more of all":   {Limits{time.Hour, time.Hour, 1000, 9999, 9999}, Limits{10 * time.Second, 5 * time.Second, 200, 1000, 64}},
		"a larger slot": {Limits{Memory: 150}, Limits{10 * time.Second, 5 * time.Second, 150, 1000, 64}},
		"below zero":    {Limits{-1, -1, -1, -1, -1}, pool},
	} {
		if got := tc.ask.within(pool, 200); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
		}
	}
	if got := (Limits{Memory: 150}).within(pool, 0); got.Memory != 100 {
		t.Errorf("got %d without a larger slot, want 100", got.Memory)
	}
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig("search").Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	err := (Config{Sandbox: "maybe", Slots: 1000}).Validate()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, field := range []string{
		"kind", "arguments", "slots", "spares", "wall", "CPU", "memory", "output", "files", "input",
		"processors", `"maybe"`, "tasks", "age", "collecting", "idle", "start", "grace",
	} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want it to name %s", err, field)
		}
	}
}

// The head is kept, and the last words behind a flood.
func TestHead(t *testing.T) {
	t.Parallel()
	h := new(head)
	h.reset()
	h.Write([]byte("panic: at once\n"))
	if got := h.String(); got != "panic: at once\n" {
		t.Errorf("got %q, want it once", got)
	}
	h.reset()
	for range 1000 {
		h.Write([]byte(strings.Repeat("chatter ", 100) + "\n"))
	}
	h.Write([]byte("\npan"))
	h.Write([]byte("ic: late"))
	h.Write([]byte("r on\n" + strings.Repeat("x", 10_000)))
	got := h.String()
	if !strings.HasPrefix(got, "chatter") || !strings.Contains(got, "panic: later on\n") || len(got) > maxHead+maxWords+10 {
		t.Errorf("got %d bytes %.20q, want the head and the last words", len(got), got)
	}
}
