package worker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// echoing makes a job that gives a document's text back, or fails.
func echoing(fails func(uri string) bool) Jobs {
	jobs := Jobs{}
	Register(jobs, tasks.DocumentParse, func(_ context.Context, p tasks.DocumentParsePayload) (tasks.DocumentParseResult, error) {
		if fails(p.URI) {
			return tasks.DocumentParseResult{}, fault.PermanentError(tasks.ReasonRejected, "no")
		}
		return tasks.DocumentParseResult{Text: p.Source.Text}, nil
	})
	return jobs
}

func never(string) bool { return false }

// blobYard runs a worker and a client whose blobs lie in dir, or in Redis.
func blobYard(t *testing.T, jobs Jobs, dir string) yard {
	t.Helper()
	b := brokertest.Start(t)
	blobs, err := blob.Open(b, dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Slots = map[string]int{"document_parse": 2}
	w, err := New(cfg, b, &Registry{Jobs: jobs, Blobs: blobs}, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	limits := client.DefaultConfig()
	limits.BlobDir = dir
	c, err := client.New(b, limits)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.Close()
	})
	return yard{broker: b, client: c, worker: w}
}

// blobs lists the blobs that there are.
func (y yard) blobs(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, key := range y.broker.Client().Keys(t.Context(), "jobyard:blob:{*}").Val() {
		if !strings.HasSuffix(key, ":refs") {
			all = append(all, key)
		}
	}
	return all
}

// sweepLater has the worker's sweep run as if hours had passed.
func (y yard) sweepLater(t *testing.T) {
	t.Helper()
	c := y.broker.Client()
	for _, key := range c.Keys(t.Context(), "jobyard:blob:*:refs").Val() {
		for _, name := range c.ZRange(t.Context(), key, 0, -1).Val() {
			c.ZIncrBy(t.Context(), key, -float64(48*time.Hour.Milliseconds()), name)
		}
	}
	for _, sha := range c.ZRange(t.Context(), "jobyard:{blobs}:due", 0, -1).Val() {
		c.ZAdd(t.Context(), "jobyard:{blobs}:due", redis.Z{Score: 1, Member: sha})
	}
	if _, err := y.worker.store.SweepBlobs(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestBlobs_TheLifeOfALargeTask(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"in Redis": "", "in a directory": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := blobYard(t, echoing(never), dir)
			ctx := patience(t)
			long := strings.Repeat("large ", 100_000)
			payload := tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: long}}
			got, err := client.Do(ctx, y.client, tasks.DocumentParse, payload, tasks.WithID("large"))
			if err != nil || got.Text != long {
				t.Fatalf("got %d bytes, %v, want %d", len(got.Text), err, len(long))
			}
			raw := y.broker.Client().HGet(ctx, broker.TaskKey("document_parse", "large"), "result").Val()
			if _, ok := blob.ParseMarker([]byte(raw)); !ok || !strings.Contains(raw, "in the blob store") {
				t.Errorf("got %.200q in the record, want a text that says where the result is", raw)
			}
			// The payload goes at once, without a sweep; the result stays.
			brokertest.Until(t, "only the result is left", func() bool { return len(y.blobs(t)) == 1 })
			y.sweepLater(t)
			if again, err := client.Result(ctx, y.client, tasks.DocumentParse, "large"); err != nil || again.Text != long {
				t.Errorf("after a sweep: got %d bytes, %v", len(again.Text), err)
			}
			// Its record ends, and the result with it.
			y.broker.Client().Del(ctx, broker.TaskKey("document_parse", "large"))
			y.sweepLater(t)
			if left := y.blobs(t); len(left) != 0 {
				t.Errorf("got %v, want no blob left", left)
			}
			if dir != "" {
				left, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
				if err != nil || len(left) != 0 {
					t.Errorf("got the files %v, %v, want none left", left, err)
				}
			}
		})
	}
}

func TestBlobs_ADeadLetterKeepsItsPayload(t *testing.T) {
	t.Parallel()
	ill := make(chan bool, 1)
	ill <- true
	y := blobYard(t, echoing(func(string) bool {
		select {
		case <-ill:
			return true
		default:
			return false
		}
	}), "")
	ctx := patience(t)
	long := strings.Repeat("large ", 50_000)
	payload := tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: long}}
	if _, err := client.Do(ctx, y.client, tasks.DocumentParse, payload, tasks.WithID("dead")); err == nil {
		t.Fatal("got no error")
	}
	y.sweepLater(t)
	dead, err := y.worker.store.FindDead(ctx, "dead")
	if err != nil || len(dead.Payload) < len(long) {
		t.Fatalf("got a payload of %d bytes, %v", len(dead.Payload), err)
	}
	answers, err := y.worker.store.ReplayDead(ctx, func(string) int { return 10 }, dead)
	if err = errors.Join(append(answers, err)...); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "the replayed task completes", func() bool {
		task, err := y.client.Status(ctx, "dead")
		return err != nil || task.State == tasks.Completed
	})
	if got, err := client.Result(ctx, y.client, tasks.DocumentParse, "dead"); err != nil || got.Text != long {
		t.Errorf("got %d bytes, %v", len(got.Text), err)
	}
}

