package monitor

import (
	"bytes"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// testYard is a Redis of its own with a monitor on it, whose clock the test
// turns.
type testYard struct {
	tb      testing.TB
	broker  *broker.Broker
	client  *client.Client
	monitor *Monitor
	log     *bytes.Buffer
	clock   time.Time
}

func newYard(tb testing.TB, change ...func(*Config)) *testYard {
	tb.Helper()
	return openYard(tb, brokertest.Start(tb), change...)
}

func openYard(tb testing.TB, b *broker.Broker, change ...func(*Config)) *testYard {
	tb.Helper()
	cfg := DefaultConfig()
	for _, c := range change {
		c(&cfg)
	}
	y := &testYard{tb: tb, broker: b, log: &bytes.Buffer{}, clock: time.Now()}
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	y.client = c
	m, err := New(cfg, b, zerolog.New(y.log))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	m.now = func() time.Time { return y.clock }
	y.monitor = m
	return y
}

// sample moves the clock on and looks once.
func (y *testYard) sample(later time.Duration) *Overview {
	y.tb.Helper()
	y.clock = y.clock.Add(later)
	y.monitor.sample(y.tb.Context())
	return y.monitor.latest.Load()
}

// node writes the heartbeat of a healthy node as of now.
func (y *testYard) node(id string, change ...func(*broker.Node)) {
	y.tb.Helper()
	n := broker.Node{
		ID: id, Host: "host-" + id, PID: 4711, Version: "1.0.0", State: "running", Isolation: "full",
		StartedAt: y.clock.Add(-time.Hour), SeenAt: y.clock,
		RSS: 100 << 20, HeapLive: 40 << 20, MemoryLimit: 512 << 20, Goroutines: 50, CPUPercent: 12.5, OpenFiles: 30,
		Kinds: map[string]broker.NodeKind{},
	}
	for _, k := range tasks.KindNames() {
		n.Kinds[k] = broker.NodeKind{Slots: 2}
	}
	for _, c := range change {
		c(&n)
	}
	if err := y.broker.PutNode(y.tb.Context(), n); err != nil {
		y.tb.Fatal(err)
	}
}

// request is a small task of a kind.
func request(tb testing.TB, kind string, opts ...tasks.Option) tasks.Request {
	tb.Helper()
	var r tasks.Request
	var err error
	switch kind {
	case "search":
		r, err = tasks.Search.New(tasks.SearchPayload{Query: "camera permission"}, opts...)
	case "sdk_fetch":
		r, err = tasks.SDKFetch.New(tasks.SDKFetchPayload{Ecosystem: "npm", Name: "expo-camera"}, opts...)
	case "config_gen":
		r, err = tasks.ConfigGen.New(tasks.ConfigGenPayload{Template: "expo-app"}, opts...)
	default:
		r, err = tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: "# Camera"}}, opts...)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// enqueue hands n small tasks over.
func (y *testYard) enqueue(kind string, n int, opts ...tasks.Option) {
	y.tb.Helper()
	all := make([]tasks.Request, n)
	for i := range all {
		all[i] = request(y.tb, kind, opts...)
	}
	answers, err := y.client.EnqueueAll(y.tb.Context(), all)
	if err != nil {
		y.tb.Fatal(err)
	}
	for _, a := range answers {
		if a.Err != nil {
			y.tb.Fatal(a.Err)
		}
	}
}
