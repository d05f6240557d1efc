package worker

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/isolation"
	"github.com/jobyard/jobyard/tasks"
)

// The test binary is its own runner.
func TestMain(m *testing.M) {
	if code, is := ServeRunner(os.Args[1:]); is {
		os.Exit(code)
	}
	if len(os.Args) == 2 && os.Args[1] == oddCommand {
		os.Exit(isolation.Serve(isolation.Table{oddFunc: isolation.Handle(odd)}))
	}
	os.Exit(m.Run())
}

// openAll runs a worker with the real jobs of every kind.
func openAll(t *testing.T) (*client.Client, *Worker) {
	t.Helper()
	b := brokertest.Start(t)
	metrics := prometheus.NewRegistry()
	r, err := OpenRegistry(t.Context(), DefaultRegistryConfig(), b, zerolog.Nop(), metrics)
	if err != nil {
		t.Fatal(err)
	}
	w, err := New(DefaultConfig(), b, r, zerolog.Nop(), metrics)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- r.Run(ctx) }()
	go func() { ended <- w.Run(ctx) }()
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		c.Close()
	})
	return c, w
}

func TestRegistry_ParsedDocumentIsFound(t *testing.T) {
	t.Parallel()
	c, w := openAll(t)
	ctx := patience(t)
	doc, err := client.Do(ctx, c, tasks.DocumentParse, tasks.DocumentParsePayload{
		Source: tasks.DocumentSource{Text: "# Camera\n\nTake pictures.\n\n## Permissions\n\nAsk before you use the viewfinder.\n"},
		URI:    "guide/camera.md", ContentType: "text/markdown", Index: true,
	}, tasks.WithID("doc"))
	if err != nil || doc.Title != "Camera" || len(doc.Sections) < 2 || doc.Token == "" {
		t.Fatalf("got %+v, %v", doc, err)
	}
	found, err := client.Do(ctx, c, tasks.Search, tasks.SearchPayload{Query: "viewfindr", MinToken: doc.Token})
	if err != nil || found.Stale || len(found.Hits) == 0 || found.Hits[0].Document != "guide/camera.md" || found.Hits[0].Heading != "Permissions" {
		t.Errorf("got %+v, %v, want the section despite the typo", found, err)
	}
	task, err := c.Status(ctx, "doc")
	if err != nil || task.PeakMemory <= 0 {
		t.Errorf("got %+v, %v, want the peak memory of its runner", task, err)
	}
	if n := w.Node(); n.Isolation == "none" || len(n.Runners) < 3 {
		t.Errorf("got isolation %s and runners %+v, want runners of three kinds", n.Isolation, n.Runners)
	}
}

func TestRegistry_ConfigIsGenerated(t *testing.T) {
	t.Parallel()
	c, _ := openAll(t)
	got, err := client.Do(patience(t), c, tasks.ConfigGen, tasks.ConfigGenPayload{
		Template: "docker-compose", Parameters: []byte(`{"services":{"web":{"image":"nginx:1"}}}`),
	})
	if err != nil || !got.Valid || len(got.Files) == 0 || !strings.Contains(got.Files[0].Content, "nginx:1") {
		t.Errorf("got %+v, %v", got, err)
	}
	// What a runner refuses names the field, as everywhere.
	task, err := c.Do(patience(t), mustRequest(t, tasks.ConfigGen, tasks.ConfigGenPayload{Template: "docker-compose", Parameters: []byte(`{"services":5}`)}))
	if err != nil || task.Error == nil || task.Error.Reason != tasks.ReasonInvalid || task.Error.Fields[0].Path != "payload.parameters.services" {
		t.Errorf("got %+v, %v, want it invalid", task, err)
	}
}

func TestRegistry_FetchWithoutARegistrySaysWhatToSet(t *testing.T) {
	t.Parallel()
	c, _ := openAll(t)
	task, err := c.Do(patience(t), mustRequest(t, tasks.SDKFetch, tasks.SDKFetchPayload{Ecosystem: "go", Name: "example.test/greeter"}))
	if err != nil || task.Error == nil || task.Error.Reason != tasks.ReasonRejected || !strings.Contains(task.Error.Message, "GOPROXY") {
		t.Errorf("got %+v, %v, want it rejected with the setting's name", task, err)
	}
}

func mustRequest[P tasks.Payload, R any](t *testing.T, kind tasks.Kind[P, R], p P) tasks.Request {
	t.Helper()
	r, err := kind.New(p, tasks.WithTimeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return r
}
