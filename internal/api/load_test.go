package api

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/tasks"
)

var waitCount = flag.Int("waits", 2000, "how many wait at once in TestWaits_ManyAtOnce")

var hostileFor = flag.Duration("hostile", time.Second, "how long TestHostile sends nonsense")

// TestWaits_ManyAtOnce: each gets the answer of its own task, soon after
// it is there.
func TestWaits_ManyAtOnce(t *testing.T) {
	waits := *waitCount
	d := open(t, client.Config{QueueLimit: waits, BulkLimit: 1}, func(c *Config) { c.MaxWaits = 10_000 })
	for i := range waits {
		r, err := tasks.Search.New(tasks.SearchPayload{Query: fmt.Sprint("q", i)}, tasks.WithID(fmt.Sprint("t", i)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.client.Enqueue(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: waits}}
	defer c.CloseIdleConnections()
	failed := make(chan error, waits)
	for i := range waits {
		go func() { failed <- waitFor(c, d.URL, i) }()
	}
	go func() { // the worker of the test's jobs tells of each one
		for range d.started {
		}
	}()
	brokertest.Until(t, "all of them wait", func() bool { return !d.waits(int64(waits)) })
	d.serve(t)
	for range waits {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
}

// waits reports whether another n waits would be let in.
func (d *door) waits(n int64) bool {
	free := DefaultConfig().MaxWaits - int(n) + 1
	if !d.server.waits.TryAcquire(int64(free)) {
		return false
	}
	d.server.waits.Release(int64(free))
	return true
}

func waitFor(c *http.Client, base string, i int) error {
	answer, err := c.Get(fmt.Sprint(base, "/v1/tasks/t", i, "?wait=60s"))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	var task tasks.Task
	if err := json.Unmarshal(raw, &task); err != nil || task.State != tasks.Completed || !strings.Contains(string(task.Result), fmt.Sprintf(`"q%d"`, i)) {
		return fmt.Errorf("task %d: got %s, %w", i, raw, err)
	}
	return nil
}

// TestHostile sends nonsense to every route: bodies, headers and paths. None
// may give a 500, or leave anything behind.
func TestHostile(t *testing.T) {
	d := open(t, client.Config{QueueLimit: 1e6, BulkLimit: 1e6})
	_, header := d.key(t, keys.Key{Name: "a", Actions: []keys.Action{keys.Admin}})
	d.Close()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	// The packer takes 8 MiB of buffers with the first large upload, and keeps them.
	upload := httptest.NewRequest(http.MethodPost, "/v1/blobs", strings.NewReader(strings.Repeat("tides", 1<<18)))
	upload.Header.Set(header[0], header[1])
	if w := d.hostile(t, upload); w.Code/100 != 2 {
		t.Fatalf("upload: got %d %s", w.Code, w.Body)
	}
	before := runtime.NumGoroutine()
	n, heap := 0, heapAfter(t, d, random, header)
	for end := time.Now().Add(*hostileFor); time.Now().Before(end); n++ {
		r := nonsense(random, header)
		w := d.hostile(t, r)
		// What the assistants' library refuses it refuses in words of its own.
		// A long answer may come packed.
		refused := w.Code >= 400 && r.URL.Path != "/mcp" && w.Header().Get("Content-Encoding") == ""
		if w.Code == 500 || w.Code > 503 || refused && r.Method != "HEAD" && !json.Valid(w.Body.Bytes()) || w.Header().Get("X-Request-Id") == "" {
			t.Fatalf("seed %d, request %d: %s %q %v: got %d %.500s", seed, n, r.Method, r.URL, r.Header, w.Code, w.Body)
		}
	}
	t.Logf("%d requests", n)
	brokertest.Until(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+5 })
	// What one request leaves behind, thousands would show.
	if grown := heapAfter(t, d, random, header) - heap; grown > 8<<20 {
		t.Errorf("the heap has grown by %d KiB in %d requests", grown>>10, n)
	}
}

// hostile serves a request as the network would, but for a stream, which ends
// soon: its caller goes.
func (d *door) hostile(t *testing.T, r *http.Request) *httptest.ResponseRecorder {
	ctx, gone := context.WithTimeout(t.Context(), 5*time.Second)
	if strings.HasSuffix(r.URL.Path, "/events") || strings.HasSuffix(r.URL.Path, "/results") {
		ctx, gone = context.WithTimeout(t.Context(), 5*time.Millisecond)
	}
	defer gone()
	w := httptest.NewRecorder()
	d.Config.Handler.ServeHTTP(w, r.WithContext(ctx))
	return w
}

// heapAfter is the live heap in bytes after some requests.
func heapAfter(t *testing.T, d *door, random *rand.Rand, header []string) int64 {
	for range 200 {
		d.hostile(t, nonsense(random, header))
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// nonsense is a request whose parts were good ones, until chance came.
func nonsense(random *rand.Rand, key []string) *http.Request {
	pick := func(all ...string) string { return all[random.IntN(len(all))] }
	spoil := func(text string) string {
		raw := []byte(text)
		for range random.IntN(4) {
			if len(raw) == 0 {
				break
			}
			at := random.IntN(len(raw))
			switch random.IntN(3) {
			case 0:
				raw[at] = byte(random.IntN(256))
			case 1:
				raw = append(raw[:at], raw[min(len(raw), at+1+random.IntN(8)):]...)
			default:
				raw = append(raw[:at:at], append([]byte(strings.Repeat(string(raw[at:]), 1+random.IntN(3))), raw[at:]...)...)
			}
		}
		return string(raw)
	}
	body := pick(query("x"), `{"tasks":[`+queries(3)+`]}`, `{"kind":"document_parse","payload":{"source":{"text":"# x"},"index":true},"options":{"timeout":"1s","in":"1h"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`,
		strings.Repeat("[", 20000), "\xff\xfe", "", `{"tasks":[{}],"callback":{}}`,
		`{"kind":"search","limit":3,"dry_run":true}`, `{"payload":{"query":"x"},"options":{"timeout":"1s"}}`)
	path := pick("/v1/tasks", "/v1/tasks/x", "/v1/tasks/x/result", "/v1/batches", "/v1/batches/x", "/v1/batches/x/results", "/v1/queues", "/v1/kinds", "/v1/audit",
		"/v1/webhooks", "/v1/webhooks/deliveries", "/v1/webhooks/deliveries/x/retry", "/mcp", "/v1/tasks/x/events", "/v1/blobs", "/v1/blobs/"+strings.Repeat("a", 64),
		"/v1/dead", "/v1/dead/groups", "/v1/dead/x", "/v1/dead/x/replay", "/v1/dead/replay", "/v1/dead/delete", "/docs", "/openapi.json", "/healthz", "/")
	r := httptest.NewRequest("GET", "http://127.0.0.1/", strings.NewReader(spoil(body)))
	r.RemoteAddr = "127.0.0.1:1"
	r.Method = pick("GET", "POST", "POST", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH", "X")
	r.URL = &url.URL{Scheme: "http", Host: "127.0.0.1", Path: pick(path, path, spoil(path)), RawQuery: pick("", spoil("wait=1ms&from=1&limit=5&class=handed"), spoil("kind=search&reason=timeout&since=1h&after=x"), "wait=-1s", "%zz")}
	r.Header = http.Header{}
	for name, value := range map[string]string{
		"Content-Type":    pick("application/json", "application/json", "application/x-ndjson", "text/plain", spoil("application/json; charset=utf-8")),
		"Accept":          pick("", "application/json, text/event-stream", "application/cbor", spoil("application/json;q=0.1, */*")),
		"Accept-Encoding": pick("", "gzip", "zstd", spoil("gzip;q=0.5, zstd")), "Idempotency-Key": pick("", spoil("key-1")), "If-None-Match": pick("", spoil(`W/"x", *`)),
		"X-Request-Id": pick("", spoil("id-1")), "Content-Encoding": pick("", "", "", "gzip"), "Origin": pick("", "", "", "https://evil.example"),
		"Last-Event-ID": pick("", spoil("0-0-pending-0")), "Mcp-Session-Id": pick("", spoil("x")), "Mcp-Protocol-Version": pick("", "2025-06-18", spoil("2026-07-28")), "Forwarded": pick("", "for=1"),
	} {
		if value != "" {
			r.Header[name] = []string{value}
		}
	}
	r.Header.Set(key[0], pick(key[1], key[1], key[1], key[1], spoil(key[1])))
	return r
}
