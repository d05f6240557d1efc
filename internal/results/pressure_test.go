package results

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

func TestRates_Wait(t *testing.T) {
	t.Parallel()
	var r rates
	start := time.Unix(1000, 0)
	steps := []struct {
		name      string
		after     time.Duration
		processed int64
		want      time.Duration
	}{
		{"it guesses before it has measured", 0, 100, unknown},
		{"it goes by the rate", 10 * time.Second, 200, 5 * time.Second}, // 10/s, 50 places
		{"it keeps a fresh rate", 10500 * time.Millisecond, 5000, 5 * time.Second},
		{"it has a lower bound", 20 * time.Second, 100000, soonest},
		{"it has an upper bound", 65 * time.Second, 100001, latest},
		{"it guesses when nothing was drained", 100 * time.Second, 100001, unknown},
		{"it forgets what is long ago", time.Hour, 200000, unknown},
	}
	for _, s := range steps {
		if got := r.wait("q", s.processed, 500, start.Add(s.after)); got != s.want {
			t.Errorf("%s: got %s, want %s", s.name, got, s.want)
		}
	}
}

// Two slots whose tasks take ten seconds free a place every five.
func TestRates_WaitOfTasksThatEndTogether(t *testing.T) {
	t.Parallel()
	var r rates
	start := time.Unix(1000, 0)
	for at := range 100 {
		got := r.wait("q", int64(at/10*2), 10, start.Add(time.Duration(at)*time.Second))
		if at >= 30 && (got < 4*time.Second || got > 8*time.Second) {
			t.Errorf("after %d s: got %s, want about 5 s", at, got)
		}
	}
	if n := len(r.readings["q"]); n > 32 {
		t.Errorf("got %d readings kept", n)
	}
}

func TestAdmit_StopsBeforeRedisIsFull(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	admit := func(id string) error {
		s.memory.read = time.Time{} // look again
		return s.AdmitOne(t.Context(), Admission{ID: id, Request: searching(t, "q"), Limit: 10})
	}
	if err := admit("before"); err != nil {
		t.Fatal(err)
	}
	used := broker.InfoNumber(b.Client().Info(t.Context(), "memory").Val(), "used_memory")
	if err := b.Client().ConfigSet(t.Context(), "maxmemory", strconv.FormatInt(used+used/10, 10)).Err(); err != nil {
		t.Fatal(err)
	}
	err := admit("during")
	if full, ok := errors.AsType[*MemoryError](err); !ok || full.Max != used+used/10 {
		t.Fatalf("got %v, want a MemoryError", err)
	}
	// What is queued can still be taken: there is room left for the workers.
	if _, err := s.NewAttempts("n", zerolog.Nop()).Lane("search", 1).take(t.Context(), "search", 1); err != nil {
		t.Errorf("a worker cannot take a task: %v", err)
	}
	if err := b.Client().ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if err := admit("after"); err != nil {
		t.Errorf("got %v after there was room again", err)
	}
}
