package test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// running is how many tasks a worker has in hand when it goes away.
const running = 50

// origin serves documents whose first readers wait until late is closed; each
// request is told to asked.
type origin struct {
	url   string
	asked chan struct{}
	late  chan struct{}
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{asked: make(chan struct{}, 10*running), late: make(chan struct{})}
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := requests.Add(1) <= running
		o.asked <- struct{}{}
		if !first {
			fmt.Fprint(w, "# Second\n")
			return
		}
		select {
		case <-o.late:
		case <-r.Context().Done():
		}
		fmt.Fprint(w, "# Late\n")
	}))
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

// await waits until so many requests have come.
func (o *origin) await(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	for i := range n {
		select {
		case <-o.asked:
		case <-ctx.Done():
			t.Fatalf("only %d of %d tasks started", i, n)
		}
	}
}

// A worker goes away with fifty tasks in hand: another one starts all of them
// again, within five seconds of a kill and ten of being cut off, and no retry
// is spent on that. One that comes back finds its results refused.
//
// asynq alone takes a minute, and spends a retry.
func TestYard_LostWorkersTasksRunAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		promise time.Duration
		goes    func(*testing.T, *program, *brokertest.Proxy)
		back    func(*testing.T, *program, *brokertest.Proxy) // nil: never
	}{
		{"killed", 5 * time.Second, func(t *testing.T, p *program, _ *brokertest.Proxy) { p.kill(t) }, nil},
		{"frozen", 10 * time.Second, func(t *testing.T, p *program, _ *brokertest.Proxy) { p.signal(t, syscall.SIGSTOP) },
			func(t *testing.T, p *program, _ *brokertest.Proxy) { p.signal(t, syscall.SIGCONT) }},
		{"cut off by the network", 10 * time.Second, func(_ *testing.T, _ *program, net *brokertest.Proxy) { net.Hold() },
			func(_ *testing.T, _ *program, net *brokertest.Proxy) { net.Release() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			ctx, b, o := patience(t), y.broker(), newOrigin(t)
			net := brokertest.Between(t, y.redis.URL)
			slots := []string{"--admin-listen", "127.0.0.1:0", "--slots", fmt.Sprint("document_parse=", running), "--allow-private-urls", "--isolation", "off"}
			cutOff := *y
			cutOff.redis = &broker.Embedded{URL: net.URL}
			victim := cutOff.start("worker", slots...)
			y.nodes(b, 1)
			c, err := client.New(b, client.DefaultConfig())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var ids []string
			for i := range running {
				task, err := client.Enqueue(ctx, c, tasks.DocumentParse, tasks.DocumentParsePayload{
					Source: tasks.DocumentSource{URL: fmt.Sprintf("%s/%d.md", o.url, i)}, ContentType: "text/markdown",
				}, tasks.WithMaxRetry(0), tasks.WithTimeout(time.Minute))
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, task.ID)
			}
			o.await(ctx, t, running)
			y.start("worker", slots...)
			y.nodes(b, 2)

			tt.goes(t, victim, net)
			gone := time.Now()
			o.await(ctx, t, running)
			took := time.Since(gone)
			t.Logf("all %d tasks started again after %s, promised are %s", running, took.Round(time.Millisecond), tt.promise)
			if took > 3*tt.promise { // a loaded machine may take longer than was promised
				t.Errorf("started again after %s, want %s", took, tt.promise)
			}
			before := outcomes(ctx, t, c, ids)
			if tt.back == nil {
				return
			}
			tt.back(t, victim, net)
			close(o.late)
			brokertest.Until(t, "every late result is refused", func() bool { return victim.said(t, "late attempt refused") == running })
			for id, task := range outcomes(ctx, t, c, ids) {
				if task.Node != before[id].Node || !bytes.Equal(task.Result, before[id].Result) {
					t.Errorf("a late result changed the task: got %+v, want %+v", task, before[id])
				}
			}
		})
	}
}

// outcomes waits for the tasks, and finds each one completed by its second
// start, which counts as the first attempt.
func outcomes(ctx context.Context, t *testing.T, c *client.Client, ids []string) map[string]tasks.Task {
	t.Helper()
	all := map[string]tasks.Task{}
	for _, id := range ids {
		task, err := c.Wait(ctx, id)
		if err != nil || task.State != tasks.Completed || task.Attempts != 1 {
			t.Errorf("got %+v, %v, want it completed with no retry spent", task, err)
			continue
		}
		if result, err := tasks.DocumentParse.Result(task); err != nil || !strings.Contains(result.Text, "Second") {
			t.Errorf("got %q, %v, want what the second start read", result.Text, err)
		}
		all[id] = task
	}
	return all
}

// signal sends a signal to the program.
func (p *program) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// said counts how often the program has logged a message.
func (p *program) said(t *testing.T, message string) int {
	t.Helper()
	raw, err := os.ReadFile(p.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(raw), message)
}

// A worker that is asked to stop while Redis is away does so.
func TestYard_WorkerStopsWithoutRedis(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	net := brokertest.Between(t, y.redis.URL)
	y.redis = &broker.Embedded{URL: net.URL}
	p := y.start("worker", "--admin-listen", "127.0.0.1:0")
	y.nodes(y.broker(), 1)
	net.Hold()
	start := time.Now()
	if err := p.stop(t); err != nil {
		t.Errorf("got %v, want a clean end", err)
	}
	t.Logf("it stopped after %s", time.Since(start).Round(time.Millisecond))
}
