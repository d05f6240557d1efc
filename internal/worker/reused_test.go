package worker

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/tasks"
)

// parsing makes jobs that parse documents by a function of their text.
func parsing(do func(ctx context.Context, text string) (string, error)) Jobs {
	jobs := Jobs{}
	Register(jobs, tasks.DocumentParse, func(ctx context.Context, p tasks.DocumentParsePayload) (tasks.DocumentParseResult, error) {
		title, err := do(ctx, p.Source.Text)
		return tasks.DocumentParseResult{Title: title}, err
	})
	return jobs
}

// startCached starts a worker that keeps results, and a client of its Redis that
// asks the cache for nothing.
func startCached(t *testing.T, b *broker.Broker, slots int, jobs Jobs) yard {
	t.Helper()
	cfg, cc := DefaultConfig(), cache.DefaultConfig()
	cfg.Slots = map[string]int{"document_parse": slots}
	cc.Dir = t.TempDir()
	kept, err := cache.New(cc, b, zerolog.Nop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	limits := client.DefaultConfig()
	limits.QueueLimit, limits.BulkLimit, limits.NoCache = 100_000, 100_000, true
	return startWith(t, b, cfg, &Registry{Jobs: jobs, Cache: kept}, limits)
}

func document(text string, opts ...tasks.Option) tasks.Request {
	r, err := tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: text}}, opts...)
	if err != nil {
		panic(err)
	}
	return r
}

func indexed(text string) tasks.Request {
	r, err := tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: text}, URI: "a.md", Index: true})
	if err != nil {
		panic(err)
	}
	return r
}

func completed(t *testing.T, y yard, id, title string) tasks.Task {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := y.client.Wait(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := tasks.DocumentParse.Result(got); err != nil || r.Title != title {
		t.Errorf("task %s: got %q, %v", id, r.Title, err)
	}
	return got
}

// Ten thousand equal tasks are run once; each has its own result, and says where
// it is from.
func TestReused_TenThousandEqualTasksRunOnce(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	y := startCached(t, brokertest.Start(t), 4, parsing(func(_ context.Context, text string) (string, error) {
		runs.Add(1)
		return "of " + text, nil
	}))
	const n = 10_000
	all := make([]tasks.Request, n)
	for i := range all {
		all[i] = document("tides")
	}
	answers, err := y.client.EnqueueAll(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	cached := 0
	for _, a := range answers {
		if a.Err != nil {
			t.Fatal(a.Err)
		}
		if completed(t, y, a.Task.ID, "of tides").Cached != "" {
			cached++
		}
	}
	if runs.Load() != 1 || cached != n-1 {
		t.Errorf("got %d runs and %d results from the cache, want 1 and %d", runs.Load(), cached, n-1)
	}
}

// The tasks of a batch, too: in bundles and alone.
func TestReused_Batch(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	y := startCached(t, brokertest.Start(t), 2, parsing(func(_ context.Context, text string) (string, error) {
		runs.Add(1)
		return "of " + text, nil
	}))
	all := make([]tasks.Request, 500)
	for i := range all {
		all[i] = document(fmt.Sprint("tides ", i%5))
	}
	all = append(all, document("tides 0", tasks.WithoutCache()), document("tides 0", tasks.WithoutCache()))
	info, err := y.client.EnqueueBatch(t.Context(), client.Batch{Requests: all})
	if err != nil {
		t.Fatal(err)
	}
	cached := 0
	for i, got := range stream(t, y.client, info.ID) {
		want := fmt.Sprint("of tides ", i%5)
		if i >= 500 {
			want = "of tides 0"
		}
		if r, err := tasks.DocumentParse.Result(got); err != nil || r.Title != want {
			t.Errorf("task %d: got %q, %v", i, r.Title, err)
		}
		if got.Cached != "" {
			cached++
		}
	}
	if runs.Load() != 7 || cached != 495 {
		t.Errorf("got %d runs and %d results from the cache, want 7 and 495", runs.Load(), cached)
	}
}

// What has a side effect is run each time, and so is what asks for it. What
// failed is nobody's result.
func TestReused_NotEverything(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		request tasks.Request
		runs    int64
	}{
		"it indexes each time":                 {indexed("tides"), 3},
		"it runs what asks for no cache":       {document("tides", tasks.WithoutCache()), 3},
		"it runs what has failed":              {document("fails", tasks.WithMaxRetry(0)), 3},
		"it runs what may be shared only once": {document("tides"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var runs atomic.Int64
			y := startCached(t, brokertest.Start(t), 2, parsing(func(_ context.Context, text string) (string, error) {
				runs.Add(1)
				if text == "fails" {
					return "", tasks.Invalid("payload", "it fails")
				}
				return text, nil
			}))
			for range 3 {
				if _, err := y.client.Do(t.Context(), tt.request); err != nil {
					t.Fatal(err)
				}
			}
			if runs.Load() != tt.runs {
				t.Errorf("got %d runs, want %d", runs.Load(), tt.runs)
			}
		})
	}
}

// A task that waits for an equal one is canceled alone, and one that others wait
// for does not take them with it.
func TestReused_CancelOfOneLeavesTheOther(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]bool{"the one that runs": true, "the one that waits": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began, release := make(chan struct{}, 4), make(chan struct{})
			y := startCached(t, brokertest.Start(t), 2, parsing(func(ctx context.Context, text string) (string, error) {
				began <- struct{}{}
				select {
				case <-release:
					return text, nil
				case <-ctx.Done():
					return "", ctx.Err()
				}
			}))
			runs, err := y.client.Enqueue(t.Context(), document("tides"))
			if err != nil {
				t.Fatal(err)
			}
			<-began
			waits, err := y.client.Enqueue(t.Context(), document("tides"))
			if err != nil {
				t.Fatal(err)
			}
			brokertest.Until(t, "both are active", func() bool {
				got, err := y.client.Status(t.Context(), waits.ID)
				return err == nil && got.State == tasks.Active
			})
			canceled, left := waits.ID, runs.ID
			if first {
				canceled, left = runs.ID, waits.ID
			}
			if _, err := y.client.Cancel(t.Context(), canceled); err != nil {
				t.Fatal(err)
			}
			brokertest.Until(t, "canceled", func() bool {
				got, err := y.client.Status(t.Context(), canceled)
				return err == nil && got.State == tasks.Canceled
			})
			if first {
				<-began // the other one runs in its place
			}
			close(release)
			completed(t, y, left, "tides")
		})
	}
}

