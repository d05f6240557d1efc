package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/worker"
	"github.com/jobyard/jobyard/tasks"
)

// serve runs a worker whose search echoes the query and fails on "fail".
func serve(t testing.TB, b *broker.Broker) {
	t.Helper()
	jobs := worker.Jobs{}
	worker.Register(jobs, tasks.Search, func(_ context.Context, p tasks.SearchPayload) (tasks.SearchResult, error) {
		if p.Query == "fail" {
			return tasks.SearchResult{}, fault.PermanentError(tasks.ReasonNotFound, "nothing there")
		}
		return tasks.SearchResult{DidYouMean: p.Query}, nil
	})
	cfg := worker.DefaultConfig()
	cfg.Slots, cfg.DrainTimeout = map[string]int{"search": 4}, time.Second
	w, err := worker.New(cfg, b, &worker.Registry{Jobs: jobs}, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func open(t testing.TB, b *broker.Broker, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func decodeAll(t testing.TB, out string) []tasks.Task {
	t.Helper()
	var all []tasks.Task
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var task tasks.Task
		if err := dec.Decode(&task); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, task)
	}
}

// say writes a line; a reader that is gone shows elsewhere.
func say(w io.Writer, line string) { _, _ = io.WriteString(w, line+"\n") }

func query(i int) string { return fmt.Sprintf(`{"kind":"search","payload":{"query":"q%d"}}`, i) }

func TestRun_AnswersInOrder(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	serve(t, b)
	// A queue of 20 makes the batch wait for room again and again.
	c := open(t, b, client.Config{QueueLimit: 10, BulkLimit: 20})
	var in strings.Builder
	const n = 500
	for i := range n {
		fmt.Fprintln(&in, query(i))
	}
	cfg := DefaultConfig()
	cfg.Window = 50
	var out bytes.Buffer
	var last Summary
	s, err := Run(t.Context(), cfg, c, Streams{strings.NewReader(in.String()), &out, func(s Summary) { last = s }})
	if err != nil || s.Lines != n || s.Completed != n || s != last {
		t.Fatalf("got %+v, %v; want %d completed", s, err, n)
	}
	for i, task := range decodeAll(t, out.String()) {
		r, err := tasks.Search.Result(task)
		if err != nil || r.DidYouMean != fmt.Sprint("q", i) || task.Queue != "search:bulk" {
			t.Fatalf("line %d: got %+v, %v", i, task, err)
		}
	}
}

func TestRun_EachLineHasItsAnswer(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	serve(t, b)
	c := open(t, b, client.DefaultConfig())
	in := "\xef\xbb\xbf" + query(0) + "\r\n" + // a byte order mark and DOS line ends
		"\n  \n" +
		`{"kind":"serch","payload":{"query":"x"}}` + "\n" +
		`{"kind":"search","payload":{"query":"x"}` + "\n" +
		`{"kind":"search","payload":{"query":7}}` + "\n" +
		`{"kind":"search","payload":{"query":"x","limit":-1}}` + "\n" +
		`{"kind":"search","payload":{"query":"x"},"options":{"timeout":"-1s"}}` + "\n" +
		`{"kind":"search","payload":{"query":"x"},"color":"red"}` + "\n" +
		`{"kind":"search","payload":{"query":"fail"}}` + "\n" +
		`{"kind":"search","payload":{"query":"one"},"options":{"id":"same"}}` + "\n" +
		`{"kind":"search","payload":{"query":"one"},"options":{"id":"same"}}` + "\n" +
		`{"kind":"search","payload":{"query":"two"},"options":{"id":"same"}}` + "\n" +
		`[]` + "\n" + `null` + "\n" + `"` + strings.Repeat("x", MaxLine) + `"` + "\n" +
		query(1) // and no line end
	var out bytes.Buffer
	s, err := Run(t.Context(), DefaultConfig(), c, Streams{strings.NewReader(in), &out, nil})
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ kind, path, message string }{
		{"search", "", ""},
		{"", "kind", "line 4: kind: must be one of"},
		{"", "line", "line 5"},
		{"search", "payload.query", "line 6"},
		{"search", "payload.limit", "line 7"},
		{"search", "options.timeout", "line 8"},
		{"search", "color", "line 9"},
		{"search", "", "nothing there"},
		{"search", "", ""},
		{"search", "", ""},
		{"search", "options.id", "line 13"},
		{"", "line", "line 14"},
		{"", "line", "line 15: line: must be a JSON object, got null"},
		{"", "line", "line 16: line: must not be over"},
		{"search", "", ""},
	}
	got := decodeAll(t, out.String())
	if len(got) != len(want) || s.Lines != len(want) || s.Completed != 4 || s.Failed != 11 || s.Invalid != 10 {
		t.Fatalf("got %d answers, %+v", len(got), s)
	}
	for i, w := range want {
		g := got[i]
		switch {
		case g.Kind != w.kind:
			t.Errorf("answer %d: got kind %q, want %q", i, g.Kind, w.kind)
		case w.message == "" && g.State != tasks.Completed, w.message != "" && g.State != tasks.Archived:
			t.Errorf("answer %d: got state %s: %v", i, g.State, g.Error)
		case w.message != "" && !strings.Contains(g.Error.Message, w.message):
			t.Errorf("answer %d: got %q, want %q", i, g.Error.Message, w.message)
		case w.path != "" && (g.Error.Reason != tasks.ReasonInvalid || g.Error.Fields[0].Path != w.path):
			t.Errorf("answer %d: got %+v, want the path %q", i, g.Error, w.path)
		}
	}
	if got[8].ID != "same" || got[9].ID != "same" {
		t.Errorf("the same id made two tasks: %s, %s", got[8].ID, got[9].ID)
	}
}

