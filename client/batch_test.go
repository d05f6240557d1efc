package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/tasks"
)

func searches(t testing.TB, n int) []tasks.Request {
	t.Helper()
	all := make([]tasks.Request, n)
	for i := range all {
		r, err := tasks.Search.New(tasks.SearchPayload{Query: fmt.Sprint("q", i)})
		if err != nil {
			t.Fatal(err)
		}
		all[i] = r
	}
	return all
}

func TestClient_EnqueueBatchIsAllOrNothing(t *testing.T) {
	t.Parallel()
	c, _ := open(t, func(cfg *client.Config) { cfg.BulkLimit = 50 })
	bad := searches(t, 10)
	bad[3].Payload = []byte(`{"query":""}`)
	var in *tasks.InvalidError
	if _, err := c.EnqueueBatch(t.Context(), client.Batch{ID: "b", Requests: bad}); !errors.As(err, &in) || in.Fields[0].Path != "tasks[3].payload.query" {
		t.Errorf("got %v, want a fault at tasks[3].payload.query", err)
	}
	var full *client.FullError
	if _, err := c.EnqueueBatch(t.Context(), client.Batch{ID: "b", Requests: searches(t, 51)}); !errors.As(err, &full) {
		t.Errorf("got %v, want a FullError", err)
	}
	if _, err := c.Batch(t.Context(), "b"); !errors.Is(err, client.ErrNoBatch) {
		t.Errorf("got %v, want ErrNoBatch", err)
	}
	queues, err := c.Queues(t.Context())
	if err != nil || queues[4].Waiting() != 0 {
		t.Errorf("got %+v, %v, want nothing queued", queues[4], err)
	}
}

func TestClient_EnqueueBatchAgainGivesTheFirst(t *testing.T) {
	t.Parallel()
	c, _ := open(t)
	first, err := c.EnqueueBatch(t.Context(), client.Batch{ID: "b", Requests: searches(t, 100)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cancel(t.Context(), "b.0"); err != nil {
		t.Fatal(err)
	}
	again, err := c.EnqueueBatch(t.Context(), client.Batch{ID: "b", Requests: searches(t, 100)})
	if err != nil || again.Total != 100 || again.Counts[tasks.Canceled] != 1 || again.Counts[tasks.Pending] != 99 ||
		again.CreatedAt.Sub(first.CreatedAt).Abs() > time.Second {
		t.Errorf("got %+v, %v, want the first batch as it is now", again, err)
	}
	var conflict *client.ConflictError
	if _, err := c.EnqueueBatch(t.Context(), client.Batch{ID: "b", Requests: searches(t, 99)}); !errors.As(err, &conflict) {
		t.Errorf("got %v, want a ConflictError", err)
	}
}

func TestClient_IdsOfABatchAreTaken(t *testing.T) {
	t.Parallel()
	c, _ := open(t)
	if _, err := c.EnqueueBatch(t.Context(), client.Batch{ID: "b", Requests: searches(t, 40)}); err != nil {
		t.Fatal(err)
	}
	for id, taken := range map[string]bool{"b.7": true, "b.b0": true, "b.done": true, "b.x": false, "order.7": false} {
		var conflict *client.ConflictError
		_, err := client.Enqueue(t.Context(), c, tasks.Search, tasks.SearchPayload{Query: "x"}, tasks.WithID(id))
		if taken != errors.As(err, &conflict) || !taken && err != nil {
			t.Errorf("%s: got %v", id, err)
		}
	}
}

func TestClient_BatchResultsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	c, _ := open(t)
	if _, err := c.EnqueueBatch(t.Context(), client.Batch{ID: "b", Requests: searches(t, 40)}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cancel(t.Context(), "b.0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var got []string
	var last error
	for task, err := range c.BatchResults(ctx, "b") {
		got, last = append(got, task.ID), err
	}
	if len(got) != 2 || got[0] != "b.0" || !errors.Is(last, context.DeadlineExceeded) {
		t.Errorf("got %q, %v, want b.0 and then the deadline", got, last)
	}
	for _, err := range c.BatchResults(t.Context(), "nobody") {
		if !errors.Is(err, client.ErrNoBatch) {
			t.Errorf("got %v, want ErrNoBatch", err)
		}
	}
}

func ExampleClient_EnqueueBatch() {
	ctx := context.Background()
	url, closeYard := openYard(ctx)
	defer closeYard()
	cfg := client.DefaultConfig()
	cfg.RedisURL = url
	yard, err := client.Open(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer yard.Close()

	batch := client.Batch{ID: "nightly"}
	for _, query := range []string{"camera", "maps", "sensors"} {
		r, err := tasks.Search.New(tasks.SearchPayload{Query: query})
		if err != nil {
			fmt.Println(err)
			return
		}
		batch.Requests = append(batch.Requests, r)
	}
	if _, err := yard.EnqueueBatch(ctx, batch); err != nil {
		fmt.Println(err)
		return
	}
	for task, err := range yard.BatchResults(ctx, "nightly") {
		if err != nil {
			fmt.Println(err)
			return
		}
		found, err := tasks.Search.Result(task)
		if err != nil {
			fmt.Println(task.ID, err)
			continue
		}
		fmt.Println(task.ID, found.Hits[0].Title)
	}
	// Output:
	// nightly.0 camera
	// nightly.1 maps
	// nightly.2 sensors
}
