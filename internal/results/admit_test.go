package results_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

func admission(t testing.TB, id, query string, limit int, opts ...tasks.Option) results.Admission {
	t.Helper()
	r, err := tasks.Search.New(tasks.SearchPayload{Query: query}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = r.Check(time.Now()); err != nil {
		t.Fatal(err)
	}
	return results.Admission{ID: id, Request: r, Limit: limit}
}

func TestAdmit_LimitIsNotOvershot(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	const producers, each, limit = 64, 20, 500
	var mu sync.Mutex
	admitted, full := 0, 0
	var all sync.WaitGroup
	for p := range producers {
		all.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", p, i)
				if p%2 == 0 {
					id = own(t) // these take the short way
				}
				errs, err := s.Admit(t.Context(), admission(t, id, "q", limit))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if _, ok := errors.AsType[*results.FullError](errs[0]); ok {
					full++
				} else if errs[0] == nil {
					admitted++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if admitted != limit || full != producers*each-limit {
		t.Errorf("got %d admitted and %d refused, want %d and %d", admitted, full, limit, producers*each-limit)
	}
	if n := b.Client().LLen(t.Context(), broker.QueueKey("search", "pending")).Val(); n != limit {
		t.Errorf("got %d tasks in Redis, want %d", n, limit)
	}
}

func TestAdmit_EqualTasksAreOne(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	var mu sync.Mutex
	known := 0
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 50 {
				errs, err := s.Admit(t.Context(), admission(t, "same", "q", 500))
				if err != nil {
					t.Error(err)
					return
				}
				if errors.Is(errs[0], results.ErrKnown) {
					mu.Lock()
					known++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if n := b.Client().LLen(t.Context(), broker.QueueKey("search", "pending")).Val(); n != 1 || known != 999 {
		t.Errorf("got %d tasks and %d known, want 1 and 999", n, known)
	}
}

func TestAdmit_AnswersEachOfMany(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{2, 3} {
		t.Run(fmt.Sprint("a limit of ", limit), func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t)
			errs, err := results.New(b).Admit(t.Context(),
				admission(t, "a", "one", limit), admission(t, "a", "one", limit), admission(t, "a", "two", limit),
				admission(t, "b", "one", limit), admission(t, "c", "one", limit))
			if err != nil {
				t.Fatal(err)
			}
			var conflict *results.ConflictError
			if errs[0] != nil || !errors.Is(errs[1], results.ErrKnown) || !errors.As(errs[2], &conflict) || errs[3] != nil {
				t.Errorf("got %v, want nil, known, conflict, nil", errs)
			}
			if _, full := errors.AsType[*results.FullError](errs[4]); full != (limit == 2) {
				t.Errorf("the last of three tasks: got %v", errs[4])
			}
			if got := b.Client().LRange(t.Context(), broker.QueueKey("search", "pending"), 0, -1).Val(); len(got) != limit {
				t.Errorf("got %q in the queue, want %d tasks", got, limit)
			}
		})
	}
}

// What is written before its place was known to be free leaves nothing behind.
func TestAdmit_RefusedTasksLeaveNothing(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	for i, n := range []int{1, 4, 1, 3} { // of which 5 have a place; the last come to a queue that is known to be full
		var all []results.Admission
		for range n {
			all = append(all, admission(t, own(t), "q", 5))
		}
		errs, err := s.Admit(t.Context(), all...)
		if err != nil {
			t.Fatal(err)
		}
		for k, err := range errs {
			if _, full := errors.AsType[*results.FullError](err); full != (i > 1) {
				t.Errorf("call %d, task %d: got %v", i, k, err)
			}
		}
		if i == 1 {
			s = results.New(b) // which has been told nothing yet
		}
	}
	several := results.New(b)
	if errs, err := several.Admit(t.Context(), admission(t, own(t), "q", 6), admission(t, own(t), "q", 6)); err != nil || errs[0] != nil || errs[1] == nil {
		t.Errorf("two tasks for one place: got %v, %v", errs, err)
	}
	if n := b.Client().LLen(t.Context(), broker.QueueKey("search", "pending")).Val(); n != 6 {
		t.Errorf("got %d tasks in the queue, want 6", n)
	}
	if keys := b.Client().Keys(t.Context(), broker.TaskKey("search", "*")).Val(); len(keys) != 6 {
		t.Errorf("got the records %q, want 6", keys)
	}
}

func TestAdmit_AnIdIsOneTaskInTheWholeYard(t *testing.T) {
	t.Parallel()
	s := results.New(brokertest.Start(t))
	chosen := func(a results.Admission) results.Admission { a.Chosen = true; return a }
	parse := func(text string) results.Admission {
		r, err := tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: text}})
		if err != nil {
			t.Fatal(err)
		}
		if r, err = r.Check(time.Now()); err != nil {
			t.Fatal(err)
		}
		return results.Admission{ID: "a", Request: r, Limit: 10}
	}
	if err := s.AdmitOne(t.Context(), chosen(admission(t, "a", "q", 10))); err != nil {
		t.Fatal(err)
	}
	err := s.AdmitOne(t.Context(), chosen(parse("q")))
	if _, ok := errors.AsType[*results.ConflictError](err); !ok {
		t.Errorf("another kind: got %v, want a ConflictError", err)
	}
	if err := s.AdmitOne(t.Context(), chosen(admission(t, "a", "q", 10, tasks.WithQueue("bulk")))); !errors.Is(err, results.ErrKnown) {
		t.Errorf("the same work for the bulk queue: got %v, want ErrKnown", err)
	}
}

