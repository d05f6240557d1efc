package webhooks_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/internal/webhooks"
	"github.com/jobyard/jobyard/tasks"
)

const master = "0123456789abcdef0123456789abcdef"

type scene struct {
	broker *broker.Broker
	client *client.Client
	store  *webhooks.Store
	log    *strings.Builder
	mu     sync.Mutex
}

// Write collects what is logged.
func (s *scene) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func open(t *testing.T) *scene {
	t.Helper()
	b := brokertest.Start(t)
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &scene{broker: b, client: c, store: webhooks.New(b), log: &strings.Builder{}}
}

// deliver runs a deliverer until stop is called or the test ends.
func (s *scene) deliver(t *testing.T, private bool, attempts int) (stop func()) {
	t.Helper()
	d := s.store.NewDeliverer(webhooks.Config{
		Master: webhooks.Master(master), AllowPrivate: private, DoneChannel: results.DoneChannel, Task: s.client.Status, Batch: s.client.Batch,
		NotFound: func(err error) bool { return errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrNoBatch) },
		Log:      zerolog.New(s), Registry: prometheus.NewRegistry(),
	})
	d.Hasten(attempts)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}

// call is what an endpoint received.
type call struct {
	id, timestamp, signature string
	trace                    string
	body                     []byte
}

func endpoint(t *testing.T, answer func(n int64) int) (url string, calls chan call) {
	t.Helper()
	calls = make(chan call, 100)
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- call{r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), r.Header.Get("Webhook-Signature"), r.Header.Get("Traceparent"), body}
		w.WriteHeader(answer(n.Add(1)))
	}))
	t.Cleanup(server.Close)
	return server.URL, calls
}

