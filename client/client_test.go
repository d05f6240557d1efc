package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

var tempDirs []string

func tempDir() string {
	dir, err := os.MkdirTemp("", "yard-")
	if err != nil {
		panic(err)
	}
	tempDirs = append(tempDirs, dir)
	return dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range tempDirs {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func open(t *testing.T, change ...func(*client.Config)) (*client.Client, *broker.Broker) {
	t.Helper()
	b := brokertest.Start(t)
	cfg := client.DefaultConfig()
	for _, c := range change {
		c(&cfg)
	}
	c, err := client.New(b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, b
}

func TestClient_EnqueueAllAnswersInOrder(t *testing.T) {
	t.Parallel()
	c, _ := open(t)
	var requests []tasks.Request
	for i := range 1200 { // more than one round trip holds
		query := fmt.Sprint("q", i)
		if i%100 == 7 {
			query = ""
		}
		r, err := tasks.Search.New(tasks.SearchPayload{Query: query}, tasks.WithQueue("bulk"))
		if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, r)
	}
	answers, err := c.EnqueueAll(t.Context(), requests)
	if err != nil || len(answers) != len(requests) {
		t.Fatalf("got %d answers, %v", len(answers), err)
	}
	for i, a := range answers {
		var in *tasks.InvalidError
		if bad := i%100 == 7; bad != errors.As(a.Err, &in) || !bad && (a.Task.ID == "" || a.Task.Queue != "search:bulk") {
			t.Fatalf("answer %d: got %+v", i, a)
		}
	}
	got, err := c.Status(t.Context(), answers[1199].Task.ID)
	if err != nil || got.State != tasks.Pending || got.Queue != "search:bulk" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestClient_QueuesCountWhatWaits(t *testing.T) {
	t.Parallel()
	c, _ := open(t, func(cfg *client.Config) { cfg.QueueLimit = 2 })
	for i, want := range []bool{true, true, false} {
		_, err := client.Enqueue(t.Context(), c, tasks.Search, tasks.SearchPayload{Query: fmt.Sprint(i)}, tasks.WithDelay(time.Duration(i)*time.Hour))
		var full *client.FullError
		if (err == nil) != want || !want && !errors.As(err, &full) {
			t.Fatalf("task %d: got %v", i, err)
		}
	}
	queues, err := c.Queues(t.Context())
	if err != nil || len(queues) != 8 {
		t.Fatalf("got %d queues, %v", len(queues), err)
	}
	q := queues[0]
	if q.Name != "search" || q.Waiting() != 2 || q.Counts[tasks.Pending] != 1 || q.Counts[tasks.Scheduled] != 1 || q.Oldest <= 0 {
		t.Errorf("got %+v", q)
	}
}

func TestClient_RedisAwayIsSaidWithin5s(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	c, err := client.New(brokertest.Open(t, server.URL), client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server.Close()
	start := time.Now()
	_, err = client.Enqueue(t.Context(), c, tasks.Search, tasks.SearchPayload{Query: "x"})
	if _, ok := errors.AsType[*client.UnavailableError](err); !ok {
		t.Errorf("got %v, want an UnavailableError", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestClient_WaitKeepsItsPlaceWhenEventsAreLost(t *testing.T) {
	t.Parallel()
	c, b := open(t)
	task, err := client.Enqueue(t.Context(), c, tasks.Search, tasks.SearchPayload{Query: "x"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ended := make(chan tasks.Task, 1)
	go func() {
		got, _ := c.Wait(ctx, task.ID)
		ended <- got
	}()
	// A state that changes without an event, as after a lost connection.
	err = b.Client().HSet(ctx, broker.TaskKey("search", task.ID), "state", "completed", "y_final", "completed", "result", "{}").Err()
	if err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got.State != tasks.Completed {
		t.Errorf("got %+v, want it completed", got)
	}
}

func TestResult_DoesNotWait(t *testing.T) {
	t.Parallel()
	c, _ := open(t)
	if _, err := client.Enqueue(t.Context(), c, tasks.Search, tasks.SearchPayload{Query: "x"}, tasks.WithID("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Result(t.Context(), c, tasks.Search, "a"); err == nil || !strings.Contains(err.Error(), "is pending") {
		t.Errorf("pending: got %v", err)
	}
	if _, err := client.Result(t.Context(), c, tasks.Search, "b"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("unknown: got %v", err)
	}
}
