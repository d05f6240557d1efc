package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/config"
)

func command(ctx context.Context, args ...string) (code int, text string) {
	var out, e bytes.Buffer
	code = run(ctx, args, config.Streams{Out: &out, Err: &e})
	return code, out.String() + e.String()
}

func TestMonitor(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	logs, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"--redis-url", server.URL, "--listen", "127.0.0.1:0", "--log-format", "json"}, config.Streams{Out: io.Discard, Err: w})
		w.Close()
	}()
	at := ""
	for s := bufio.NewScanner(logs); at == "" && s.Scan(); {
		var entry struct{ Part, Address string }
		if json.Unmarshal(s.Bytes(), &entry) == nil && entry.Part == "page" {
			at = "http://" + entry.Address
		}
	}
	go io.Copy(io.Discard, logs) //nolint:errcheck // ends with the program
	for path, want := range map[string]int{"/": 200, "/healthz": 200, "/metrics": 200} {
		if got := ask(t, at+path, ""); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
	if got := ask(t, at+"/", "evil.example"); got != 403 {
		t.Errorf("a rebound name: got %d, want 403", got)
	}
	// An open live stream must not hold up the end.
	r, err := http.Get(at + "/api/live")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("got code %d, want 0 after a signal", code)
	}
}

func ask(t *testing.T, url, host string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func TestStatus(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	if code, text := command(t.Context(), "status", "--redis-url", server.URL); code != 0 || !strings.Contains(text, "search") || strings.Contains(text, "\x1b") {
		t.Errorf("got code %d, %s", code, text)
	}
	code, text := command(t.Context(), "--json", "status", "--redis-url", server.URL)
	if code != 0 || !json.Valid([]byte(text)) {
		t.Errorf("got code %d, %s", code, text)
	}
	if code, text := command(t.Context(), "status", "--redis-url", "unix:///nowhere/r.sock"); code != 3 || !strings.Contains(text, "start Redis there") {
		t.Errorf("Redis away: got code %d, %s", code, text)
	}
}

func TestBadUsage(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	away := []string{"--redis-url", "unix:///nowhere/r.sock", "--listen", "127.0.0.1:0"}
	open := []string{"--redis-url", "unix:///nowhere/r.sock", "--listen", "0.0.0.0:0"}
	secret := func(text string) string {
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"Redis away":       {away, 3, "start Redis there"},
		"port in use":      {[]string{"--redis-url", "unix:///x", "--listen", l.Addr().String()}, 1, "choose another with --listen"},
		"open to others":   {open, 2, "--page-password-file"},
		"open, as allowed": {append([]string{"--allow-remote"}, open...), 3, "start Redis there"},
		"open, password":   {append([]string{"--page-password-file", secret("twelve letters\n")}, open...), 3, "start Redis there"},
		"short password":   {append([]string{"--page-password-file", secret("short")}, open...), 2, "from 12 to 1024 bytes, got 5"},
		"no such password": {append([]string{"--page-password-file", "/nowhere/p"}, away...), 2, "--page-password-file"},
		"an argument":      {append([]string{"now"}, away...), 2, "monitor has the commands status, top"},
		"fast samples":     {append([]string{"--sample-every", "1ms"}, away...), 2, "sample period"},
		"short history":    {append([]string{"--history", "1s"}, away...), 2, "history"},
		"bad part":         {append([]string{"--memory-warn", "80"}, away...), 2, "memory warning"},
		"bad limit":        {append([]string{"--queue-limit", "0"}, away...), 2, "queue limit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if code, text := command(t.Context(), tt.args...); code != tt.code || !strings.Contains(text, tt.want) {
				t.Errorf("got code %d, %s; want %d, %q", code, text, tt.code, tt.want)
			}
		})
	}
}

func TestLooks(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	at := []string{"--redis-url", server.URL}
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"check":             {[]string{"check"}, 0, "ok: Redis answers"},
		"check with more":   {[]string{"check", "now"}, 2, "takes no arguments"},
		"top, once":         {[]string{"top", "--sample-every", "500ms"}, 0, "document_parse:bulk"},
		"why nobody":        {[]string{"why", "nobody"}, 2, "no such task"},
		"why what":          {[]string{"why"}, 2, "takes the id of one task"},
		"scale, dry":        {[]string{"scale", "--dry-run", "--once", "--min-workers", "3"}, 0, "docker compose up --detach --no-recreate --scale worker=3 worker"},
		"scale, bad bounds": {[]string{"scale", "--min-workers", "9", "--max-workers", "3"}, 2, "max workers must be from min workers (9)"},
		"scale, bad words":  {[]string{"scale", "--up-command", "true"}, 2, "must hold {count}"},
		"scale, too often":  {[]string{"scale", "--scale-every", "1ms"}, 2, "--scale-every"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if code, text := command(t.Context(), append(tt.args, at...)...); code != tt.code || !strings.Contains(text, tt.want) {
				t.Errorf("got code %d, %s; want %d, %q", code, text, tt.code, tt.want)
			}
		})
	}
	for _, cmd := range [][]string{{"check"}, {"top"}, {"why", "x"}, {"scale", "--once"}} {
		if code, text := command(t.Context(), append(cmd, "--redis-url", "unix:///nowhere/r.sock")...); code != 3 {
			t.Errorf("%v, Redis away: got code %d, %s", cmd, code, text)
		}
	}
}
