package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/tasks"
)

// inCache leaves the results of two documents in Redis and no worker that could
// run anything: a small one and one of some kilobytes.
func inCache(t *testing.T) (y yard, long string) {
	t.Helper()
	long = strings.Repeat("the moon pulls ", 400)
	b := brokertest.Start(t)
	y = startCached(t, b, 2, parsing(func(_ context.Context, text string) (string, error) { return text, nil }))
	for _, text := range []string{"tides", long} {
		if _, err := y.client.Do(t.Context(), document(text)); err != nil {
			t.Fatal(err)
		}
	}
	brokertest.Until(t, "in redis", func() bool {
		keys, err := b.Client().Keys(t.Context(), "jobyard:cache:{*}:v:*").Result()
		return err == nil && len(keys) == 2
	})
	y.stop()
	return y, long
}

func answering(t *testing.T, y yard, change func(*client.Config)) *client.Client {
	t.Helper()
	cfg := client.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	c, err := client.New(y.broker, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// An equal task is completed as it is handed over, first from Redis and then
// from this process's memory, and looks like any other to whoever asks.
func TestAnswered(t *testing.T) {
	t.Parallel()
	y, long := inCache(t)
	c := answering(t, y, nil)
	for _, text := range []string{"tides", long} {
		for _, tier := range []string{cache.InRedis, cache.InMemory} {
			got, err := c.Enqueue(t.Context(), document(text))
			if err != nil || got.State != tasks.Completed || got.Cached != tier || got.FinishedAt.IsZero() {
				t.Fatalf("got %+v, %v; want it completed from %s", got, err, tier)
			}
			for name, read := range map[string]func() (tasks.Task, error){
				"handed over": func() (tasks.Task, error) { return got, nil },
				"status":      func() (tasks.Task, error) { return y.client.Status(t.Context(), got.ID) },
				"wait":        func() (tasks.Task, error) { return y.client.Wait(t.Context(), got.ID) },
			} {
				seen, err := read()
				r, resultErr := tasks.DocumentParse.Result(seen)
				if err = errors.Join(err, resultErr); err != nil || r.Title != text || seen.Cached != tier || seen.Attempts != 0 {
					t.Errorf("%s: got %.100v, %v", name, seen, err)
				}
			}
			for seen, err := range c.Watch(t.Context(), got.ID) {
				if err != nil || seen.State != tasks.Completed {
					t.Errorf("watched: got %s, %v", seen.State, err)
				}
			}
			if _, err := c.Cancel(t.Context(), got.ID); !errors.Is(err, client.ErrFinal) {
				t.Errorf("canceled: got %v", err)
			}
			inspected, err := asynq.NewInspectorFromRedisClient(y.broker.Client()).GetTaskInfo("document_parse", got.ID)
			if err != nil || inspected.State != asynq.TaskStateCompleted || time.Since(inspected.CompletedAt) > time.Hour {
				t.Errorf("asynq says %+v, %v", inspected, err)
			}
		}
	}
	all, err := c.EnqueueAll(t.Context(), []tasks.Request{document("tides"), document("ebb"), document("tides", tasks.WithoutCache())})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []tasks.State{tasks.Completed, tasks.Pending, tasks.Pending} {
		if all[i].Err != nil || all[i].Task.State != want {
			t.Errorf("task %d: got %s, %v; want %s", i, all[i].Task.State, all[i].Err, want)
		}
	}
}

// What is answered needs no room in the queue, and an id stays an id.
func TestAnswered_limitsAndIDs(t *testing.T) {
	t.Parallel()
	y, _ := inCache(t)
	c := answering(t, y, func(cfg *client.Config) { cfg.QueueLimit = 1 })
	if got, err := c.Enqueue(t.Context(), document("ebb")); err != nil || got.State != tasks.Pending {
		t.Fatalf("got %s, %v", got.State, err)
	}
	var full *client.FullError
	if _, err := c.Enqueue(t.Context(), document("flood")); !errors.As(err, &full) {
		t.Fatalf("got %v, want a full queue", err)
	}
	first, err := c.Enqueue(t.Context(), document("tides", tasks.WithID("a"), tasks.WithRetention(time.Hour)))
	if err != nil || first.State != tasks.Completed {
		t.Fatalf("got %s, %v", first.State, err)
	}
	again, err := c.Enqueue(t.Context(), document("tides", tasks.WithID("a")))
	if err != nil || again.ID != "a" || !again.EnqueuedAt.Equal(first.EnqueuedAt) {
		t.Errorf("got %+v, %v; want the first one", again, err)
	}
	var conflict *client.ConflictError
	if _, err := c.Enqueue(t.Context(), document("ebb", tasks.WithID("a"))); !errors.As(err, &conflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if later, err := c.Enqueue(t.Context(), document("tides", tasks.WithQueue("bulk"), tasks.WithDelay(time.Hour))); err != nil || later.State != tasks.Scheduled {
		t.Errorf("got %s, %v; want it to wait for its time", later.State, err)
	}
	if n, err := y.broker.Client().HGetAll(t.Context(), "jobyard:cache:{document_parse}:answered").Result(); err != nil || n["redis"] != "1" {
		t.Errorf("got %v, %v", n, err)
	}
	none := answering(t, y, func(cfg *client.Config) { cfg.NoCache, cfg.QueueLimit = true, 100 })
	if got, err := none.Enqueue(t.Context(), document("tides")); err != nil || got.State != tasks.Pending {
		t.Errorf("got %s, %v; want a door that asks no cache", got.State, err)
	}
}