// A payload that was lost is no reason to try again.
func TestBlobs_ALostPayloadIsADeadLetter(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	payload := tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: strings.Repeat("large ", 50_000)}}
	if _, err := client.Enqueue(patience(t), c, tasks.DocumentParse, payload, tasks.WithID("x")); err != nil {
		t.Fatal(err)
	}
	for _, key := range b.Client().Keys(t.Context(), "jobyard:blob:{*}").Val() {
		b.Client().Del(t.Context(), key)
	}
	startOn(t, b, 0, echoing(never), func(cfg *Config) { cfg.Slots = map[string]int{"document_parse": 1} })
	task, err := c.Wait(patience(t), "x")
	if err != nil || task.State != tasks.Archived || task.Error.Reason != tasks.ReasonNotFound {
		t.Errorf("got %+v, %v, want a dead letter, not_found", task, err)
	}
}

// Where the directory cannot be written to any more, results are kept in Redis.
func TestBlobs_AResultSurvivesAFullDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "blobs")
	y := blobYard(t, Jobs{tasks.DocumentParse.Name(): func(context.Context, []byte) ([]byte, error) {
		// As root writes anywhere, a file stands in for a folder without room.
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			return nil, err
		}
		return []byte(`{"text":"` + strings.Repeat("x", 200_000) + `"}`), nil
	}}, dir)
	got, err := client.Do(patience(t), y.client, tasks.DocumentParse, tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: "small"}})
	if err != nil || len(got.Text) != 200_000 {
		t.Errorf("got %d bytes, %v", len(got.Text), err)
	}
}

// Items of a bundle may have large results too; each becomes a task of its own
// whose record names the blob.
func TestBlobs_LargeResultsOfABundle(t *testing.T) {
	t.Parallel()
	y := blobYard(t, Jobs{tasks.DocumentParse.Name(): func(_ context.Context, raw []byte) ([]byte, error) {
		p, err := tasks.DocumentParse.Decode(raw)
		if err != nil {
			return nil, err
		}
		n := 100
		if strings.HasPrefix(p.URI, "large") {
			n = 3 << 20 // two of them are more than one page of a stream
		}
		return []byte(`{"title":"` + p.URI + `","text":"` + strings.Repeat("x", n) + `"}`), nil
	}}, "")
	uris := []string{"a", "large b", "c", "large d", "large e", "f", "g", "h"}
	var batch tasks.Batch
	for range 8 { // many enough for bundles of several
		for _, uri := range uris {
			r, err := tasks.DocumentParse.New(tasks.DocumentParsePayload{URI: uri, Source: tasks.DocumentSource{Text: "x"}})
			if err != nil {
				t.Fatal(err)
			}
			batch.Requests = append(batch.Requests, r)
		}
	}
	info, err := y.client.EnqueueBatch(patience(t), batch)
	if err != nil {
		t.Fatal(err)
	}
	finished(t, y.client, info.ID)
	y.sweepLater(t)
	all := stream(t, y.client, info.ID)
	if len(all) != len(batch.Requests) {
		t.Fatalf("got %d results, want %d", len(all), len(batch.Requests))
	}
	for i, task := range all {
		r, err := tasks.DocumentParse.Result(task)
		uri := uris[i%len(uris)]
		if want := strings.HasPrefix(uri, "large"); err != nil || r.Title != uri || (len(r.Text) > 100) != want {
			t.Fatalf("result %d: got %q with %d bytes, %v, want %q", i, r.Title, len(r.Text), err, uri)
		}
	}
	if n := len(y.blobs(t)); n != 3 { // b, d and e; equal ones are stored once
		t.Errorf("got %d blobs, want 3", n)
	}
}

// The real job, in its runner, gets the bytes from the parent.
func TestRegistry_ParsesAnUploadedDocument(t *testing.T) {
	t.Parallel()
	c, _ := openAll(t)
	ctx := patience(t)
	sha, err := c.PutBlob(ctx, strings.NewReader("# Uploaded\n\nAs a blob.\n"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := client.Do(ctx, c, tasks.DocumentParse, tasks.DocumentParsePayload{
		Source: tasks.DocumentSource{Blob: sha}, Filename: "guide.md",
	})
	if err != nil || doc.Title != "Uploaded" || doc.SHA256 != sha {
		t.Errorf("got %+v, %v", doc, err)
	}
}
