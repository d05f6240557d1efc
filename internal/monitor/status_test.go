package monitor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enqueue("search", 500)
	y.node("n1", func(n *broker.Node) { n.StartedAt, n.SeenAt = time.Now().Add(-time.Hour), time.Now() })
	y.node("evil\x1b[2J", func(n *broker.Node) { n.SeenAt = time.Now().Add(-time.Minute) })
	var out strings.Builder
	level, err := Status(t.Context(), DefaultConfig(), y.broker, &out, StatusFormat{})
	if err != nil || level != Bad {
		t.Fatalf("got %v, %v, want bad", level, err)
	}
	for _, want := range []string{
		"Queue search is full, and one more thing needs attention.", "bad  queue search is full: 500 of 500 tasks wait",
		"search                   500    500  ██████████", "search:bulk", "n1", "100 MiB", "512 MiB", "silent 60 s", "evil\uFFFD[2J",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("an escape sequence is written without color")
	}
	out.Reset()
	if _, err := Status(t.Context(), DefaultConfig(), y.broker, &out, StatusFormat{Color: true}); err != nil || !strings.Contains(out.String(), "\x1b[31m") {
		t.Errorf("got %v and no red", err)
	}
	out.Reset()
	var o Overview
	if _, err := Status(t.Context(), DefaultConfig(), y.broker, &out, StatusFormat{JSON: true}); err != nil || !json.Valid([]byte(out.String())) {
		t.Errorf("got %v, %+v, want JSON", err, o)
	}
}

func TestStatus_TellsWhenNobodyWorks(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enqueue("search", 1)
	var out strings.Builder
	level, err := Status(t.Context(), DefaultConfig(), y.broker, &out, StatusFormat{})
	if err != nil || level != Bad || !strings.Contains(out.String(), "No worker is up: 1 task waits; start one with: worker") {
		t.Errorf("got %v, %v:\n%s", level, err, out.String())
	}
}

func TestStatus_RedisAway(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	b := r.open(t)
	r.stop()
	level, err := Status(t.Context(), DefaultConfig(), b, io.Discard, StatusFormat{})
	if err == nil || level != Bad || !strings.Contains(fmt.Sprint(err), "start Redis there") {
		t.Errorf("got %v, %v, want an error with a hint", level, err)
	}
}
