package monitor

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/monitor/notify"
)

func TestTell_OneOfSeveralMonitorsSpeaks(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	told := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var got struct{ Alerts []notify.Notice }
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, n := range got.Alerts {
			word := n.Rule + " " + n.Level
			if n.Resolved {
				word = n.Rule + " over"
			}
			told[word]++
		}
	}))
	defer server.Close()
	webhook := func(c *Config) { c.Alerts.Webhook = server.URL }
	b := brokertest.Start(t)
	yards := []*testYard{openYard(t, b, webhook), openYard(t, b, webhook)}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, y := range yards {
		running.Go(func() { y.monitor.teller.to.Run(ctx) })
	}
	defer running.Wait()
	defer cancel()
	yards[0].node("n1")
	yards[0].enqueue("search", 500)
	both := func() {
		for _, y := range yards {
			y.sample(time.Second)
		}
	}
	heard := func(word string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return told[word] > 0
		}
	}
	both()
	for _, y := range yards {
		y.clock = y.clock.Add(patience)
	}
	both()
	brokertest.Until(t, "the webhook hears of the full queue", heard("queue_limit bad"))
	b.Client().Del(t.Context(), "asynq:{search}:pending")
	both()
	brokertest.Until(t, "the webhook hears that it is over", heard("queue_limit over"))
	mu.Lock()
	defer mu.Unlock()
	for word, n := range told {
		if n != 1 {
			t.Errorf("%s was told %d times, want once", word, n)
		}
	}
}
