package monitor

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/worker"
	"github.com/jobyard/jobyard/tasks"
)

func TestMain(m *testing.M) {
	// Runners are this program, started again.
	if code, is := worker.ServeRunner(os.Args[1:]); is {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// realYard is a yard with workers that work, producers that hand over, and a
// monitor that looks.
type realYard struct {
	t       *testing.T
	broker  *broker.Broker
	client  *client.Client
	monitor *Monitor
	home    string
	// metrics is where the first worker's metrics are.
	metrics string
	workers []*worker.Worker
}

// openRealYard starts a yard with load on it. It ends with the test.
func openRealYard(t *testing.T, workers int, change ...func(*Config)) *realYard {
	t.Helper()
	return openRealYardOn(t, brokertest.Start(t), workers, change...)
}

func openRealYardOn(t *testing.T, b *broker.Broker, workers int, change ...func(*Config)) *realYard {
	t.Helper()
	y := &realYard{t: t, broker: b}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	var err error
	if y.client, err = client.New(y.broker, client.DefaultConfig()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { y.client.Close() })
	for i := range workers {
		y.work(ctx, &running, i)
	}
	cfg := DefaultConfig()
	cfg.SampleEvery = time.Second
	for _, c := range change {
		c(&cfg)
	}
	if y.monitor, err = New(cfg, y.broker, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	running.Go(func() { y.monitor.Run(ctx) }) //nolint:errcheck // ends only with ctx
	server := httptest.NewServer(y.monitor.Handler())
	y.home = server.URL
	t.Cleanup(server.Close)
	t.Cleanup(func() { y.monitor.Close() })
	running.Go(func() { y.feed(ctx) })
	brokertest.Until(t, "the yard works", func() bool {
		o := y.monitor.latest.Load()
		return o != nil && o.Total.NodesUp == workers && o.Total.PerSecond > 0
	})
	return y
}

func (y *realYard) work(ctx context.Context, running *sync.WaitGroup, i int) {
	y.t.Helper()
	metrics := prometheus.NewRegistry()
	rc := worker.DefaultRegistryConfig()
	rc.DataDir = y.t.TempDir()
	rc.Slots = map[string]int{"search": 1, "config_gen": 1, "document_parse": 1, "sdk_fetch": 1}
	jobs, err := worker.OpenRegistry(ctx, rc, y.broker, zerolog.Nop(), metrics)
	if err != nil {
		y.t.Fatal(err)
	}
	cfg := worker.DefaultConfig()
	cfg.Slots, cfg.DrainTimeout = rc.Slots, time.Second
	w, err := worker.New(cfg, y.broker, jobs, zerolog.Nop(), metrics)
	if err != nil {
		y.t.Fatal(err)
	}
	y.workers = append(y.workers, w)
	running.Go(func() {
		defer jobs.Close()
		var library sync.WaitGroup
		library.Go(func() { jobs.Run(ctx) }) //nolint:errcheck // ends only with ctx
		w.Run(ctx)                           //nolint:errcheck // a worker that fails gets nothing done, which the tests see
		library.Wait()
	})
	if i == 0 {
		server := httptest.NewServer(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
		y.metrics = strings.TrimPrefix(server.URL, "http://")
		y.t.Cleanup(server.Close)
	}
}

// feed hands tasks over until ctx ends: some wait, some fail for good.
func (y *realYard) feed(ctx context.Context) {
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		text := fmt.Sprintf("# Camera %d\n\n%s", i, strings.Repeat("Ask for the permission, then open the camera. ", 200))
		y.hand(tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: text}, Index: i%10 == 0, URI: fmt.Sprintf("doc:%d", i), Collection: "docs"}))
		y.hand(tasks.Search.New(tasks.SearchPayload{Query: "camera permission", Limit: 5}))
		if i%4 == 0 {
			y.hand(tasks.ConfigGen.New(tasks.ConfigGenPayload{Template: "dotenv", Parameters: []byte(`{"variables":[{"name":"PORT","value":"8080"},{"name":"DB_PASSWORD","value":"hunter22"}]}`)}))
		}
		if i%20 == 0 {
			y.hand(tasks.ConfigGen.New(tasks.ConfigGenPayload{Template: "no-such-template"}))
			y.hand(tasks.Search.New(tasks.SearchPayload{Query: "later"}, tasks.WithDelay(time.Hour)))
			y.hand(tasks.SDKFetch.New(tasks.SDKFetchPayload{Ecosystem: "npm", Name: "expo-camera"}, tasks.WithMaxRetry(0)))
		}
	}
}

func (y *realYard) hand(r tasks.Request, err error) {
	if err == nil {
		_, err = y.client.Enqueue(context.Background(), r)
	}
	if err != nil && !strings.Contains(err.Error(), "is full") {
		y.t.Errorf("hand over: %v", err)
	}
}

// dead waits for a dead letter and returns its id.
func (y *realYard) dead() string {
	y.t.Helper()
	id := ""
	brokertest.Until(y.t, "a task fails for good", func() bool {
		p, err := y.monitor.store.DeadPage(y.t.Context(), tasks.DeadFilter{}, "", 1)
		if err == nil && len(p.Letters) > 0 {
			id = p.Letters[0].ID
		}
		return id != ""
	})
	return id
}
