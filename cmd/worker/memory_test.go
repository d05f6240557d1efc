//go:build !race

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

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
	// What is kept for equal documents would hide what is not given back.
	p := startWorker(t, server.URL, "--slots", "document_parse=2", "--cache-memory", "0")
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
	for n := uint64(1); n <= 50; n++ {
		parse(n, document(n))
		if n%10 == 0 {
			own, all := p.rss(t)
			t.Logf("after %d documents: worker %+d MB, with runners %+d MB", n, (own-before)>>20, (all-beforeAll)>>20)
		}
	}
	// What the last documents took is given back within some seconds; on a loaded
	// machine it may take longer.
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		own, all := p.rss(t)
		if own-before < 20<<20 && all-own-(beforeAll-before) < 20<<20 {
			t.Logf("worker %d → %d MB, with runners %d → %d MB", before>>20, own>>20, beforeAll>>20, all>>20)
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("worker %d → %d MB, with runners %d → %d MB, want less than 20 MB more of each", before>>20, own>>20, beforeAll>>20, all>>20)
		}
	}
}
