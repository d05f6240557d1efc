package results

import (
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// What asynq no longer acknowledges, because its lease of the task ran out
// while Redis was away, is settled by us.
func TestReconcile_SettlesWhatAsynqGaveUp(t *testing.T) {
	t.Parallel()
	failed := &tasks.Error{Reason: tasks.ReasonUpstream, Message: "down"}
	for _, tt := range []struct {
		name     string
		outcome  *Outcome // nil: it still runs
		later    time.Duration
		did      Reconciled
		state    tasks.State
		attempts int
	}{
		{"a result", &Outcome{Mode: Complete, Result: []byte(`{"total":1}`)}, time.Minute, Reconciled{Settled: 1}, tasks.Completed, 1},
		{"a final failure", &Outcome{Mode: Archive, Error: failed}, time.Minute, Reconciled{Settled: 1}, tasks.Archived, 1},
		{"a failure whose retries asynq counts", &Outcome{Mode: RetryIt, Error: failed}, time.Minute, Reconciled{HandedBack: 1}, tasks.Pending, 0},
		{"an end that asynq is about to acknowledge", &Outcome{Mode: Complete}, time.Second, Reconciled{}, tasks.Active, 1},
		{"an attempt that runs", nil, time.Hour, Reconciled{}, tasks.Active, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t)
			s := New(b)
			r := searching(t, "q", tasks.WithRetention(2*time.Hour))
			if err := s.AdmitOne(t.Context(), Admission{ID: "a", Request: r, Limit: 10}); err != nil {
				t.Fatal(err)
			}
			a := s.NewAttempts("n", zerolog.Nop())
			if _, err := a.Lane("search", 1).next(t.Context()); err != nil {
				t.Fatal(err)
			}
			if tt.outcome != nil {
				a.Ended("a", *tt.outcome)
			}
			now := time.Now().Add(tt.later)
			s.now = func() time.Time { return now }
			for _, want := range []Reconciled{tt.did, {}} { // once
				if did, err := a.Reconcile(t.Context()); err != nil || did != want {
					t.Errorf("got %+v, %v, want %+v", did, err, want)
				}
			}
			got, err := s.Get(t.Context(), "a")
			if err != nil || got.State != tt.state || got.Attempts != tt.attempts || (got.Error != nil) != (tt.state == tasks.Archived) {
				t.Errorf("got %+v, %v", got, err)
			}
			for part, keep := range map[string]float64{"completed": float64(now.Add(2 * time.Hour).Unix()), "archived": float64(now.Unix())} {
				score, err := b.Client().ZScore(t.Context(), broker.QueueKey("search", part), "a").Result()
				if want := string(tt.state) == part; (err == nil) != want || want && score != keep {
					t.Errorf("%s: got %f, %v, want %f", part, score, err, keep)
				}
			}
		})
	}
}

// Redis says that the task is this node's, but the answer never arrived.
func TestReconcile_HandsBackWhatNeverArrived(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	r := searching(t, "q")
	for _, id := range []string{"lost", "ready"} {
		if err := s.AdmitOne(t.Context(), Admission{ID: id, Request: r, Limit: 10}); err != nil {
			t.Fatal(err)
		}
	}
	a := s.NewAttempts("n", zerolog.Nop())
	l := a.Lane("search", 1)
	if _, err := l.take(t.Context(), "search", 1); err != nil { // and forgotten
		t.Fatal(err)
	}
	var err error
	if l.ready, err = l.take(t.Context(), "search", 1); err != nil || len(l.ready) != 1 {
		t.Fatal(l.ready, err)
	}
	if did, err := a.Reconcile(t.Context()); err != nil || did != (Reconciled{}) {
		t.Errorf("at once: got %+v, %v, want nothing", did, err)
	}
	later := time.Now().Add(time.Minute)
	s.now = func() time.Time { return later }
	other := s.NewAttempts("other", zerolog.Nop())
	if did, err := other.Reconcile(t.Context()); err != nil || did != (Reconciled{}) {
		t.Errorf("another node: got %+v, %v, want nothing", did, err)
	}
	if did, err := a.Reconcile(t.Context()); err != nil || did != (Reconciled{HandedBack: 1}) {
		t.Errorf("got %+v, %v, want one task handed back", did, err)
	}
	for id, want := range map[string]tasks.State{"lost": tasks.Pending, "ready": tasks.Active} {
		if got, err := s.Get(t.Context(), id); err != nil || got.State != want {
			t.Errorf("%s: got %+v, %v, want it %s", id, got, err, want)
		}
	}
}

// A process or a Redis that stood still must not judge by what it then finds.
func TestWatch_JudgesOnlyWhatItWatched(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	steps := []struct {
		name  string
		after time.Duration
		err   error
		want  bool
	}{
		{"it waits for a lease at first", 500 * time.Millisecond, nil, false},
		{"it looks on", 2 * time.Second, nil, false},
		{"it looks on", 3500 * time.Millisecond, nil, false},
		{"it judges", 4100 * time.Millisecond, nil, true},
		{"it does not when Redis is away", 4600 * time.Millisecond, errors.New("away"), false},
		{"it waits after that", 6 * time.Second, nil, false},
		{"it waits after that", 8 * time.Second, nil, false},
		{"it judges again", 9 * time.Second, nil, true},
		{"it was frozen itself", 20 * time.Second, nil, false},
		{"it looks on", 22 * time.Second, nil, false},
		{"it judges again", 24 * time.Second, nil, true},
	}
	var w watch
	w.begin(start)
	for _, s := range steps {
		if got := w.looked(start.Add(s.after), s.err); got != s.want {
			t.Errorf("%s (%s): got %t, want %t", s.name, s.after, got, s.want)
		}
	}
}

// After a loss of data the living have no lease for a moment.
func TestWatch_ANodeWithoutLeaseIsGoneIfItStaysAway(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	var w watch
	w.begin(start)
	for _, s := range []struct {
		after time.Duration
		alive []string
		want  bool
	}{
		{5 * time.Second, nil, false},
		{10 * time.Second, []string{"n"}, false},
		{15 * time.Second, nil, false},
		{20 * time.Second, nil, true},
	} {
		w.sweep(start.Add(s.after), s.alive)
		if got := w.missed("n", s.alive); got != s.want {
			t.Errorf("after %s: got %t, want %t", s.after, got, s.want)
		}
	}
}