// A second node finds in Redis what the first has made, and a node that comes
// back what lies on its disk.
func TestReused_OtherNodes(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	jobs := parsing(func(_ context.Context, text string) (string, error) {
		runs.Add(1)
		return text, nil
	})
	b := brokertest.Start(t)
	one := startCached(t, b, 2, jobs)
	if _, err := one.client.Do(t.Context(), document("tides")); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "in redis", func() bool {
		keys, err := b.Client().Keys(t.Context(), "jobyard:cache:{*}:v:*").Result()
		return err == nil && len(keys) == 1
	})
	one.stop()
	waits, err := one.client.Enqueue(t.Context(), document("tides"))
	if err != nil {
		t.Fatal(err)
	}
	// Long enough for the node to ask Redis itself.
	brokertest.Until(t, "it has waited", func() bool { return time.Since(waits.EnqueuedAt) > 2*askedLately })
	two := startCached(t, b, 2, jobs)
	if got := completed(t, two, waits.ID, "tides"); got.Cached != cache.InRedis || runs.Load() != 1 {
		t.Errorf("got it from %q after %d runs", got.Cached, runs.Load())
	}
	node := two.worker.Node()
	if len(node.Cache) != 3 || node.Cache[1].Hits != 1 || node.Kinds["document_parse"].Cached.Redis != 1 {
		t.Errorf("the heartbeat says %+v, %+v", node.Cache, node.Kinds["document_parse"].Cached)
	}
}

// With every tier broken the tasks are run.
func TestReused_BrokenTiers(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	y := startCached(t, brokertest.Start(t), 2, parsing(func(_ context.Context, text string) (string, error) {
		runs.Add(1)
		return text, nil
	}))
	c := y.broker.Client()
	for shard := range 16 { // keys of another type: every script fails
		for _, part := range []string{"ages", "sizes"} {
			if err := c.Set(t.Context(), fmt.Sprintf("jobyard:cache:{%d}:%s", shard, part), "x", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 20 {
		got, err := y.client.Do(t.Context(), document(fmt.Sprint("tides ", i)))
		if err != nil || got.State != tasks.Completed {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if runs.Load() != 20 {
		t.Errorf("got %d runs", runs.Load())
	}
	brokertest.Until(t, "the heartbeat tells of it", func() bool {
		nodes, err := y.broker.Nodes(t.Context())
		return err == nil && len(nodes) == 1 && len(nodes[0].Cache) == 3 && nodes[0].Cache[1].Broken
	})
}
