//go:build cost

package monitor

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// TestCost measures what watching ten nodes and 100,000 tasks costs: the
// monitor's resident memory, its part of a core, and the time of a scrape. It
// runs the real program, with pages open and Prometheus scraping, for as long
// as JOBYARD_COST says:
//
//	go build -o bin/monitor ./cmd/monitor
//	JOBYARD_COST=60s JOBYARD_MONITOR_BINARY=$PWD/bin/monitor go test -tags cost -run TestCost -v ./internal/monitor
func TestCost(t *testing.T) {
	binary := os.Getenv("JOBYARD_MONITOR_BINARY")
	lasts, err := time.ParseDuration(os.Getenv("JOBYARD_COST"))
	if err != nil || binary == "" {
		t.Skip("set JOBYARD_COST=60s and JOBYARD_MONITOR_BINARY to measure")
	}
	r := startRedis(t)
	y := openYard(t, r.open(t))
	for range 20 {
		y.enqueue("search", 2500, tasks.WithQueue("bulk"))
		y.enqueue("document_parse", 2500, tasks.WithQueue("bulk"))
	}
	beat := func() {
		for i := range 10 {
			y.node(fmt.Sprintf("node-%d", i), fresh, func(n *broker.Node) {
				for k := range 12 {
					n.Runners = append(n.Runners, broker.NodeRunner{PID: k + 1, Kind: "document_parse", State: "idle", RSS: 50 << 20, Done: k})
				}
				full := make(broker.Spread, broker.SpreadPlaces)
				for k := range full {
					full[k] = int64(k) + time.Now().Unix()%1000
				}
				for kind, v := range n.Kinds {
					v.Wait, v.BulkWait, v.Run, v.RunSeconds = full, full, full, 100
					n.Kinds[kind] = v
				}
			})
		}
	}
	beat()
	at := "127.0.0.1:" + freePort(t)
	cmd := exec.Command(binary, "--listen", at, "--redis-url", "unix://"+r.socket(), "--log-level", "error")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	get := func(path string) (time.Duration, int) {
		start := time.Now()
		answer, err := http.Get("http://" + at + path)
		if err != nil {
			return 0, 0
		}
		defer answer.Body.Close()
		n := len(readAll(answer))
		return time.Since(start), n
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if _, n := get("/readyz"); n == len("ready\n") || time.Now().After(deadline) {
			break
		}
	}
	for range 3 { // pages that are open
		go func() {
			stream, err := http.Get("http://" + at + "/api/live")
			if err == nil {
				readAll(stream) // until the monitor ends
				stream.Body.Close()
			}
		}()
	}
	proc, err := procfs.NewProc(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	cpu := func() float64 {
		s, err := proc.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return s.CPUTime()
	}
	start, before := time.Now(), cpu()
	var scrapes []time.Duration
	peak, size := 0, 0
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for i := 0; time.Since(start) < lasts; i++ {
		<-tick.C
		beat()
		if i%7 == 0 { // every 14 seconds, as Prometheus does every 15
			took, n := get("/metrics")
			scrapes, size = append(scrapes, took), n
		}
		s, err := proc.Stat()
		if err != nil {
			t.Fatal(err)
		}
		peak = max(peak, s.ResidentMemory())
	}
	part := 100 * (cpu() - before) / time.Since(start).Seconds()
	slices.Sort(scrapes)
	worst := scrapes[len(scrapes)-1]
	t.Logf("100,000 tasks, 10 nodes with 12 runners, 3 open pages, %s: %.1f MiB resident at most, %.2f %% of a core, scrape %s median, %s worst, %d bytes",
		lasts, float64(peak)/(1<<20), part, scrapes[len(scrapes)/2], worst, size)
	if peak > 60<<20 || part > 3 || worst > 50*time.Millisecond {
		t.Errorf("got over 60 MiB, 3 %% or 50 ms")
	}
}

func readAll(r *http.Response) string {
	raw, _ := io.ReadAll(r.Body)
	return string(raw)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
