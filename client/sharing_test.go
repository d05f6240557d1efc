package client_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// reads is how often Redis has read from a connection: once for all that came
// together.
func reads(t *testing.T, info string) int {
	t.Helper()
	_, rest, _ := strings.Cut(info, "total_reads_processed:")
	n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Callers at the same time share round trips; one alone is not kept waiting for
// others.
func TestClient_CallersAtTheSameTimeShareRoundTrips(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	watch := brokertest.Open(t, server.URL)
	cfg := client.DefaultConfig()
	cfg.QueueLimit = 100_000
	c, err := client.New(brokertest.Open(t, server.URL), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	const n = 3200
	count := func(callers int) int {
		before := reads(t, watch.Client().Info(t.Context(), "stats").Val())
		var all sync.WaitGroup
		for caller := range callers {
			all.Go(func() {
				for i := range n / callers {
					if _, err := c.Enqueue(t.Context(), query(t, fmt.Sprint(callers, caller, i))); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		return reads(t, watch.Client().Info(t.Context(), "stats").Val()) - before
	}
	alone, together := count(1), count(64)
	t.Logf("%d tasks: %d reads for one caller, %d for 64", n, alone, together)
	if alone < n {
		t.Errorf("one caller: got %d reads for %d tasks, want one each", alone, n)
	}
	if together > n/2 {
		t.Errorf("64 callers: got %d reads for %d tasks, want them shared", together, n)
	}
}

// However many wait, a process subscribes once to the end of tasks.
func TestClient_WaitsShareOneSubscription(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	c := doors(t, server.URL, 1)[0]
	watch := brokertest.Open(t, server.URL)
	subscribed := func() int64 {
		return watch.Client().PubSubNumSub(t.Context(), "jobyard:done").Val()["jobyard:done"]
	}
	connections := func() int {
		return strings.Count(watch.Client().Do(t.Context(), "client", "list", "type", "pubsub").String(), "id=")
	}
	brokertest.Until(t, "the client listens", func() bool { return subscribed() == 1 })
	before := connections()
	const n = 200
	ids := make([]string, n)
	for i := range ids {
		task, err := c.Enqueue(t.Context(), query(t, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = task.ID
	}
	var waits sync.WaitGroup
	for _, id := range ids {
		waits.Go(func() {
			if got, err := c.Wait(t.Context(), id); err != nil || got.State != tasks.Canceled {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	other := doors(t, server.URL, 1)[0] // which subscribes as well
	brokertest.Until(t, "the other client listens", func() bool { return subscribed() == 2 })
	both := 2 * before
	for _, id := range ids {
		if _, err := other.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if n, now := subscribed(), connections(); n != 2 || now > both {
			t.Fatalf("got %d subscriptions on %d connections, want 2 on %d at most", n, now, both)
		}
	}
	waits.Wait()
}
