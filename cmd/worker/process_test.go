package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
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