func TestRun_ReportsWhatStandsStill(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.WaitTimeout = time.Second
	for _, test := range []struct {
		name                    string
		lines, unfinished, room int
	}{
		{"it waits for results", 2, 2, 3},
		{"it waits for room", 5, 3, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t) // and no worker
			c := open(t, b, client.Config{QueueLimit: 10, BulkLimit: test.room})
			var out bytes.Buffer
			in := strings.Repeat(query(1)+"\n", test.lines)
			s, err := Run(t.Context(), cfg, c, Streams{strings.NewReader(in), &out, nil})
			var still *StandstillError
			if !errors.As(err, &still) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want a standstill", err)
			}
			if s.Unfinished != test.unfinished {
				t.Fatalf("got %+v, want %d tasks as last seen", s, test.unfinished)
			}
			for _, task := range decodeAll(t, out.String()) {
				if task.ID == "" {
					t.Errorf("got %+v, want an id", task)
				}
			}
		})
	}
}

func TestRun_AnswersWhileTheInputGoesOn(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	serve(t, b)
	c := open(t, b, client.DefaultConfig())
	in, feed := io.Pipe()
	answered := make(chan struct{}, 2)
	go func() {
		say(feed, query(1))
		<-answered
		say(feed, query(2))
		<-answered
		feed.Close()
	}()
	s, err := Run(t.Context(), DefaultConfig(), c, Streams{in, io.Discard, func(Summary) { answered <- struct{}{} }})
	if err != nil || s.Completed != 2 {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		c := newClock(time.Minute, stop)
		defer c.close()
		wait := func(d time.Duration, stands bool, when string) {
			t.Helper()
			<-time.After(d) // of the bubble's clock
			synctest.Wait()
			if got := ctx.Err() != nil; got != stands {
				t.Fatalf("%s: got stopped %v, want %v", when, got, stands)
			}
		}
		wait(time.Hour, false, "waiting for input")
		c.add(2)
		wait(50*time.Second, false, "two tasks are pending")
		c.done()
		wait(50*time.Second, false, "one has ended")
		c.pause()
		wait(time.Hour, false, "our reader is slow")
		c.resume()
		wait(50*time.Second, false, "our reader goes on")
		c.done()
		wait(time.Hour, false, "nothing is pending")
		c.add(1)
		wait(61*time.Second, true, "nothing moves")
	})
}

func TestRun_StopsWhenRedisGoes(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	b := brokertest.Open(t, server.URL)
	c := open(t, b, client.DefaultConfig())
	in, feed := io.Pipe()
	go func() {
		say(feed, query(1))
		server.Close()
		say(feed, query(2))
	}()
	var away *client.UnavailableError
	if _, err := Run(t.Context(), DefaultConfig(), c, Streams{in, io.Discard, nil}); !errors.As(err, &away) {
		t.Errorf("got %v, want an UnavailableError", err)
	}
}