// An id that the client made tells when, and a caller may use it again for the
// same work, as any other.
func TestAdmit_IDsOfItsOwn(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	before := time.Now().Truncate(time.Millisecond)
	one, other := own(t), own(t)
	if errs, err := s.Admit(t.Context(), admission(t, one, "q", 10), admission(t, other, "other", 10)); err != nil || errors.Join(errs...) != nil {
		t.Fatal(errs, err)
	}
	task, err := s.Get(t.Context(), one)
	if err != nil || task.State != tasks.Pending || task.EnqueuedAt.Before(before) || task.EnqueuedAt.After(time.Now()) {
		t.Errorf("got %+v, %v, want a pending task that came in just now", task, err)
	}
	if err := s.AdmitOne(t.Context(), admission(t, one, "q", 10)); !errors.Is(err, results.ErrKnown) {
		t.Errorf("the same call once more: got %v, want ErrKnown", err)
	}
	for _, opts := range [][]tasks.Option{nil, {tasks.WithQueue("bulk")}} {
		for query, want := range map[string]error{"q": results.ErrKnown, "another": &results.ConflictError{ID: one}} {
			a := admission(t, one, query, 10, opts...)
			a.Chosen = true
			if err := s.AdmitOne(t.Context(), a); err == nil || err.Error() != want.Error() {
				t.Errorf("%s for %q: got %v, want %v", query, a.Request.Options.Queue, err, want)
			}
		}
	}
	if err := b.Client().HSet(t.Context(), broker.TaskKey("search", other), "msg", "damaged").Err(); err != nil {
		t.Fatal(err)
	}
	a := admission(t, other, "other", 10)
	a.Chosen = true
	var conflict *results.ConflictError
	if err := s.AdmitOne(t.Context(), a); !errors.As(err, &conflict) {
		t.Errorf("a damaged task: got %v, want a ConflictError", err)
	}
	if n := b.Client().LLen(t.Context(), broker.QueueKey("search", "pending")).Val(); n != 2 {
		t.Errorf("got %d tasks in the queue, want 2", n)
	}
	third := own(t)
	if err := s.AdmitOne(t.Context(), admission(t, third, "third", 10)); err != nil {
		t.Fatal(err)
	}
	if fields := b.Client().HLen(t.Context(), broker.TaskKey("search", third)).Val(); fields != 3 {
		t.Errorf("got %d fields after what was known, want the 3 of the short way: no queue was full", fields)
	}
}

// own is an id as a client makes them.
func own(t testing.TB) string {
	t.Helper()
	return uuid.Must(uuid.NewV7()).String()
}

// asynq's own tools must be able to read what we wrote.
func TestAdmit_AsynqReadsTheTask(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	if err := s.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := admission(t, "a", "camera", 10, tasks.WithTimeout(1500*time.Millisecond), tasks.WithMaxRetry(7), tasks.WithRetention(time.Hour))
	later := admission(t, "b", "later", 10, tasks.WithDelay(time.Hour), tasks.WithQueue("bulk"))
	if errs, err := s.Admit(t.Context(), a, later); err != nil || errors.Join(errs...) != nil {
		t.Fatal(errs, err)
	}
	inspector := asynq.NewInspectorFromRedisClient(b.Client())
	info, err := inspector.GetTaskInfo("search", "a")
	if err != nil {
		t.Fatal(err)
	}
	var p tasks.SearchPayload
	if err := json.Unmarshal(info.Payload, &p); err != nil || p.Query != "camera" {
		t.Errorf("payload: got %s, %v", info.Payload, err)
	}
	if info.Type != "search" || info.MaxRetry != 7 || info.Retention != time.Hour || info.State != asynq.TaskStatePending ||
		info.Timeout < 16*time.Second {
		t.Errorf("got %+v", info)
	}
	info, err = inspector.GetTaskInfo("search:bulk", "b")
	if err != nil || info.State != asynq.TaskStateScheduled || time.Until(info.NextProcessAt) < 59*time.Minute {
		t.Errorf("scheduled: got %+v, %v", info, err)
	}
}

func TestGet_UnknownTask(t *testing.T) {
	t.Parallel()
	s := results.New(brokertest.Start(t))
	for _, id := range []string{"nobody", "", "a b", "x}{y"} {
		if _, err := s.Get(t.Context(), id); !errors.Is(err, results.ErrNotFound) {
			t.Errorf("%q: got %v, want ErrNotFound", id, err)
		}
	}
}

func TestWait_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := results.New(brokertest.Start(t))
	if errs, err := s.Admit(t.Context(), admission(t, "a", "q", 1)); err != nil || errs[0] != nil {
		t.Fatal(errs, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got, err := s.NewEvents().Wait(ctx, "a")
	if !errors.Is(err, context.DeadlineExceeded) || got.State != tasks.Pending {
		t.Errorf("got %+v, %v, want the pending task and a deadline", got, err)
	}
}

func BenchmarkAdmit(b *testing.B) {
	s := results.New(brokertest.Start(b))
	for i := 0; b.Loop(); i++ {
		if errs, err := s.Admit(b.Context(), admission(b, fmt.Sprint(i), "q", 1<<30)); err != nil || errs[0] != nil {
			b.Fatal(errs, err)
		}
	}
}
