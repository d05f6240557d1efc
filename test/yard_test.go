package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/localregistry"
	"github.com/jobyard/jobyard/tasks"
)

// registry serves the example packages on loopback.
func registry(t *testing.T) (env []string) {
	t.Helper()
	r, err := localregistry.New(localregistry.Example())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return []string{
		"GOPROXY=" + server.URL + localregistry.GoPath, "GOSUMDB=" + r.SumDB(),
		"NPM_CONFIG_REGISTRY=" + server.URL + localregistry.NPMPath,
	}
}

// mixed is a batch file with n lines of all four kinds.
func mixed(n int) []byte {
	var file bytes.Buffer
	for i := range n {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&file, `{"kind":"document_parse","payload":{"source":{"text":"# Page %d\n\nSome words about number %d.\n"},"uri":"p/%d.md","content_type":"text/markdown","index":true}}`, i, i, i)
		case 1:
			fmt.Fprintf(&file, `{"kind":"search","payload":{"query":"number %d"}}`, i)
		case 2:
			fmt.Fprintf(&file, `{"kind":"config_gen","payload":{"template":"docker-compose","parameters":{"services":{"web%d":{"image":"nginx:1"}}}}}`, i)
		case 3:
			file.WriteString(`{"kind":"sdk_fetch","payload":{"ecosystem":"go","name":"example.test/greeter"}}`)
		}
		file.WriteByte('\n')
	}
	return file.Bytes()
}

// batch runs a batch file through the producer and returns its answers.
func (y *yard) batch(ctx context.Context, file []byte, args ...string) []tasks.Task {
	y.t.Helper()
	cmd := y.command(ctx, "producer", append([]string{"batch"}, append(args, "-")...)...)
	cmd.Stdin = bytes.NewReader(file)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		y.t.Errorf("producer batch: %v\n%s", err, said.String())
	}
	var all []tasks.Task
	lines := bufio.NewScanner(&out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var task tasks.Task
		if err := json.Unmarshal(lines.Bytes(), &task); err != nil {
			y.t.Fatalf("line %d: %v: %.200s", len(all)+1, err, lines.Text())
		}
		all = append(all, task)
	}
	return all
}

func (y *yard) broker() *broker.Broker { return brokertest.Open(y.t, y.redis.URL) }

// nodes waits until so many workers are up.
func (y *yard) nodes(b *broker.Broker, n int) {
	y.t.Helper()
	brokertest.Until(y.t, fmt.Sprintf("%d workers are up", n), func() bool {
		nodes, err := b.Nodes(y.t.Context())
		up := 0
		for _, node := range nodes {
			if node.Up(time.Now()) {
				up++
			}
		}
		return err == nil && up == n
	})
}

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// One producer, two workers and a monitor do 200 mixed tasks; one of the
// workers is stopped in the middle.
func TestYard_StoppedWorkerLosesNothing(t *testing.T) {
	t.Parallel()
	y := newYard(t, registry(t)...)
	ctx := patience(t)
	first := y.start("worker", "--admin-listen", "127.0.0.1:0")
	y.start("worker", "--admin-listen", "127.0.0.1:0")
	y.start("monitor", "--listen", "127.0.0.1:0")
	b := y.broker()
	y.nodes(b, 2)

	store, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	stopped := make(chan error, 1)
	go func() {
		for ctx.Err() == nil && done(ctx, store) < 40 {
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
		stopped <- first.stop(t)
	}()
	const n = 200
	answers := y.batch(ctx, mixed(n))
	if err := <-stopped; err != nil {
		t.Errorf("the stopped worker ended with %v", err)
	}
	check(t, answers, n)
}

// done counts the attempts that have ended.
func done(ctx context.Context, c *client.Client) int64 {
	queues, err := c.Queues(ctx)
	if err != nil {
		return 0
	}
	var n int64
	for _, q := range queues {
		n += q.Processed
	}
	return n
}

func check(t *testing.T, answers []tasks.Task, n int) {
	t.Helper()
	if len(answers) != n {
		t.Fatalf("got %d answers, want %d", len(answers), n)
	}
	kinds := []string{"document_parse", "search", "config_gen", "sdk_fetch"}
	ids := map[string]bool{}
	for i, a := range answers {
		if a.State != tasks.Completed || len(a.Result) == 0 || a.Kind != kinds[i%4] {
			t.Errorf("answer %d: got kind %s, state %s, error %v", i, a.Kind, a.State, a.Error)
		}
		ids[a.ID] = true
	}
	if len(ids) != n {
		t.Errorf("got %d ids, want %d", len(ids), n)
	}
}

func TestYard_MonitorShowsTheWorkers(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.start("worker", "--admin-listen", "127.0.0.1:0")
	y.nodes(y.broker(), 1)
	out, err := y.command(patience(t), "monitor", "status").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "document_parse") {
		t.Errorf("got %v:\n%s", err, out)
	}
}
