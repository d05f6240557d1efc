package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// process is a worker in a process of its own.
type process struct {
	*exec.Cmd
	admin string
	logs  bytes.Buffer // what is not a line of the log; read it after Wait
	ended chan struct{}
}

func startWorker(t *testing.T, url string, args ...string) *process {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("/proc is Linux's")
	}
	p := &process{ended: make(chan struct{})}
	p.Cmd = exec.Command(os.Args[0], append([]string{workerCommand, "--redis-url", url, "--admin-listen", "127.0.0.1:0", "--log-format", "json", "--data-dir", t.TempDir()}, args...)...)
	logs, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); <-p.ended; _ = p.Wait() }) // Wait may have been called
	addresses := make(chan string, 1)
	go func() {
		defer close(p.ended)
		r := bufio.NewReader(logs)
		for {
			line, err := r.ReadBytes('\n')
			var entry struct{ Part, Address string }
			if json.Unmarshal(line, &entry) != nil {
				p.logs.Write(line)
			} else if entry.Part == "admin" && entry.Address != "" {
				addresses <- entry.Address
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case at := <-addresses:
		p.admin = "http://" + at
	case <-p.ended:
		t.Fatalf("the worker ended: %s", p.logs.String())
	case <-time.After(30 * time.Second):
		t.Fatal("the worker doesn't listen")
	}
	return p
}

// rss is the resident memory of the process and of its children.
func (p *process) rss(t *testing.T) (own, all int64) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		before, after, _ := strings.Cut(string(b), ") ")
		f := strings.Fields(after)
		pid, _, _ := strings.Cut(before, " ")
		if len(f) < 22 || pid != strconv.Itoa(p.Process.Pid) && f[1] != strconv.Itoa(p.Process.Pid) {
			continue
		}
		pages, _ := strconv.ParseInt(f[21], 10, 64)
		bytes := pages * int64(os.Getpagesize())
		all += bytes
		if pid == strconv.Itoa(p.Process.Pid) {
			own = bytes
		}
	}
	return own, all
}

// document is a text of about 1 MB that no other number makes.
func document(n uint64) string {
	rng := rand.New(rand.NewPCG(n, 1)) //nolint:gosec // repeatable
	var b strings.Builder
	fmt.Fprintf(&b, "# Document %d\n", n)
	for b.Len() < 1_000_000 {
		fmt.Fprintf(&b, "\n## Section %d\n\n", rng.IntN(1e6))
		for range 20 {
			fmt.Fprintf(&b, "Line %d of the [guide](https://example.test/%d) says `call(%d)`.\n", rng.IntN(1e6), rng.IntN(1e6), rng.IntN(1e6))
		}
	}
	return b.String()
}

// The old system grew with every document. Here 50 of 1 MB leave less than 20 MB
// behind in the worker, and as little in its runners.
func TestMemory_fiftyDocumentsOfAMegabyte(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	p := startWorker(t, server.URL, "--slots", "document_parse=2")
	c, err := client.New(brokertest.Open(t, server.URL), client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	parse := func(n uint64, text string) {
		r, err := client.Do(ctx, c, tasks.DocumentParse, tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: text}, ContentType: "text/markdown"}, tasks.WithTimeout(time.Minute))
		if err != nil || r.Title != fmt.Sprint("Document ", n) {
			t.Fatalf("document %d: got %q, %v", n, r.Title, err)
		}
	}
	parse(0, "# Document 0") // all is in place
	before, beforeAll := p.rss(t)
	for n := uint64(1); n <= documents; n++ {
		parse(n, document(n))
		if n%10 == 0 {
			own, all := p.rss(t)
			t.Logf("after %d documents: worker %+d MB, with runners %+d MB", n, (own-before)>>20, (all-beforeAll)>>20)
		}
	}
	// What the last documents took is given back within some seconds.
	brokertest.Until(t, "back to less than 20 MB more", func() bool {
		own, all := p.rss(t)
		if own-before >= 20<<20 || all-own-(beforeAll-before) >= 20<<20 {
			return false
		}
		t.Logf("worker %d → %d MB, with runners %d → %d MB", before>>20, own>>20, beforeAll>>20, all>>20)
		return true
	})
}

// SIGQUIT writes what runs and ends nothing; so does /debug/dump, and /healthz
// says how well runners are locked in.
func TestDump(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	p := startWorker(t, server.URL, "--slots", "config_gen=1")
	get := func(path string) string {
		r, err := http.Get(p.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%s: got %d, %v", path, r.StatusCode, err)
		}
		return string(b)
	}
	if text := get("/healthz"); !strings.Contains(text, `"sandbox":{"kinds":{"config_gen":{"level":`) {
		t.Errorf("got %s, want the sandbox", text)
	}
	for _, want := range []string{"goroutine ", "config_gen", "sandbox", "processors"} {
		if text := get("/debug/dump"); !strings.Contains(text, want) {
			t.Errorf("got no %q in\n%.2000s", want, text)
		}
	}
	if err := p.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "alive after SIGQUIT", func() bool { return strings.Contains(get("/healthz"), "ok") })
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if err := p.Wait(); err != nil {
		t.Errorf("got %v, want an orderly end", err)
	}
	if text := p.logs.String(); !strings.Contains(text, "goroutine ") || !strings.Contains(text, "tasks done") {
		t.Errorf("got no dump on stderr: %.500s", text)
	}
}
