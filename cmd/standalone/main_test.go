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
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch"
	"github.com/jobyard/jobyard/tasks"
)

func command(t *testing.T, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, config.Streams{In: strings.NewReader(stdin), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

const lines = `{"kind":"document_parse","payload":{"source":{"text":"# Tides\n\nThe moon pulls."},"content_type":"text/markdown","uri":"tides.md","index":true}}
{"kind":"config_gen","payload":{"template":"dotenv","parameters":{"variables":[{"name":"PORT","value":8080}]}}}
`

func TestBatch(t *testing.T) {
	t.Parallel()
	code, out, errs := command(t, lines, "batch", "-")
	if code != 0 || !strings.Contains(errs, "batch: 2 lines, 2 completed, 0 failed") {
		t.Fatalf("got code %d, %s", code, errs)
	}
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var task tasks.Task
		if err := json.Unmarshal([]byte(line), &task); err != nil || task.State != tasks.Completed {
			t.Errorf("line %d: got %s, %v", i+1, line, err)
		}
	}
	if code, out, _ := command(t, lines+`{"kind":"nope"}`, "batch", "-"); code != 1 || strings.Count(out, "\n") != 3 || !strings.Contains(out, `"path":"kind"`) {
		t.Errorf("with a bad line: got code %d, %s", code, out)
	}
}

func TestBatch_KeepsItsData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if code, _, errs := command(t, lines, "batch", "-", "--data-dir", dir); code != 0 {
		t.Fatalf("got code %d, %s", code, errs)
	}
	code, out, errs := command(t, `{"kind":"search","payload":{"query":"moon"}}`, "batch", "-", "--data-dir", dir)
	if code != 0 || !strings.Contains(out, "tides.md") {
		t.Errorf("after a restart: got code %d, %s%s", code, out, errs)
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	code, out, errs := command(t, "", "demo", "--offline", "--listen", "127.0.0.1:0", "--monitor-listen", taken.Addr().String())
	if code != 0 {
		t.Fatalf("got code %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{
		taken.Addr().String() + " is taken by another process; --monitor-listen is 127.0.0.1:",
		"a few that the demo brings", "README.md", "What it promises", // the tests do not run in the project's folder
		"== search:", "docs/operations.md", "did you mean memory limit?",
		"go example.test/greeter v1.1.0 verified by sumdb", "npm @example/greeter 1.1.0 verified by sri", "started with --offline",
		"== config_gen:", "compose.yaml (yaml)", "7 tasks, 0 failed",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	if _, err := exec.LookPath("redis-server"); err != nil { // the one thing it says then
		first, rest, _ := strings.Cut(errs, "\n")
		if !strings.Contains(first, "redis-server is not on PATH") {
			t.Errorf("got %q, want a word about the stand-in", first)
		}
		errs = rest
	}
	if strings.Contains(out, "\x1b") || errs != "" {
		t.Errorf("got colors, or logs: %q", errs)
	}
}

// started runs the yard and returns the addresses that it tells in its log.
func started(t *testing.T, args ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	logs, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append(args, "--log-format", "json"), config.Streams{Out: io.Discard, Err: w})
		w.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("got code %d, want 0 after a signal", code)
		}
	})
	at := map[string]string{}
	for s := bufio.NewScanner(logs); len(at) < 2 && s.Scan(); {
		var entry struct{ Message, Part, Address string }
		if json.Unmarshal(s.Bytes(), &entry) == nil && entry.Message == "listening" {
			at[entry.Part] = "http://" + entry.Address
		}
	}
	go io.Copy(io.Discard, logs) //nolint:errcheck // ends with the program
	if len(at) < 2 {
		t.Fatalf("got %v, want the API and the monitor", at)
	}
	return at
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := started(t, "--listen", "127.0.0.1:0", "--monitor-listen", "127.0.0.1:0", "--data-dir", dir)
	body := `{"kind":"config_gen","payload":{"template":"dotenv","parameters":{"variables":[{"name":"PORT","value":1}]}}}`
	r, err := http.Post(at["api"]+"/v1/tasks?wait=20s", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if answer, _ := io.ReadAll(r.Body); r.StatusCode != 200 || !strings.Contains(string(answer), `"state":"completed"`) {
		t.Errorf("got %d %s", r.StatusCode, answer)
	}
	if code, _ := get(t, at["api"]+"/readyz"); code != 200 {
		t.Errorf("API: got %d", code)
	}
	if code, page := get(t, at["monitor"]+"/"); code != 200 || !strings.Contains(page, "<html") {
		t.Errorf("monitor: got %d %.100s", code, page)
	}
	// A second process must not write the same files.
	if code, _, errs := command(t, lines, "batch", "-", "--data-dir", dir); code != 2 || !strings.Contains(errs, "is used by another process") {
		t.Errorf("the same folder: got code %d, %s", code, errs)
	}
	api := strings.TrimPrefix(at["api"], "http://")
	if code, _, errs := command(t, "", "run", "--listen", api, "--data-dir", t.TempDir()); code != 1 || !strings.Contains(errs, api+": another process has this port") || !strings.Contains(errs, "--listen") {
		t.Errorf("the same port: got code %d, %s", code, errs)
	}
}

