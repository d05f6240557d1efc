package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/tasks"
)

// bearer adds a key to every request.
type bearer struct{ header []string }

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if len(b.header) == 2 {
		r = r.Clone(r.Context())
		r.Header.Set(b.header[0], b.header[1])
	}
	return http.DefaultTransport.RoundTrip(r)
}

// assistant connects the official client to the door.
func (d *door) assistant(t *testing.T, header []string, progress chan string) (*mcp.ClientSession, error) {
	t.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			select {
			case progress <- r.Params.Message:
			default:
			}
		},
	})
	s, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: d.URL + "/mcp", HTTPClient: &http.Client{Transport: bearer{header}}, DisableStandaloneSSE: true,
	}, nil)
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

func said(r *mcp.CallToolResult) string {
	text := ""
	for _, c := range r.Content {
		if one, ok := c.(*mcp.TextContent); ok {
			text += one.Text
		}
	}
	return text
}

func TestMCP(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.serve(t)
	progress := make(chan string, 100)
	s, err := d.assistant(t, nil, progress)
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) != 4 {
		t.Fatalf("got %+v, %v", list, err)
	}
	params := &mcp.CallToolParams{Name: "search", Arguments: map[string]any{"query": "camera", "max_tokens": 1000}}
	params.SetProgressToken("p")
	r, err := s.CallTool(t.Context(), params)
	if err != nil || r.IsError || !strings.Contains(said(r), `"did_you_mean":"camera"`) {
		t.Fatalf("got %+v, %v", r, err)
	}
	if got := <-progress; !strings.Contains(got, "is pending") {
		t.Errorf("got progress %q", got)
	}
	for query, want := range map[string]string{"": "query: must not be empty", "fail": "not_found: nothing there"} {
		r, err = s.CallTool(t.Context(), &mcp.CallToolParams{Name: "search", Arguments: map[string]any{"query": query}})
		if err != nil || !r.IsError || !strings.Contains(said(r), want) {
			t.Errorf("%q: got %+v, %v, want %s", query, said(r), err, want)
		}
	}
	r, err = s.CallTool(t.Context(), &mcp.CallToolParams{Name: "search", Arguments: map[string]any{"query": "x", "max_tokens": 1}})
	if err != nil || !r.IsError || !strings.Contains(said(r), "max_tokens: must be") {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestMCP_CancelsTheTask: a call that is given up leaves nothing running.
func TestMCP_CancelsTheTask(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	d.serve(t)
	s, err := d.assistant(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := s.CallTool(ctx, &mcp.CallToolParams{Name: "search", Arguments: map[string]any{"query": "hang"}})
		ended <- err
	}()
	for range 2 { // the first one is the one that hangs; the second waits for its end
		select {
		case <-d.started:
			cancel()
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
	}
	brokertest.Until(t, "the task is canceled", func() bool {
		all, err := d.client.Queues(t.Context())
		return err == nil && all[0].Counts[tasks.Active] == 0 && all[0].Counts[tasks.Canceled]+all[0].Counts[tasks.Completed] > 0
	})
}

func TestMCP_Keys(t *testing.T) {
	t.Parallel()
	d := open(t, client.DefaultConfig())
	_, one := d.key(t, keys.Key{Name: "one", Kinds: []string{"search"}, Actions: []keys.Action{keys.Enqueue}})
	_, reader := d.key(t, keys.Key{Name: "reader", Actions: []keys.Action{keys.Read}})
	for _, header := range [][]string{nil, reader} {
		if _, err := d.assistant(t, header, nil); err == nil {
			t.Errorf("%v is let in", header)
		}
	}
	s, err := d.assistant(t, one, nil)
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) != 1 || list.Tools[0].Name != "search" {
		t.Errorf("got %+v, %v", list, err)
	}
	if r, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "config_gen", Arguments: map[string]any{"template": "x"}}); err == nil {
		t.Errorf("got %+v", r)
	}
	d.ask(t, "GET", "/mcp", "", one...).problem(t, 405, "", "")
}
