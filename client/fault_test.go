package client_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// doors opens n clients as n processes would have them.
func doors(t *testing.T, url string, n int) []*client.Client {
	t.Helper()
	all := make([]*client.Client, n)
	for i := range all {
		c, err := client.New(brokertest.Open(t, url), client.DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		all[i] = c
	}
	return all
}

func query(t *testing.T, text string, options ...tasks.Option) tasks.Request {
	t.Helper()
	r, err := tasks.Search.New(tasks.SearchPayload{Query: text}, options...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestClient_EqualSubmitsAreOneTask(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	clients := doors(t, server.URL, 4)
	equal, other := query(t, "same", tasks.WithID("same")), query(t, "other", tasks.WithID("same"))
	var conflicts atomic.Int32
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			<-start
			got, err := clients[i%4].Enqueue(t.Context(), equal)
			if err != nil || got.ID != "same" || got.State != tasks.Pending {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	close(start)
	all.Wait()
	if _, err := clients[0].Enqueue(t.Context(), other); errors.As(err, new(*client.ConflictError)) {
		conflicts.Add(1)
	}
	b := brokertest.Open(t, server.URL)
	if n := b.Client().LLen(t.Context(), broker.QueueKey("search", "pending")).Val(); n != 1 || conflicts.Load() != 1 {
		t.Errorf("got %d tasks and %d conflicts, want 1 and 1", n, conflicts.Load())
	}
}

func TestClient_LimitHoldsForManyProducers(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	clients := doors(t, server.URL, 8)
	var queued, refused atomic.Int32
	var all sync.WaitGroup
	for p := range 64 {
		all.Go(func() {
			for i := range 12 {
				_, err := clients[p%8].Enqueue(t.Context(), query(t, fmt.Sprint(p, i)))
				var full *client.FullError
				switch {
				case err == nil:
					queued.Add(1)
				case errors.As(err, &full) && full.RetryAfter > 0 && full.Limit == 500:
					refused.Add(1)
				default:
					t.Errorf("got %v", err)
				}
			}
		})
	}
	all.Wait()
	b := brokertest.Open(t, server.URL)
	if n := b.Client().LLen(t.Context(), broker.QueueKey("search", "pending")).Val(); n != 500 || queued.Load() != 500 || refused.Load() != 64*12-500 {
		t.Errorf("got %d tasks, %d queued, %d refused; want 500, 500, %d", n, queued.Load(), refused.Load(), 64*12-500)
	}
}

// A call whose answer is lost is sent again: the task is there already.
func TestClient_LostAnswerMakesNoSecondTask(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	proxy := brokertest.Between(t, server.URL)
	c := doors(t, proxy.URL, 1)[0]
	if _, err := c.Enqueue(t.Context(), query(t, "first")); err != nil { // the script is known from now on
		t.Fatal(err)
	}
	for name, options := range map[string][]tasks.Option{"an id of its own": nil, "the caller's id": {tasks.WithID("mine")}} {
		proxy.LoseAnswers(name, 1)
		got, err := c.Enqueue(t.Context(), query(t, name, options...))
		if err != nil || got.State != tasks.Pending || !proxy.Lost() {
			t.Errorf("%s: got %+v, %v, want the task, after a lost answer", name, got, err)
		}
	}
	b := brokertest.Open(t, server.URL)
	if n := b.Client().LLen(t.Context(), broker.QueueKey("search", "pending")).Val(); n != 3 {
		t.Errorf("got %d tasks, want 3", n)
	}
}

// Every way in which Redis can be away is told within five seconds, however
// many callers there are, and is over as soon as Redis is back.
func TestClient_EveryCallerHearsThatRedisIsAway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		away func(*brokertest.Redis) error
		back func(*testing.T, *brokertest.Redis) error
	}{
		{"silent", (*brokertest.Redis).Freeze, func(_ *testing.T, r *brokertest.Redis) error { return r.Thaw() }},
		{"dead", func(r *brokertest.Redis) error { r.Kill(); return nil }, func(t *testing.T, r *brokertest.Redis) error { return r.Start(t.Context()) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := brokertest.Faulty(t)
			c := doors(t, server.URL, 1)[0]
			if _, err := c.Enqueue(t.Context(), query(t, "before")); err != nil {
				t.Fatal(err)
			}
			if err := tt.away(server); err != nil {
				t.Fatal(err)
			}
			var slowest atomic.Int64
			var all sync.WaitGroup
			for i := range 64 {
				all.Go(func() {
					start := time.Now()
					_, err := c.Enqueue(t.Context(), query(t, fmt.Sprint(i)))
					took := time.Since(start)
					var away *client.UnavailableError
					if !errors.As(err, &away) || away.Hint == "" {
						t.Errorf("got %v, want an UnavailableError", err)
					}
					for old := slowest.Load(); int64(took) > old && !slowest.CompareAndSwap(old, int64(took)); old = slowest.Load() {
					}
				})
			}
			all.Wait()
			took := time.Duration(slowest.Load())
			t.Logf("the last of 64 callers heard it after %s", took.Round(time.Millisecond))
			// The promise is 5 s; a loaded machine may add to it.
			if took > 7*time.Second {
				t.Errorf("told after %s, want 5s", took)
			}
			if err := tt.back(t, server); err != nil {
				t.Fatal(err)
			}
			brokertest.Until(t, "tasks are taken again", func() bool {
				_, err := c.Enqueue(t.Context(), query(t, "after"))
				return err == nil
			})
		})
	}
}