func (s *scene) add(t *testing.T, url string) webhooks.Endpoint {
	t.Helper()
	e, err := s.store.Put(t.Context(), webhooks.Endpoint{Name: "shop", URL: url}, true)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func receive(t *testing.T, calls chan call) call {
	t.Helper()
	select {
	case c := <-calls:
		return c
	case <-time.After(20 * time.Second):
		t.Fatal("no call within 20s")
		return call{}
	}
}

func (s *scene) enqueue(t *testing.T, id string) {
	t.Helper()
	_, err := client.Enqueue(t.Context(), s.client, tasks.Search, tasks.SearchPayload{Query: "x"}, tasks.WithID(id), tasks.WithWebhook("shop"))
	if err != nil {
		t.Fatal(err)
	}
}

func (s *scene) cancel(t *testing.T, id string) {
	t.Helper()
	if _, err := s.client.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// TestDelivery checks a call as its receiver does, by the published scheme.
func TestDelivery(t *testing.T) {
	t.Parallel()
	s := open(t)
	url, calls := endpoint(t, func(int64) int { return 204 })
	e := s.add(t, url+"/hook?x=1")
	s.deliver(t, true, 3)
	s.enqueue(t, "a")
	s.cancel(t, "a")
	got := receive(t, calls)
	secret := webhooks.Master(master).Secret(e)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) != 32 {
		t.Fatalf("got secret %s, %v", secret, err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", got.id, got.timestamp, got.body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); got.signature != want {
		t.Errorf("got signature %s, want %s", got.signature, want)
	}
	var event webhooks.Event
	if err := json.Unmarshal(got.body, &event); err != nil || event.Type != "task.canceled" || event.Task == nil || event.Task.ID != "a" {
		t.Errorf("got %s, %v", got.body, err)
	}
	brokertest.Until(t, "nothing is left", func() bool {
		left, err := s.broker.Client().Keys(t.Context(), "jobyard:{webhooks}:*").Result()
		return err == nil && len(left) == 1 // the endpoint
	})
	for _, key := range []string{"jobyard:{webhooks}:endpoints"} {
		all, err := s.broker.Client().HGetAll(t.Context(), key).Result()
		if err != nil || strings.Contains(fmt.Sprint(all), secret[6:]) || strings.Contains(fmt.Sprint(all), master) {
			t.Errorf("got %v, %v: Redis has a secret", all, err)
		}
	}
}

func TestDelivery_OfABatch(t *testing.T) {
	t.Parallel()
	s := open(t)
	url, calls := endpoint(t, func(int64) int { return 200 })
	s.add(t, url)
	s.deliver(t, true, 3)
	r, err := tasks.Search.New(tasks.SearchPayload{Query: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.EnqueueBatch(t.Context(), client.Batch{ID: "b", Requests: []tasks.Request{r, r}, Webhook: "shop"}); err != nil {
		t.Fatal(err)
	}
	if err := s.client.CancelBatch(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	var event webhooks.Event
	if got := receive(t, calls); json.Unmarshal(got.body, &event) != nil || event.Type != "batch.finished" || event.Batch.ID != "b" || event.Batch.Counts[tasks.Canceled] != 2 {
		t.Errorf("got %s", got.body)
	}
}

// TestDelivery_SurvivesARestart: the task ends while nobody delivers, and the
// first deliverer dies in the middle of its call.
// A call names the place in a trace where its task was handed over, also where
// nothing is exported.
func TestDelivery_NamesThePlaceInATrace(t *testing.T) {
	t.Parallel()
	s := open(t)
	url, calls := endpoint(t, func(int64) int { return 204 })
	s.add(t, url)
	s.deliver(t, true, 3)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx := trace.Read(parent, "").In(t.Context())
	_, err := client.Enqueue(ctx, s.client, tasks.Search, tasks.SearchPayload{Query: "x"}, tasks.WithID("traced"), tasks.WithWebhook("shop"))
	if err != nil {
		t.Fatal(err)
	}
	s.cancel(t, "traced")
	if got := receive(t, calls); got.trace != parent {
		t.Errorf("got %q, want %q", got.trace, parent)
	}
	s.enqueue(t, "untraced")
	s.cancel(t, "untraced")
	if got := receive(t, calls); got.trace != "" {
		t.Errorf("got %q of a task without a trace", got.trace)
	}
}

func TestDelivery_SurvivesARestart(t *testing.T) {
	t.Parallel()
	s := open(t)
	hold := make(chan struct{})
	url, calls := endpoint(t, func(n int64) int {
		if n == 1 {
			<-hold
			return 500
		}
		return 200
	})
	s.add(t, url)
	s.enqueue(t, "a")
	s.cancel(t, "a") // nobody hears it
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := s.deliver(t, true, 5)
	one := receive(t, calls)
	// The first one hangs in its call, as if its process were gone; its lease
	// ends and another takes over.
	s.deliver(t, true, 5)
	two := receive(t, calls)
	if two.id != one.id || string(two.body) != string(one.body) {
		t.Errorf("got %+v, want %+v again", two, one)
	}
	close(hold)
	first()
	_ = ctx
}

func TestDelivery_RepeatsAndGivesUp(t *testing.T) {
	t.Parallel()
	s := open(t)
	var healthy atomic.Bool
	url, calls := endpoint(t, func(int64) int {
		if healthy.Load() {
			return 200
		}
		return 503
	})
	s.add(t, url)
	s.deliver(t, true, 3)
	s.enqueue(t, "a")
	s.cancel(t, "a")
	var first call
	for i := range 3 {
		c := receive(t, calls)
		if i == 0 {
			first = c
		}
		if c.id != first.id {
			t.Errorf("got id %s, want %s", c.id, first.id)
		}
	}
	var dead []webhooks.Delivery
	brokertest.Until(t, "it is given up", func() bool {
		var err error
		dead, err = s.store.Deliveries(t.Context(), true, 10)
		return err == nil && len(dead) == 1
	})
	if d := dead[0]; d.Attempts != 3 || d.Status != 503 || d.Object != "a" || d.GivenUp.IsZero() || d.Error == "" {
		t.Errorf("got %+v", d)
	}
	healthy.Store(true)
	if _, err := s.store.Retry(t.Context(), first.id); err != nil {
		t.Fatal(err)
	}
	if c := receive(t, calls); c.id != first.id {
		t.Errorf("got %+v", c)
	}
	brokertest.Until(t, "it is gone", func() bool {
		_, err := s.store.Retry(t.Context(), first.id)
		return errors.Is(err, webhooks.ErrUnknown)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(s.log.String(), "whsec_") || strings.Contains(s.log.String(), master) {
		t.Errorf("a secret is logged: %s", s.log)
	}
}

// TestDelivery_KeepsToPublicAddresses: neither an address nor a name may lead
// into the yard's own network.
func TestDelivery_KeepsToPublicAddresses(t *testing.T) {
	t.Parallel()
	s := open(t)
	url, calls := endpoint(t, func(int64) int { return 200 })
	s.add(t, strings.Replace(url, "127.0.0.1", "localhost", 1))
	s.deliver(t, false, 2)
	s.enqueue(t, "a")
	s.cancel(t, "a")
	brokertest.Until(t, "it is given up", func() bool {
		dead, err := s.store.Deliveries(t.Context(), true, 10)
		return err == nil && len(dead) == 1 && dead[0].Error == "the address is not a public one"
	})
	if len(calls) > 0 {
		t.Error("a private address was called")
	}
	if err := (webhooks.Endpoint{Name: "a", URL: "http://example.com/"}).Check(false); err == nil {
		t.Error("plain http is allowed")
	}
}

// TestDelivery_FollowsNoRedirect: what an endpoint points at may be anything.
func TestDelivery_FollowsNoRedirect(t *testing.T) {
	t.Parallel()
	s := open(t)
	elsewhere, calls := endpoint(t, func(int64) int { return 200 })
	server := httptest.NewServer(http.RedirectHandler(elsewhere, http.StatusTemporaryRedirect))
	t.Cleanup(server.Close)
	s.add(t, server.URL)
	s.deliver(t, true, 2)
	s.enqueue(t, "a")
	s.cancel(t, "a")
	brokertest.Until(t, "it is given up", func() bool {
		dead, err := s.store.Deliveries(t.Context(), true, 10)
		return err == nil && len(dead) == 1 && dead[0].Error == "the endpoint answered 307"
	})
	if len(calls) > 0 {
		t.Error("the redirect was followed")
	}
}

func TestPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1": true, "127.0.0.1": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "::": false, "::1": false, "fe80::1": false, "fd00::1": false, "::ffff:10.0.0.1": false, "64:ff9b::a00:1": false,
		"2002:a00:1::": false, "::127.0.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "198.18.0.1": false, "fec0::1": false,
	} {
		if got := webhooks.Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

func TestWatch_Faults(t *testing.T) {
	t.Parallel()
	s := open(t)
	var in *tasks.InvalidError
	_, err := client.Enqueue(t.Context(), s.client, tasks.Search, tasks.SearchPayload{Query: "x"}, tasks.WithWebhook("nobody"))
	if !errors.As(err, &in) || in.Fields[0].Path != "options.webhook" {
		t.Errorf("got %v", err)
	}
	for _, e := range []webhooks.Endpoint{
		{Name: "A", URL: "https://x.example/"}, {Name: "a", URL: "https://u:p@x.example/"}, {Name: "a", URL: "ftp://x.example"}, {Name: "a", URL: "https:///x"},
	} {
		if _, err := s.store.Put(t.Context(), e, false); !errors.As(err, &in) {
			t.Errorf("%+v: got %v", e, err)
		}
	}
	if _, err := webhooks.ParseMaster([]byte("short\n")); err == nil {
		t.Error("a short secret is allowed")
	}
}
