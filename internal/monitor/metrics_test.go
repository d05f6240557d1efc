package monitor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// scrape reads /metrics as Prometheus does.
func (y *testYard) scrape() map[string]*dto.MetricFamily {
	y.tb.Helper()
	w := httptest.NewRecorder()
	y.monitor.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		y.tb.Fatalf("scrape: got %d: %s", w.Code, w.Body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		y.tb.Fatal(err)
	}
	return families
}

// value finds one sample by its labels, written as name=value.
func value(families map[string]*dto.MetricFamily, name string, labels ...string) (float64, bool) {
	for _, m := range families[name].GetMetric() {
		matches := len(m.GetLabel()) == len(labels)
		for _, l := range m.GetLabel() {
			found := false
			for _, want := range labels {
				found = found || l.GetName()+"="+l.GetValue() == want
			}
			matches = matches && found
		}
		if matches {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue(), true
		}
	}
	return 0, false
}

func TestMetrics_AreTheContracts(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enqueue("search", 3)
	y.enqueue("search", 2, tasks.WithDelay(time.Hour))
	y.enqueue("config_gen", 4, tasks.WithQueue("bulk"))
	y.node("n1", func(n *broker.Node) {
		n.RSS, n.HeapLive, n.MemoryLimit, n.Budget.Rest = 300, 200, 400, 0.5
		n.Leaks = []broker.NodeLeak{{Kind: "config_gen", Suspected: true, PerMinute: 5000}, {Kind: "worker"}, {Kind: "a stranger", Suspected: true}}
	})
	y.node("n2", func(n *broker.Node) { n.SeenAt = n.SeenAt.Add(-time.Minute) })
	y.node("n3", func(n *broker.Node) { n.MemoryLimit = 0 })
	y.clock = y.clock.Add(2 * time.Second)
	families := y.scrape()
	for _, tt := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"jobyard_monitor_redis_up", nil, 1},
		{"jobyard_queue_tasks", []string{"queue=search", "state=pending"}, 3},
		{"jobyard_queue_tasks", []string{"queue=search", "state=scheduled"}, 2},
		{"jobyard_queue_tasks", []string{"queue=search", "state=archived"}, 0},
		{"jobyard_queue_tasks", []string{"queue=config_gen:bulk", "state=pending"}, 4},
		{"jobyard_queue_limit", []string{"queue=config_gen:bulk"}, 50000},
		{"jobyard_queue_oldest_seconds", []string{"queue=sdk_fetch"}, 0},
		{"jobyard_node_memory_bytes", []string{"node=n1", "part=rss"}, 300},
		{"jobyard_node_memory_bytes", []string{"node=n1", "part=heap_live"}, 200},
		{"jobyard_node_memory_bytes", []string{"node=n1", "part=limit"}, 400},
		{"jobyard_node_slot_rest_ratio", []string{"node=n1"}, 0.5},
		{"jobyard_node_slot_rest_ratio", []string{"node=n3"}, 0},
		{"jobyard_node_up", []string{"node=n1"}, 1},
		{"jobyard_node_up", []string{"node=n2"}, 0},
		{"jobyard_leak_suspected", []string{"node=n1", "kind=config_gen"}, 1},
		{"jobyard_leak_slope_bytes_per_minute", []string{"node=n1", "kind=config_gen"}, 5000},
		{"jobyard_leak_suspected", []string{"node=n1", "kind=worker"}, 0},
		{"jobyard_redis_may_evict", nil, 0},
		{"jobyard_redis_pool_timeouts", nil, 0},
	} {
		if got, ok := value(families, tt.name, tt.labels...); !ok || got != tt.want {
			t.Errorf("%s%v: got %g (there: %v), want %g", tt.name, tt.labels, got, ok, tt.want)
		}
	}
	for _, name := range []string{"jobyard_redis_pool_total", "jobyard_redis_pool_idle", "jobyard_redis_pool_waits", "jobyard_redis_pool_stale", "go_goroutines", "process_open_fds"} {
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if _, ok := value(families, "jobyard_node_memory_bytes", "node=n2", "part=rss"); ok {
		t.Error("the memory of a silent node is still told")
	}
	if _, ok := value(families, "jobyard_node_memory_bytes", "node=n3", "part=limit"); ok {
		t.Error("a limit is told of a node that has none")
	}
	if got := len(families["jobyard_leak_suspected"].GetMetric()); got != 2 {
		t.Errorf("jobyard_leak_suspected: got %d samples, want those of known kinds alone", got)
	}
	if got, want := len(families["jobyard_queue_tasks"].GetMetric()), 8*6; got != want {
		t.Errorf("jobyard_queue_tasks: got %d samples, want %d", got, want)
	}
}