func TestRun_StopsWhenItCannotWrite(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := open(t, b, client.DefaultConfig())
	out, gone := io.Pipe()
	out.CloseWithError(errors.New("disk full"))
	in := strings.Repeat("{}\n", 100)
	if _, err := Run(t.Context(), DefaultConfig(), c, Streams{strings.NewReader(in), gone, nil}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v, want what the writer said", err)
	}
}

func TestRun_StopsWithItsContext(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := open(t, b, client.DefaultConfig())
	in, _ := io.Pipe() // says nothing, like a terminal
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, DefaultConfig(), c, Streams{in, io.Discard, nil}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	err := Config{Window: -1, WaitTimeout: -time.Second}.Validate()
	if err == nil || !strings.Contains(err.Error(), "got -1\n") || !strings.Contains(err.Error(), "got -1s") {
		t.Errorf("got %v, want both faults", err)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\n\nb\r\nc"), 2)
	f.Add([]byte("long line\nx"), 3)
	f.Fuzz(func(t *testing.T, text []byte, most int) {
		if most < 1 || most > 1000 {
			return
		}
		var want []line
		for i, part := range bytes.Split(text, []byte("\n")) {
			long := len(part) > most
			if i == 0 && !long {
				part = bytes.TrimPrefix(part, []byte("\xef\xbb\xbf"))
			}
			if long {
				want = append(want, line{i + 1, nil})
			} else if len(bytes.TrimSpace(part)) > 0 {
				want = append(want, line{i + 1, part})
			}
		}
		l := newLines(bytes.NewReader(text), most)
		for _, w := range want {
			got, err := l.next()
			if err != nil || got.number != w.number || !bytes.Equal(got.text, w.text) || (got.text == nil) != (w.text == nil) {
				t.Fatalf("got %d %q, %v; want %d %q", got.number, got.text, err, w.number, w.text)
			}
		}
		if got, err := l.next(); !errors.Is(err, io.EOF) {
			t.Fatalf("got %d %q, %v; want the end", got.number, got.text, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(query(1)))
	f.Add([]byte(`{"kind":"search","payload":`))
	f.Fuzz(func(t *testing.T, text []byte) {
		i := decode(line{1, text})
		if i.refused && (i.task.State != tasks.Archived || len(i.task.Error.Fields) == 0 || i.task.Error.Fields[0].Path == "") {
			t.Errorf("%q: got %+v, want a path", text, i.task)
		}
	})
}

// BenchmarkRun runs a batch through Redis and a worker; one operation is one task.
func BenchmarkRun(b *testing.B) {
	r := brokertest.Start(b)
	serve(b, r)
	c := open(b, r, client.DefaultConfig())
	in := strings.Repeat(query(1)+"\n", b.N)
	b.ResetTimer()
	if s, err := Run(b.Context(), DefaultConfig(), c, Streams{strings.NewReader(in), io.Discard, nil}); err != nil || s.Completed != b.N {
		b.Fatal(s, err)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(0, 0)
	p := NewProgress(&out, false, 5)
	p.now = func() time.Time { return now }
	p.start, p.told = now, now
	p.Show(Summary{Lines: 1})
	now = now.Add(11 * time.Second)
	p.Show(Summary{Lines: 2, Failed: 1})
	p.Show(Summary{Lines: 3, Failed: 1})
	now = now.Add(time.Second)
	p.Close(Summary{Lines: 5, Completed: 3, Failed: 1, Invalid: 1, Unfinished: 1})
	want := "batch: 2 of 5 lines, 1 failed\nbatch: 5 lines, 3 completed, 1 failed (1 not valid), 1 not done in 12s\n"
	if got := out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	bar := NewProgress(&out, true, 5)
	bar.Show(Summary{Lines: 1})
	bar.Close(Summary{Lines: 5})
}

func TestCount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "\n": 0, "a": 1, "a\n": 1, "a\n \nb": 2, strings.Repeat("x", 70_000) + "\ny\n": 2, "\r\na\r\n": 1} {
		if got, err := Count(strings.NewReader(text)); got != want || err != nil {
			t.Errorf("%.10q: got %d, %v; want %d", text, got, err, want)
		}
	}
}
