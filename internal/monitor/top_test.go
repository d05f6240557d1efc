package monitor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"github.com/jobyard/jobyard/internal/broker"
)

func quick() Config {
	cfg := DefaultConfig()
	cfg.SampleEvery = 500 * time.Millisecond
	return cfg
}

func fresh(n *broker.Node) { n.SeenAt, n.StartedAt = time.Now(), time.Now().Add(-time.Minute) }

func TestTop_PlainText(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enqueue("search", 500)
	y.node("n1", fresh, func(n *broker.Node) {
		n.Kinds["search"] = broker.NodeKind{Slots: 2, Busy: 2, Wait: broker.Spread{0, 0, 5}, Run: broker.Spread{0, 0, 0, 9}, RunSeconds: 9}
	})
	y.node("evil\x1b[2J", fresh, func(n *broker.Node) { n.Budget.Rest = 0.3 })
	var out strings.Builder
	if err := Top(t.Context(), quick(), y.broker, Screen{Out: &out}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Queue search is full", "500    500  ██████████", "100 MiB", "evil\uFFFD[2J", "2 min 5 s", "workers wanted", "slowed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("an escape sequence is written where there is no terminal")
	}
}

// screen is a terminal of 60 columns and 12 rows.
type screen struct {
	strings.Builder
	drawn chan struct{}
}

func (s *screen) Write(b []byte) (int, error) {
	n, err := s.Builder.Write(b)
	select {
	case s.drawn <- struct{}{}:
	default:
	}
	return n, err
}

func (s *screen) WriteString(text string) (int, error) { return s.Write([]byte(text)) }

func TestTop_OnATerminal(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	for i := range 20 {
		y.node(string(rune('a'+i)), fresh)
	}
	quit := make(chan struct{})
	s := &screen{drawn: make(chan struct{}, 10)}
	ended := make(chan error, 1)
	go func() {
		ended <- Top(t.Context(), quick(), y.broker, Screen{Out: s, Color: true, Size: func() (int, int) { return 60, 12 }, Quit: quit})
	}()
	for range 3 {
		<-s.drawn
	}
	close(quit)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	text := s.String()
	if !strings.HasPrefix(text, enterScreen) || !strings.HasSuffix(text, leaveScreen) {
		t.Error("the screen is not given back")
	}
	frame := strings.Split(strings.TrimSuffix(text, leaveScreen), homeScreen)[1]
	lines := strings.Split(frame, "\r\n")
	if len(lines) != 12 || !strings.Contains(lines[11], "more lines; q ends") {
		t.Errorf("got %d lines, want 12 and what is hidden:\n%s", len(lines), frame)
	}
}

func TestNarrow(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"short":                       "short",
		"twelve chars":                "twelve c",
		"\x1b[31mtwelve\x1b[0m chars": "\x1b[31mtwelve\x1b[0m c\x1b[0m",
		"日本語日本語":                      "日本語日",
	} {
		if got := narrow(in, 8); got != want || uniseg.StringWidth(got) > 40 {
			t.Errorf("narrow(%q): got %q, want %q", in, got, want)
		}
	}
	if got := spark([]float64{0.1, 0.2, 0.3}); got != "▁▄█" {
		t.Errorf("got %q", got)
	}
	if got := spark([]float64{0.1, 0.1001, 0.1}); got != "▁▁▁" {
		t.Errorf("got %q, want it flat", got)
	}
}

func TestTop_RedisAway(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	y := openYard(t, r.open(t))
	r.stop()
	if err := Top(context.Background(), quick(), y.broker, Screen{Out: &strings.Builder{}}); err == nil {
		t.Error("got no error")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	check := func() (Level, string) {
		t.Helper()
		var out strings.Builder
		level, err := Check(t.Context(), DefaultConfig(), y.broker, &out)
		if err != nil {
			t.Fatal(err)
		}
		return level, out.String()
	}
	y.node("n1", fresh)
	if level, text := check(); level != OK || !strings.HasPrefix(text, "ok: All is well") || strings.Count(text, "\n") != 1 {
		t.Errorf("got %v, %q", level, text)
	}
	y.enqueue("search", 450)
	if level, text := check(); level != Warn || !strings.HasPrefix(text, "warn: Queue search is filling") {
		t.Errorf("got %v, %q", level, text)
	}
	y.enqueue("search", 50)
	if level, text := check(); level != Bad || !strings.HasPrefix(text, "bad: Queue search is full") {
		t.Errorf("got %v, %q", level, text)
	}
}
