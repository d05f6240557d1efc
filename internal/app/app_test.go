package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func recorder(order *[]string) func(a *App, name string, err error) {
	return func(a *App, name string, err error) {
		a.OnClose(name, func() error {
			*order = append(*order, name)
			return err
		})
	}
}

func TestRun_ClosesInReverseOrder(t *testing.T) {
	t.Parallel()
	var order []string
	opened := recorder(&order)
	ctx, cancel := context.WithCancel(t.Context())
	err := Run(ctx, zerolog.Nop(), func(ctx context.Context, a *App) error {
		opened(a, "redis", nil)
		opened(a, "client", nil)
		a.Go("part", func() error {
			<-ctx.Done()
			order = append(order, "part")
			return ctx.Err()
		})
		opened(a, "server", nil)
		cancel()
		return nil
	})
	if err != nil {
		t.Fatalf("got %v, want no error: an end by signal is none", err)
	}
	if want := []string{"part", "server", "client", "redis"}; !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
}

func TestRun_UnwindsAFailedStart(t *testing.T) {
	t.Parallel()
	var order []string
	opened := recorder(&order)
	broken, second := errors.New("port in use"), errors.New("disk full")
	stopped := make(chan struct{})
	err := Run(t.Context(), zerolog.Nop(), func(ctx context.Context, a *App) error {
		opened(a, "redis", nil)
		opened(a, "cache", second)
		a.Go("part", func() error {
			<-ctx.Done()
			close(stopped)
			return nil
		})
		return broken
	})
	<-stopped
	if !errors.Is(err, broken) || !errors.Is(err, second) {
		t.Errorf("got %v, want both errors", err)
	}
	if want := []string{"cache", "redis"}; !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
}

func TestRun_TheFirstToFailStopsTheRest(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	err := Run(t.Context(), zerolog.Nop(), func(ctx context.Context, a *App) error {
		a.Go("steady", func() error {
			<-ctx.Done()
			return errors.New("late")
		})
		a.Go("done", func() error { return nil })
		a.Go("failing", func() error { return broken })
		return nil
	})
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "failing: ") || strings.Contains(err.Error(), "late") {
		t.Errorf("got %v, want the first failure alone, under its name", err)
	}
}

func TestApp_KeepOutlivesWhatReliesOnIt(t *testing.T) {
	t.Parallel()
	var order []string
	ctx, cancel := context.WithCancel(t.Context())
	err := Run(ctx, zerolog.Nop(), func(ctx context.Context, a *App) error {
		recorder(&order)(a, "library", nil)
		a.Keep(ctx, "replica", func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, "replica")
			return ctx.Err()
		})
		a.Go("worker", func() error {
			<-ctx.Done()
			order = append(order, "worker")
			return nil
		})
		cancel()
		return nil
	})
	if want := []string{"worker", "replica", "library"}; err != nil || !slices.Equal(order, want) {
		t.Errorf("got %v, %v; want %v", order, err, want)
	}
	broken := errors.New("index damaged")
	err = Run(t.Context(), zerolog.Nop(), func(ctx context.Context, a *App) error {
		a.Keep(ctx, "replica", func(context.Context) error { return broken })
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want what failed", err)
	}
}

func TestApp_CloseTwice(t *testing.T) {
	t.Parallel()
	n := 0
	a, ctx := New(t.Context(), zerolog.Nop())
	a.OnClose("once", func() error { n++; return errors.New("no") })
	if err := a.Close(); err == nil || !strings.Contains(err.Error(), "close once") {
		t.Errorf("got %v, want the error under its name", err)
	}
	if err := a.Close(); err != nil || n != 1 {
		t.Errorf("got %v after %d closings, want none after 1", err, n)
	}
	if ctx.Err() == nil {
		t.Error("the context goes on after Close")
	}
}

func TestWatch_TheSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	signals, done, codes := make(chan os.Signal, 2), make(chan struct{}), make(chan int, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	go watch(signals, done, cancel, func(code int) { codes <- code })
	signals <- syscall.SIGTERM
	<-ctx.Done()
	var s *SignalError
	if !errors.As(context.Cause(ctx), &s) || s.Signal != syscall.SIGTERM {
		t.Fatalf("got cause %v, want SIGTERM", context.Cause(ctx))
	}
	select {
	case <-codes:
		t.Fatal("the first signal ended the process")
	default:
	}
	signals <- syscall.SIGINT
	if got := <-codes; got != 130 {
		t.Errorf("got code %d, want 130", got)
	}
}

func TestSignals(t *testing.T) { // not parallel: signals belong to the process
	ctx, stop := Signals(t.Context(), func(int) { t.Error("ended by one signal") })
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
}

func TestListen_SaysWhoseThePortIs(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0", "listen")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Listen(t.Context(), l.Addr().String(), "listen")
	if !InUse(err) || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("got %v, want the address and the flag", err)
	}
	if _, err = Listen(t.Context(), "256.0.0.1:1", "listen"); err == nil || InUse(err) {
		t.Errorf("got %v, want another error for a bad address", err)
	}
}

