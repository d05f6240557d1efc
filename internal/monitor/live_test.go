package monitor

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// stream opens /api/live and returns its events as "name data".
func stream(t *testing.T, ctx context.Context, url string) (events func() string, code int, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 4<<20)
	return func() string {
		name := ""
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = rest
			}
			if rest, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return name + " " + rest
			}
		}
		return "end"
	}, answer.StatusCode, answer.Header
}

func TestLive_HistoryThenSamples(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.node("<script>alert(1)</script>")
	y.sample(0)
	server := httptest.NewServer(y.monitor.Handler())
	defer server.Close()
	events, _, _ := stream(t, t.Context(), server.URL)
	if got := events(); !strings.HasPrefix(got, `history {"sample_seconds":2,"step_seconds":10,"slots":360,`) {
		t.Errorf("got %.80s, want the history", got)
	}
	got := events()
	if !strings.HasPrefix(got, `sample {"at":`) {
		t.Errorf("got %.80s, want a sample", got)
	}
	if strings.Contains(got, "<script>") {
		t.Error("a name is written as markup")
	}
	y.node("second")
	y.sample(2 * time.Second)
	if got := events(); !strings.Contains(got, `"id":"second"`) {
		t.Errorf("got %.80s, want the next sample", got)
	}
	y.monitor.Close()
	if got := events(); got != "end" {
		t.Errorf("after Close: got %.80s, want the end", got)
	}
	if _, code, _ := stream(t, t.Context(), server.URL); code != 503 {
		t.Errorf("after Close: got %d, want 503", code)
	}
}

func TestLive_ClientsAreBounded(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	server := httptest.NewServer(y.monitor.Handler())
	defer server.Close()
	defer y.monitor.Close()
	ctx, cancel := context.WithCancel(t.Context())
	for range maxClients {
		if _, code, _ := stream(t, ctx, server.URL); code != 200 {
			t.Fatalf("got %d, want 200", code)
		}
	}
	_, code, header := stream(t, t.Context(), server.URL)
	if code != 503 || header.Get("Retry-After") == "" {
		t.Errorf("one too many: got %d, Retry-After %q, want 503 and a time", code, header.Get("Retry-After"))
	}
	cancel()
	for deadline := time.Now().Add(10 * time.Second); y.monitor.live.count() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d clients are still counted after they left", y.monitor.live.count())
		}
	}
}

func TestLive_SlowClientsAreDropped(t *testing.T) {
	t.Parallel()
	l := newLive()
	slow, err := l.join()
	if err != nil {
		t.Fatal(err)
	}
	for range clientBacklog {
		l.publish(&Overview{})
	}
	if l.count() != 1 {
		t.Fatal("dropped while it could still keep up")
	}
	l.publish(&Overview{})
	if l.count() != 0 {
		t.Error("a client that does not keep up is kept")
	}
	for range slow { // what it has is still delivered, then comes the end
	}
	l.leave(slow) // its handler leaves later: nothing happens
}
