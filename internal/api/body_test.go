package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/tasks"
)

func TestBody_ChunkedIsBoundedToo(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	endless := io.MultiReader(strings.NewReader(`{"kind":"search","payload":{"query":"`), zeros{})
	r, err := http.NewRequestWithContext(t.Context(), "POST", d.URL+"/v1/tasks", endless)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return // the server closed while we were still sending: as good
	}
	defer answer.Body.Close()
	if answer.StatusCode != 413 {
		t.Errorf("got %d, want 413", answer.StatusCode)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func TestBody_TooManyAtOnce(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	address := strings.TrimPrefix(d.URL, "http://")
	// Sixteen clients promise 16 MiB each and send nothing.
	for range maxBodies / MaxBody {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_, err = fmt.Fprintf(c, "POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", MaxBody)
		if err != nil {
			t.Fatal(err)
		}
		// The server says 100 when it begins to read.
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
			t.Fatal(line, err)
		}
	}
	big := `{"kind":"search","payload":{"query":"` + strings.Repeat("x", 2<<20) + `"}}`
	r := d.ask(t, "POST", "/v1/tasks", big)
	r.problem(t, 503, "", "too many large requests")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	d.ask(t, "POST", "/v1/tasks", query("small ones still fit")).task(t, 202, tasks.Pending)
}

// A body may be slow, but a wait after it must not be cut by the body's deadline.
func TestBody_DeadlineEndsWithTheBody(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.serve(t)
	start := time.Now()
	d.ask(t, "POST", "/v1/tasks?wait=300ms", query("hang")).task(t, 202, tasks.Active)
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("the wait ended after %s", took)
	}
}
