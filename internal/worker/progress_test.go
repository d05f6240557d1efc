package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/tasks"
)

// stepping makes a job that reports a step for each word it is told, and waits
// for the next.
func stepping(steps <-chan string) Jobs {
	return searching(func(ctx context.Context, _ string) (string, error) {
		for n := int64(1); ; n++ {
			select {
			case <-ctx.Done():
				return "", context.Cause(ctx)
			case step := <-steps:
				switch step {
				case "end":
					return "done", nil
				case "fail":
					return "", fault.RetryableError(tasks.ReasonUpstream, "not now")
				case "die":
					return "", fault.PermanentError(tasks.ReasonNotFound, "never")
				}
				progress.Report(ctx, tasks.Progress{Done: n, Total: 10, Message: step})
			}
		}
	})
}

// undrained lets a worker end without waiting for jobs that do not.
func undrained(c *Config) { c.DrainTimeout = 0 }

func TestProgress_IsSeenLiveAndLater(t *testing.T) {
	t.Parallel()
	steps := make(chan string, 10)
	y := start(t, 1, stepping(steps))
	task, err := y.client.Enqueue(t.Context(), request("x", tasks.WithMaxRetry(0)))
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	steps <- "one"
	for task, err := range y.client.Watch(patience(t), task.ID) {
		if err != nil {
			t.Fatal(err)
		}
		line := string(task.State)
		if task.Progress != nil {
			line += " " + task.Progress.Message
		}
		seen = append(seen, line)
		switch line {
		case "active one":
			if p := task.Progress; p.Done != 1 || p.Total != 10 || p.Fraction != 0.1 || time.Since(p.At) > time.Minute {
				t.Errorf("got %+v", p)
			}
			steps <- "two"
		case "active two":
			// Whoever comes later sees the last one.
			if late, err := y.client.Status(t.Context(), task.ID); err != nil || late.Progress == nil || late.Progress.Message != "two" {
				t.Errorf("later: got %+v, %v", late.Progress, err)
			}
			steps <- "die"
		}
	}
	if n := len(seen); n < 3 || seen[n-1] != "archived two" || seen[n-2] != "active two" || seen[n-3] != "active one" {
		t.Errorf("got %q", seen)
	}
}

// A new attempt begins without the progress of the one before, and a result
// needs none.
func TestProgress_BelongsToItsAttempt(t *testing.T) {
	t.Parallel()
	steps := make(chan string, 10)
	y := start(t, 1, stepping(steps))
	task, err := y.client.Enqueue(t.Context(), request("x"))
	if err != nil {
		t.Fatal(err)
	}
	steps <- "one"
	failed := false
	for task, err := range y.client.Watch(patience(t), task.ID) {
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case task.State == tasks.Active && task.Attempts == 1 && task.Progress != nil && !failed:
			failed = true
			steps <- "fail"
		case task.State == tasks.Active && task.Attempts == 2 && task.Progress != nil && task.Progress.Message == "one":
			t.Error("the second attempt has the progress of the first")
		case task.State == tasks.Retry:
			steps <- "two"
			steps <- "end"
		case task.State.Final() && (task.State != tasks.Completed || task.Progress != nil || len(task.Result) == 0):
			t.Errorf("got %+v with progress %+v", task, task.Progress)
		}
	}
	if !failed {
		t.Error("no progress was seen")
	}
}

func TestWatch_EndsWithItsContextAndForNobody(t *testing.T) {
	t.Parallel()
	y := start(t, 1, stepping(nil), undrained)
	task, err := y.client.Enqueue(t.Context(), request("x"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var last error
	for got, err := range y.client.Watch(ctx, task.ID) {
		if last = err; got.State == tasks.Active {
			cancel()
		}
	}
	cancel()
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v, want the context's end", last)
	}
	for _, err := range y.client.Watch(t.Context(), "nobody") {
		if !errors.Is(err, client.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	}
}

// A late attempt's report is not taken for the newest one's.
func TestProgress_OfALateAttemptIsRefused(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	steps := make(chan string, 10)
	y := startOn(t, b, 1, stepping(steps), undrained)
	if _, err := y.client.Enqueue(t.Context(), request("x", tasks.WithID("id"))); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "it runs", func() bool { return len(y.worker.attempts.Running()) == 1 })
	key := broker.TaskKey("search", "id")
	// Another node has taken it meanwhile.
	if err := b.Client().HIncrBy(t.Context(), key, "y_fence", 1).Err(); err != nil {
		t.Fatal(err)
	}
	y.worker.attempts.Progress(t.Context(), "id", tasks.Progress{Message: "late"})
	if text := b.Client().HGet(t.Context(), key, "y_prog").Val(); text != "" {
		t.Errorf("got %q", text)
	}
}

// In a real runner, over the frames, with a document that takes a while.
func TestProgress_FromARunner(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cfg := DefaultRegistryConfig()
	cfg.DataDir, cfg.Slots = t.TempDir(), map[string]int{"document_parse": 1}
	cfg.JobMemory = 1 << 30 // the race detector takes its share
	registry, err := OpenRegistry(t.Context(), cfg, b, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	y := startOn(t, b, 1, registry.Jobs, func(c *Config) { c.Slots = cfg.Slots })
	var text strings.Builder
	for i := 0; text.Len() < 6<<20; i++ { // so that no machine is done before the first report
		fmt.Fprintf(&text, "# Heading %d\n\n", i)
		for j := range 200 {
			fmt.Fprintf(&text, "A paragraph with *emphasis* and a [link](https://example.com/%d) in it.\n\n", j)
		}
	}
	r, err := tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: text.String()}, ContentType: "text/markdown"}, tasks.WithTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	inside := 0
	for inside == 0 { // a report may fall just between two moments
		task, err := y.client.Enqueue(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		for task, err := range y.client.Watch(ctx, task.ID) {
			if err != nil || task.State.Final() && task.State != tasks.Completed {
				t.Fatal(task.Error, err)
			}
			if p := task.Progress; p != nil && p.Total > 0 && p.Message == "parse the document" {
				inside++
			}
		}
	}
}