func TestBadUsage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"unknown command": {[]string{"serve"}, 2, `run, demo and batch, not "serve"`},
		"demo's argument": {[]string{"demo", "now"}, 2, "demo takes no arguments"},
		"no file":         {[]string{"batch", "/nowhere"}, 2, "no such file"},
		"no argument":     {[]string{"batch"}, 2, "takes one file"},
		"remote":          {[]string{"run", "--listen", ":0"}, 2, "--allow-remote"},
		"bad slots":       {[]string{"--slots", "search"}, 2, "number of slots"},
		"no slots":        {[]string{"--slots", "search=0"}, 2, "at least one kind needs a slot"},
		"bad address":     {[]string{"--redis-url", "nope"}, 2, "redis address"},
		"Redis away":      {[]string{"batch", "-", "--redis-url", "unix:///nowhere/r.sock"}, 3, "start Redis there"},
		"a file as dir":   {[]string{"batch", "-", "--data-dir", file}, 2, "--data-dir"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if code, out, errs := command(t, "", tt.args...); code != tt.code || !strings.Contains(errs, tt.want) || out != "" {
				t.Errorf("got code %d, %q, %q; want %d, %q", code, out, errs, tt.code, tt.want)
			}
		})
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	own := fstest.MapFS{
		"go.mod": file("module github.com/jobyard/jobyard\n\ngo 1.26\n"), "README.md": file("# R"), "docs/a.md": file("# A"),
		"docs/adr/b.md": file("# B\xff"), "docs/pic.png": file("x"), "docs/empty.md": file(""), "docs/big.md": file(strings.Repeat("x", maxDocumentBytes+1)),
	}
	docs, isOwn := documents(own)
	var names []string
	for _, d := range docs {
		names = append(names, d.name)
	}
	if got := strings.Join(names, " "); !isOwn || got != "README.md docs/a.md docs/adr/b.md" || docs[2].text != "# B\uFFFD" {
		t.Errorf("got %v %s", isOwn, got)
	}
	for name, from := range map[string]fstest.MapFS{
		"another project": {"go.mod": file("module example.com/x\n"), "README.md": file("# X")}, "an empty folder": {},
		"no documents": {"go.mod": file("module github.com/jobyard/jobyard\n")},
	} {
		if docs, isOwn := documents(from); isOwn || len(docs) != 2 || docs[0].name != "README.md" {
			t.Errorf("%s: got %v, %d documents", name, isOwn, len(docs))
		}
	}
}

// The demo says why it asks its own registry.
func TestSilence(t *testing.T) {
	t.Parallel()
	cfg := sdkfetch.DefaultConfig()
	cfg.Go.Proxy, cfg.NPM.Registry = "off", "http://127.0.0.1:1/"
	for name, want := range map[string]string{"a.test/b": "GOPROXY=off", "clsx": "reach"} {
		p := tasks.SDKFetchPayload{Ecosystem: "npm", Name: name}
		if strings.Contains(name, "/") {
			p.Ecosystem = "go"
		}
		if got := silence(t.Context(), cfg, p); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q in it", name, got, want)
		}
	}
}
