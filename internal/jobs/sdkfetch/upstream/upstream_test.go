package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

func limits() Limits {
	l := DefaultLimits()
	l.MaxMetadataBytes, l.MaxArchiveBytes = 1000, 2000
	return l
}

func get(t *testing.T, c *Client, server *httptest.Server, path string) ([]byte, []tasks.SDKSource, error) {
	t.Helper()
	u, err := url.Parse(server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	var tr Trace
	body, err := c.Get(t.Context(), &tr, Request{Source: "packument", URL: u, Authorization: "Bearer s3cret"})
	return body, tr.Sources(), err
}

func TestGet_SortsFailures(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other host was asked") }))
	defer elsewhere.Close()
	codes := map[string]int{"/404": 404, "/410": 410, "/401": 401, "/403": 403, "/429": 429, "/500": 500, "/503": 503, "/408": 408, "/425": 425, "/400": 400, "/302": 302}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/429":
			w.Header().Set("Retry-After", "7")
		case "/away":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
			return
		case "/on":
			http.Redirect(w, r, "/ok", http.StatusFound)
			return
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
			return
		case "/large":
			w.Header().Set("Content-Length", "5000")
			_, _ = io.WriteString(w, strings.Repeat("x", 5000))
			return
		case "/endless":
			for i := 0; i < 1<<20 && r.Context().Err() == nil; i++ {
				_, _ = io.WriteString(w, strings.Repeat("x", 100))
			}
			return
		case "/short":
			w.Header().Set("Content-Length", "50")
			_, _ = io.WriteString(w, "x")
			return
		case "/ok":
			w.Header().Set("ETag", `"e1"`)
			w.Header().Set("Age", "12")
			_, _ = io.WriteString(w, "fine")
			return
		}
		w.WriteHeader(codes[r.URL.Path])
	}))
	defer server.Close()
	c := New(limits(), nil)
	for path, want := range map[string]struct {
		reason  tasks.Reason
		verdict fault.Verdict
		text    string
	}{
		"/404": {tasks.ReasonNotFound, fault.Permanent, ""}, "/410": {tasks.ReasonNotFound, fault.Permanent, ""},
		"/401": {tasks.ReasonUpstream, fault.Permanent, "operator"}, "/403": {tasks.ReasonUpstream, fault.Permanent, "operator"},
		"/408": {tasks.ReasonUpstream, fault.Retryable, ""}, "/425": {tasks.ReasonUpstream, fault.Retryable, ""},
		"/429": {tasks.ReasonUpstream, fault.Retryable, "wait 7s"},
		"/500": {tasks.ReasonUpstream, fault.Retryable, ""}, "/503": {tasks.ReasonUpstream, fault.Retryable, ""},
		"/400": {tasks.ReasonUpstream, fault.Permanent, ""}, "/302": {tasks.ReasonUpstream, fault.Permanent, ""},
		"/away":    {tasks.ReasonRejected, fault.Permanent, "another host"},
		"/loop":    {tasks.ReasonUpstream, fault.Retryable, ""},
		"/large":   {tasks.ReasonTooLarge, fault.Permanent, ""},
		"/endless": {tasks.ReasonTooLarge, fault.Permanent, ""},
		"/short":   {tasks.ReasonUpstream, fault.Retryable, "broke off"},
	} {
		_, sources, err := get(t, c, server, path)
		f := fault.Of(err)
		if f == nil || f.Reason != want.reason || f.Verdict != want.verdict || !strings.Contains(f.Message, want.text) {
			t.Errorf("%s: got %+v, want %+v", path, f, want)
			continue
		}
		if len(sources) != 1 || sources[0].OK || sources[0].Error == "" {
			t.Errorf("%s: got sources %+v", path, sources)
		}
		if raw, _ := json.Marshal(sources); strings.Contains(err.Error()+string(raw), "s3cret") {
			t.Errorf("%s: the credential leaks", path)
		}
	}
	for _, path := range []string{"/ok", "/on"} {
		body, sources, err := get(t, c, server, path)
		if err != nil || string(body) != "fine" || !sources[0].OK || sources[0].ETag != `"e1"` || sources[0].AgeS != 12 {
			t.Errorf("%s: got %q, %v, %+v", path, body, err, sources)
		}
	}
}

func TestGet_GivesUpOnASlowServer(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	l := limits()
	l.Timeout = 30 * time.Millisecond
	_, _, err := get(t, New(l, nil), server, "/")
	if f := fault.Of(err); f.Reason != tasks.ReasonUpstream || f.Verdict != fault.Retryable || !strings.Contains(f.Message, "within") {
		t.Errorf("got %+v, want a retryable upstream fault", f)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("shut down")
	cancel(gone)
	u, _ := url.Parse(server.URL)
	if _, err := New(limits(), nil).Get(ctx, &Trace{}, Request{URL: u}); !errors.Is(err, gone) && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's cause", err)
	}
}

func TestGet_SaysWhatIsDown(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, _, err := get(t, New(limits(), nil), server, "/")
	if f := fault.Of(err); f.Reason != tasks.ReasonUpstream || f.Verdict != fault.Retryable {
		t.Errorf("got %+v, want a retryable upstream fault", f)
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	_, _, err = get(t, New(limits(), nil), secure, "/")
	if f := fault.Of(err); f.Reason != tasks.ReasonUpstream || f.Verdict != fault.Permanent || !strings.Contains(f.Message, "certificate") {
		t.Errorf("got %+v, want a permanent fault about the certificate", f)
	}
}

func TestGet_BoundsTheRequestsInFlight(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n := now.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		now.Add(-1)
	}))
	defer server.Close()
	l := limits()
	l.Concurrency = 2
	c, done := New(l, nil), make(chan struct{})
	for range 30 {
		go func() {
			_, _, _ = get(t, c, server, "/")
			done <- struct{}{}
		}()
	}
	for range 30 {
		<-done
	}
	if most.Load() > 2 {
		t.Errorf("got %d at once, want at most 2", most.Load())
	}
}

func TestGet_KeepsAPasswordInTheAddressToItself(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "ann" || pass != "s3cret" {
			t.Errorf("got %s, want the credentials of the address", user)
		}
		http.NotFound(w, r)
	}))
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("ann", "s3cret")
	for range 2 {
		var tr Trace
		_, err := New(limits(), nil).Get(t.Context(), &tr, Request{Source: "zip", URL: u})
		if text := fmt.Sprint(err, fault.Of(err).Task(), tr.Sources()); err == nil || strings.Contains(text, "s3cret") {
			t.Errorf("got %s, want an error without the password", text)
		}
		server.Close() // the second time nobody answers
	}
}

func TestLimits_Validate(t *testing.T) {
	t.Parallel()
	if err := DefaultLimits().Validate(); err != nil {
		t.Error(err)
	}
	if err := (Limits{}).Validate(); err == nil || !strings.Contains(err.Error(), "concurrency") || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v, want all fields named", err)
	}
}