func TestServe_AnswersUntilTheClosing(t *testing.T) {
	t.Parallel()
	address := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var during int
	go func() {
		ended <- Run(ctx, zerolog.Nop(), func(ctx context.Context, a *App) error {
			l, err := Listen(ctx, "127.0.0.1:0", "listen")
			if err != nil {
				return err
			}
			a.Serve("admin", l, Admin(AdminConfig{Address: l.Addr().String(), Metrics: Metrics(NewRegistry())}), time.Minute)
			a.Go("draining", func() error {
				<-ctx.Done()
				during = status(t, "http://"+l.Addr().String()+"/healthz")
				return nil
			})
			address <- l.Addr().String()
			return nil
		})
	}()
	at := "http://" + <-address
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/debug/pprof/": 200, "/nothing": 404} {
		if got := status(t, at+path); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if during != 200 {
		t.Errorf("while draining: got %d, want 200", during)
	}
	if err := healthcheck(t.Context(), at+"/healthz"); err == nil {
		t.Error("answers after the end")
	}
}

func status(t *testing.T, url string) int {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer r.Body.Close()
	return r.StatusCode
}

func TestAdmin_ReadyNamesWhatFails(t *testing.T) {
	t.Parallel()
	h := Admin(AdminConfig{Address: "0.0.0.0:9", Metrics: Metrics(NewRegistry()), Checks: map[string]Check{
		"redis": func(context.Context) error { return errors.New("away") },
		"disk":  func(context.Context) error { return nil },
	}})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != 503 || !strings.Contains(w.Body.String(), `"redis":"away"`) || strings.Contains(w.Body.String(), "disk") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/debug/pprof/", nil))
	if w.Code != 404 {
		t.Errorf("pprof on a public address: got %d, want 404", w.Code)
	}
}

func TestAdmin_AboutAndDump(t *testing.T) {
	t.Parallel()
	cfg := AdminConfig{
		Address: "127.0.0.1:9", Metrics: Metrics(NewRegistry()),
		About: func() map[string]any { return map[string]any{"sandbox": "full"} },
		Dump:  func(w io.Writer) error { return second(io.WriteString(w, "all that runs")) },
	}
	ask := func(h http.Handler, path string) (int, string) {
		r := httptest.NewRequest("GET", "http://127.0.0.1:9"+path, nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	h := Admin(cfg)
	if code, text := ask(h, "/healthz"); code != 200 || !strings.Contains(text, `"sandbox":"full"`) || !strings.Contains(text, `"status":"ok"`) {
		t.Errorf("got %d %s", code, text)
	}
	if code, text := ask(h, "/debug/dump"); code != 200 || text != "all that runs" {
		t.Errorf("got %d %s", code, text)
	}
	cfg.Address = "0.0.0.0:9"
	if code, _ := ask(Admin(cfg), "/debug/dump"); code != 404 {
		t.Errorf("a dump on a public address: got %d, want 404", code)
	}
}

func second[T any](_ T, err error) error { return err }

// A signal calls the function each time, and ends nothing.
func TestEachQuit(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls, ended := make(chan struct{}), make(chan struct{})
	// Until EachQuit listens, the signal would end the tests.
	guard := make(chan os.Signal, 1)
	signal.Notify(guard, syscall.SIGQUIT)
	defer signal.Stop(guard)
	go func() { defer close(ended); EachQuit(ctx, func() { calls <- struct{}{} }) }()
	for n := 0; n < 2; {
		if err := syscall.Kill(os.Getpid(), syscall.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		select {
		case <-calls:
			n++
		case <-time.After(50 * time.Millisecond): // it does not listen yet
		}
	}
	cancel()
	for {
		select {
		case <-ended:
			return
		case <-calls: // a signal too many
		}
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ok" {
			w.WriteHeader(503)
			_, _ = io.WriteString(w, "redis is away")
		}
	}))
	defer s.Close()
	if err := healthcheck(t.Context(), s.URL+"/ok"); err != nil {
		t.Error(err)
	}
	if err := healthcheck(t.Context(), s.URL+"/no"); err == nil || !strings.Contains(err.Error(), "redis is away") {
		t.Errorf("got %v, want what the server said", err)
	}
	if err := healthcheck(t.Context(), "::"); err == nil {
		t.Error("a bad URL passes")
	}
}

func TestNewLogger(t *testing.T) {
	t.Parallel()
	var text, json strings.Builder
	for w, cfg := range map[io.Writer]LogConfig{&text: {Text: true}, &json: {Level: zerolog.WarnLevel}} {
		l := NewLogger(w, cfg)
		l.Info().Msg("quiet")
		l.Warn().Str("part", "x").Msg("loud")
	}
	if got := text.String(); !strings.Contains(got, "WRN loud part=x") || !strings.Contains(got, "quiet") || strings.Contains(got, "\x1b") {
		t.Errorf("text: got %q", got)
	}
	if got := json.String(); !strings.HasPrefix(got, `{"level":"warn"`) || strings.Contains(got, "quiet") {
		t.Errorf("json: got %q", got)
	}
}

// A builder is not safe for several at once, as a file is; the race detector
// finds what is not guarded.
func TestNewLogger_ManyAtOnce(t *testing.T) {
	t.Parallel()
	for _, cfg := range []LogConfig{{}, {Text: true}} {
		var out strings.Builder
		l := NewLogger(&out, cfg)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { l.Info().Msg("here") })
		}
		all.Wait()
		if got := strings.Count(out.String(), "here"); got != 20 {
			t.Errorf("text %t: got %d lines, want 20", cfg.Text, got)
		}
	}
}
