package results_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

func TestStanding(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	hand := func(query string, opts ...tasks.Option) {
		t.Helper()
		r, err := tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: query}}, opts...)
		if err == nil {
			_, err = c.Enqueue(t.Context(), r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		hand(fmt.Sprint("text ", i), tasks.WithID(fmt.Sprintf("p%d", i)), tasks.WithMaxRetry(3))
	}
	hand("later", tasks.WithID("later"), tasks.WithDelay(time.Hour))
	hand(strings.Repeat("large ", 20<<10), tasks.WithID("large"))
	b.Client().Set(t.Context(), broker.QueueKey("document_parse", "paused"), "1", 0)

	st, err := s.Standing(t.Context(), "p3")
	if err != nil || st.Ahead != 3 || !st.Paused || st.MaxRetry != 3 || st.PendingSince.IsZero() || !strings.Contains(string(st.Payload), "text 3") {
		t.Errorf("got %+v (%v), want three ahead in a paused queue, with its payload", st, err)
	}
	st, err = s.Standing(t.Context(), "later")
	if err != nil || st.Ahead != -1 || time.Until(st.DueAt) < 50*time.Minute {
		t.Errorf("got %+v (%v), want it due in an hour", st, err)
	}
	st, err = s.Standing(t.Context(), "large")
	if err != nil || st.PayloadBytes < 100<<10 || !strings.HasPrefix(string(st.Payload), `{"source"`) {
		t.Errorf("got %d bytes (%v), want the payload unpacked", st.PayloadBytes, err)
	}
	for _, id := range []string{"nobody", "*", ""} {
		if _, err := s.Standing(t.Context(), id); !errors.Is(err, results.ErrNotFound) {
			t.Errorf("%q: got %v, want ErrNotFound", id, err)
		}
	}
}

func TestHasten(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	admit(t, s, "now")
	task := func(id string) tasks.Task {
		t.Helper()
		got, err := s.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if err := s.Hasten(t.Context(), task("now")); !errors.Is(err, results.ErrNotDue) {
		t.Errorf("pending: got %v, want ErrNotDue", err)
	}
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r, err := tasks.Search.New(tasks.SearchPayload{Query: "q"}, tasks.WithID("later"), tasks.WithDelay(time.Hour))
	if err == nil {
		_, err = c.Enqueue(t.Context(), r)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Hasten(t.Context(), task("later")); err != nil || task("later").State != tasks.Pending {
		t.Errorf("scheduled: got %+v (%v), want it pending", task("later"), err)
	}
	if st, err := s.Standing(t.Context(), "later"); err != nil || st.Ahead != 1 {
		t.Errorf("got %+v (%v), want it behind the one that waited", st, err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	for i := range 450 { // more than two pages
		id := fmt.Sprintf("t%03d", i)
		admit(t, s, id)
		if i%3 == 0 {
			reason := tasks.ReasonTimeout
			if i%9 == 0 {
				reason = tasks.ReasonOOM
			}
			bury(t, b, death{queue: "search", id: id, reason: reason, message: "x", at: time.Now().Add(time.Duration(i) * time.Second)})
		}
	}
	list := func(f results.ListFilter) results.Listing {
		t.Helper()
		l, err := s.List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if l := list(results.ListFilter{State: tasks.Pending, Limit: 100}); len(l.Tasks) != 100 || l.Tasks[0].ID != "t001" || !l.More {
		t.Errorf("pending: got %d, first %s, want 100 and t001, which is taken next", len(l.Tasks), l.Tasks[0].ID)
	}
	if l := list(results.ListFilter{State: tasks.Pending, Limit: 200, Skip: 200}); len(l.Tasks) != 100 || l.More {
		t.Errorf("the last page: got %d, want 100 and no more", len(l.Tasks))
	}
	if l := list(results.ListFilter{Reason: tasks.ReasonOOM, Limit: 200}); len(l.Tasks) != 50 || l.Tasks[0].ID != "t441" {
		t.Errorf("by reason: got %d, first %v, want 50, the latest first", len(l.Tasks), l.Tasks[0].ID)
	}
	if l := list(results.ListFilter{Kind: "sdk_fetch"}); len(l.Tasks) != 0 || l.More || l.Cut {
		t.Errorf("another kind: got %+v, want none", l)
	}
	if l := list(results.ListFilter{State: tasks.Canceled}); len(l.Tasks) != 0 {
		t.Errorf("canceled: got %+v, want none", l)
	}
}
