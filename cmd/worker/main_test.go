package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/tasks"
)

func command(ctx context.Context, args ...string) (code int, errs string) {
	var out, e bytes.Buffer
	code = run(ctx, args, config.Streams{Out: &out, Err: &e})
	return code, e.String() + out.String()
}

func TestWorker(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	logs, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"--redis-url", server.URL, "--admin-listen", "127.0.0.1:0", "--log-format", "json", "--data-dir", t.TempDir()}, config.Streams{Out: io.Discard, Err: w})
		w.Close()
	}()
	admin := ""
	for s := bufio.NewScanner(logs); admin == "" && s.Scan(); {
		var entry struct{ Message, Part, Address string }
		if json.Unmarshal(s.Bytes(), &entry) == nil && entry.Part == "admin" {
			admin = "http://" + entry.Address
		}
	}
	go io.Copy(io.Discard, logs) //nolint:errcheck // ends with the program
	b := brokertest.Open(t, server.URL)
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	timed, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	r, err := client.Do(timed, c, tasks.DocumentParse, tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: "# Tides"}})
	if err != nil || r.Title != "Tides" {
		t.Errorf("got %q, %v", r.Title, err)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/"} {
		if code, text := command(t.Context(), "healthcheck", admin+path); code != 0 {
			t.Errorf("%s: got code %d, %s", path, code, text)
		}
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("got code %d, want 0 after a drain", code)
	}
}

func TestBadUsage(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	away := []string{"--redis-url", "unix:///nowhere/r.sock", "--admin-listen", "127.0.0.1:0"}
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"Redis away":      {away, 3, "start Redis there"},
		"port in use":     {[]string{"--redis-url", "unix:///x", "--admin-listen", l.Addr().String()}, 1, "choose another with --admin-listen"},
		"an argument":     {append([]string{"now"}, away...), 2, "worker takes no arguments"},
		"unknown kind":    {append([]string{"--slots", "serch=1"}, away...), 2, "must name kinds"},
		"negative slots":  {append([]string{"--slots", "search=-1"}, away...), 2, "number of slots"},
		"many slots":      {append([]string{"--slots", "search=9999"}, away...), 2, "from 0 to 256"},
		"negative drain":  {append([]string{"--drain-timeout", "-1s"}, away...), 2, "drain timeout"},
		"long limit":      {append([]string{"--max-timeout", "1h"}, away...), 2, "from 1s to 2m0s"},
		"bad address":     {append(away, "--admin-listen", "x"), 2, "--admin-listen must be host:port"},
		"no folder":       {[]string{"--redis-url", brokertest.Server(t, "").URL, "--admin-listen", "127.0.0.1:0", "--data-dir", "/dev/null/x"}, 2, "cannot use the folder /dev/null/x/library: not a directory; choose another with --data-dir"},
		"unknown setting": {append([]string{"--speed", "9"}, away...), 2, "speed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if code, text := command(t.Context(), tt.args...); code != tt.code || !strings.Contains(text, tt.want) {
				t.Errorf("got code %d, %s; want %d, %q", code, text, tt.code, tt.want)
			}
		})
	}
}
