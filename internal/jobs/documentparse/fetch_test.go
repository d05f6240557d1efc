package documentparse

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

func newTestFetcher(t *testing.T, change func(*Config)) *Fetcher {
	t.Helper()
	cfg := DefaultConfig()
	cfg.AllowPrivate = true
	if change != nil {
		change(&cfg)
	}
	f := NewFetcher(cfg)
	t.Cleanup(f.Close)
	return f
}

func testServer(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/doc", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
		fmt.Fprint(w, "# Hello")
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(code)
	})
	mux.HandleFunc("/hop/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil {
			t.Error(err)
		}
		if n == 0 {
			http.Redirect(w, r, "/doc", http.StatusFound)
			return
		}
		http.Redirect(w, r, fmt.Sprintf("/hop/%d", n-1), http.StatusFound)
	})
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("url"))
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			fmt.Fprint(z, strings.Repeat("a", 100_000))
			return
		}
		w.(http.Flusher).Flush() // no Content-Length
		fmt.Fprint(w, strings.Repeat("a", 100_000))
	})
	mux.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestFetcher_Fetch(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	f := newTestFetcher(t, func(c *Config) { c.MaxBytes = 10_000 })
	for _, path := range []string{"/doc", "/hop/4"} {
		got, err := f.Fetch(t.Context(), s.URL+path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if string(got.Data) != "# Hello" || got.ContentType != "text/markdown; charset=utf-8" || got.URL != s.URL+"/doc" {
			t.Errorf("%s: got %q of %q at %q", path, got.Data, got.ContentType, got.URL)
		}
	}
	for _, test := range []struct {
		path    string
		reason  tasks.Reason
		verdict fault.Verdict
	}{
		{"/status/404", tasks.ReasonNotFound, fault.Permanent},
		{"/status/410", tasks.ReasonNotFound, fault.Permanent},
		{"/status/403", tasks.ReasonUpstream, fault.Permanent},
		{"/status/429", tasks.ReasonUpstream, fault.Retryable},
		{"/status/500", tasks.ReasonUpstream, fault.Retryable},
		{"/status/503", tasks.ReasonUpstream, fault.Retryable},
		{"/hop/5", tasks.ReasonRejected, fault.Permanent},
		{"/to?url=file:///etc/passwd", tasks.ReasonRejected, fault.Permanent},
		{"/to?url=" + url.QueryEscape("http://u:p@127.0.0.1/"), tasks.ReasonRejected, fault.Permanent},
		{"/large", tasks.ReasonTooLarge, fault.Permanent},
		{"/large?gzip", tasks.ReasonTooLarge, fault.Permanent},
	} {
		_, err := f.Fetch(t.Context(), s.URL+test.path)
		if got := fault.Of(err); got == nil || got.Reason != test.reason || got.Verdict != test.verdict {
			t.Errorf("%s: got %v, want %s with verdict %d", test.path, err, test.reason, test.verdict)
		}
	}
}

func TestFetcher_RefusesAddresses(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	closed := NewFetcher(DefaultConfig())
	t.Cleanup(closed.Close)
	for address, reason := range map[string]tasks.Reason{
		s.URL + "/doc": tasks.ReasonRejected,
		strings.Replace(s.URL, "127.0.0.1", "localhost", 1): tasks.ReasonRejected,
		"http://[::1]/":                   tasks.ReasonRejected,
		"http://0.0.0.0/":                 tasks.ReasonRejected,
		"http://169.254.169.254/latest":   tasks.ReasonRejected,
		"http://10.1.2.3/":                tasks.ReasonRejected,
		"http://[::ffff:127.0.0.1]/":      tasks.ReasonRejected,
		"ftp://example.com/":              tasks.ReasonInvalid,
		"http://user:secret@example.com/": tasks.ReasonInvalid,
		"http:///nowhere":                 tasks.ReasonInvalid,
	} {
		_, err := closed.Fetch(t.Context(), address)
		if got := fault.Of(err); got == nil || got.Reason != reason || got.Verdict != fault.Permanent {
			t.Errorf("%s: got %v, want permanent %s", address, err, reason)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the password is in the error", address)
		}
	}
}

func TestFetcher_ChecksEveryRedirect(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	f := NewFetcher(DefaultConfig())
	t.Cleanup(f.Close)
	f.allowed = func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.1") }
	if _, err := f.Fetch(t.Context(), s.URL+"/doc"); err != nil {
		t.Fatal(err)
	}
	inner := strings.Replace(s.URL, "127.0.0.1", "127.0.0.2", 1)
	_, err := f.Fetch(t.Context(), s.URL+"/to?url="+url.QueryEscape(inner+"/doc?token=secret"))
	if got := fault.Of(err); got == nil || got.Reason != tasks.ReasonRejected {
		t.Errorf("got %v, want rejected", err)
	}
}

func TestFetcher_TimesOut(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	f := newTestFetcher(t, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	_, err := f.Fetch(t.Context(), s.URL+"/hang")
	if got := fault.Of(err); got == nil || got.Reason != tasks.ReasonUpstream || got.Verdict != fault.Retryable {
		t.Errorf("got %v, want retryable upstream", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Fetch(ctx, s.URL+"/hang"); fault.Of(err).Reason != tasks.ReasonInterrupted {
		t.Errorf("got %v, want interrupted", err)
	}
}

func TestFetcher_NetworkTrouble(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	address := s.URL + "/doc?token=secret"
	s.Close()
	_, err := newTestFetcher(t, nil).Fetch(t.Context(), address)
	got := fault.Of(err)
	if got == nil || got.Reason != tasks.ReasonUpstream || got.Verdict != fault.Retryable {
		t.Errorf("got %v, want retryable upstream", err)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Error("the query of the address is in the error")
	}
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	t.Cleanup(tls.Close)
	_, err = newTestFetcher(t, nil).Fetch(t.Context(), tls.URL)
	if got := fault.Of(err); got == nil || got.Reason != tasks.ReasonUpstream || got.Verdict != fault.Permanent {
		t.Errorf("got %v, want permanent upstream for a bad certificate", err)
	}
}

func TestIsPublic(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700::1111": true, "2a00:1450:4001::1": true,
		"127.0.0.1": false, "127.9.9.9": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false,
		"192.0.2.1": false, "198.18.0.1": false, "203.0.113.9": false, "::": false, "::1": false, "fe80::1": false, "fc00::1": false,
		"fd12::1": false, "ff02::1": false, "::ffff:10.0.0.1": false, "64:ff9b::a00:1": false, "2002:a00:1::": false,
		"2001:db8::1": false, "::127.0.0.1": false, "fec0::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("isPublic(%s): got %t, want %t", address, got, want)
		}
	}
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults are invalid: %v", err)
	}
	err := Config{MaxBytes: 0, Timeout: time.Hour}.Validate()
	if err == nil || !strings.Contains(err.Error(), "max bytes") || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v, want both faults", err)
	}
}