func TestMetrics_NodesAreBounded(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	for i := range maxNodes + 30 {
		y.node(fmt.Sprintf("n%03d", i))
	}
	families := y.scrape()
	if got := len(families["jobyard_node_up"].GetMetric()); got != maxNodes {
		t.Errorf("got %d nodes, want %d", got, maxNodes)
	}
	if got, _ := value(families, "jobyard_monitor_hidden_nodes"); got != 30 {
		t.Errorf("got %g hidden nodes, want 30", got)
	}
	y.clock = y.clock.Add(time.Second)
	y.node("n007") // beats again: the same nodes stay
	if _, ok := value(y.scrape(), "jobyard_node_up", "node=n199"); !ok {
		t.Error("a heartbeat changed which nodes are shown")
	}
}

func TestMetrics_HostileNames(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	evil := "<script>alert(1)</script>\x1b[31m\"\n\\ \u202e" + strings.Repeat("x", 500)
	y.node(evil)
	// Two keys with the same name inside, and one that is no heartbeat at all.
	ctx, c := t.Context(), y.broker.Client()
	raw, err := c.Get(ctx, "jobyard:node:"+evil).Result()
	if err != nil {
		t.Fatal(err)
	}
	c.Set(ctx, "jobyard:node:twin", raw, 0)
	c.Set(ctx, "jobyard:node:junk", "\xff\xfe{", 0)
	c.ZAdd(ctx, "jobyard:nodes", z("twin"), z("junk"))
	families := y.scrape()
	up := families["jobyard_node_up"].GetMetric()
	if len(up) != 1 {
		t.Fatalf("got %d nodes, want the one", len(up))
	}
	name := up[0].GetLabel()[0].GetValue()
	if strings.ContainsAny(name, "\x1b\n\u202e") || len([]rune(name)) > maxName+1 {
		t.Errorf("got the name %q, want it bounded and printable", name)
	}
}

func TestMetrics_RedisAway(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	y := openYard(t, r.open(t))
	r.stop()
	families := y.scrape()
	if got, ok := value(families, "jobyard_monitor_redis_up"); !ok || got != 0 {
		t.Errorf("got redis_up %g (there: %v), want 0", got, ok)
	}
	if families["go_goroutines"] == nil || families["jobyard_redis_pool_total"] == nil {
		t.Error("what needs no Redis is missing")
	}
	if families["jobyard_queue_tasks"] != nil {
		t.Error("queues are told although Redis is away")
	}
}

func TestMetrics_RedisHangs(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	y := openYard(t, r.open(t))
	if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if got, ok := value(y.scrape(), "jobyard_monitor_redis_up"); !ok || got != 0 {
		t.Errorf("got redis_up %g (there: %v), want 0", got, ok)
	}
}

// What Prometheus is told of a Redis that would drop tasks.
func TestMetrics_RedisMayEvict(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	for _, tt := range []struct {
		policy, most string
		want         float64
	}{{"allkeys-lru", "0", 0}, {"allkeys-lru", "1gb", 1}, {"noeviction", "1gb", 0}} {
		for name, value := range map[string]string{"maxmemory": tt.most, "maxmemory-policy": tt.policy} {
			if err := y.broker.Client().ConfigSet(t.Context(), name, value).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if got, ok := value(y.scrape(), "jobyard_redis_may_evict"); !ok || got != tt.want {
			t.Errorf("%s at %s: got %g, %v, want %g", tt.policy, tt.most, got, ok, tt.want)
		}
	}
}
