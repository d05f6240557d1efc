package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/tasks"
)

// program is a small program with one command that tells what it got.
func program(got *string) *cli.App {
	return &cli.App{
		Name: "prog",
		Commands: []*cli.Command{{
			Name: "status", Flags: slices.Concat(RedisFlags(), ClientFlags(), OutputFlags(), []cli.Flag{
				&cli.StringFlag{Name: "payload"}, &cli.StringSliceFlag{Name: "set"}, &cli.DurationFlag{Name: "timeout"},
			}),
			Action: func(c *cli.Context) error {
				if _, err := Broker(c, "test"); err != nil {
					return err
				}
				if _, err := Client(c); err != nil {
					return err
				}
				*got = fmt.Sprintf("json=%v payload=%s set=%q timeout=%s args=%q", c.Bool("json"), c.String("payload"),
					c.StringSlice("set"), c.Duration("timeout"), c.Args().Slice())
				return nil
			},
		}, {Name: "secret", Hidden: true, Action: func(*cli.Context) error { return nil }}},
	}
}

func TestRun_FlagsStandAnywhere(t *testing.T) {
	t.Setenv("REDIS_URL", "redis://127.0.0.1:1")
	want := `json=true payload={"a":1} set=["k=a,b" "l=2"] timeout=2s args=["id"]`
	for _, args := range [][]string{
		{"status", "id", "--json", "--payload", `{"a":1}`, "--set", "k=a,b", "--set", "l=2", "--timeout", "2s"},
		{"--json", "--timeout=2s", "status", "--payload", `{"a":1}`, "id", "--set=k=a,b", "--set", "l=2"},
		{"status", "--set", "k=a,b", "--set", "l=2", "--json=true", "--payload", `{"a":1}`, "--timeout", "2s", "--", "id"},
	} {
		var got string
		var out, errs bytes.Buffer
		if code := Run(t.Context(), program(&got), args, Streams{Out: &out, Err: &errs}); code != 0 || got != want {
			t.Errorf("%q: got code %d, %s, %s; want %s", args, code, got, &errs, want)
		}
	}
	for _, word := range []string{"help", "status", "-", "--x"} {
		var got string
		if code := Run(t.Context(), program(&got), []string{"status", "--", word}, Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}); code != 0 || !strings.Contains(got, fmt.Sprintf("args=[%q]", word)) {
			t.Errorf("%q as an argument: got code %d, %s", word, code, got)
		}
	}
}

func TestRun_WrongUsageIsCode2(t *testing.T) {
	t.Setenv("REDIS_URL", "redis://127.0.0.1:1")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "which command?"},
		{[]string{"statsu"}, `Did you mean "status"?`},
		{[]string{"status", "--nope"}, "there is no flag --nope; see prog status --help"},
		{[]string{"status", "--timeout", "soon"}, `--timeout must be a duration with a unit, as 30s, 5m or 1h30m, got "soon"`},
		{[]string{"status", "--timeout=10"}, `--timeout must be a duration with a unit, as 30s, 5m or 1h30m, got "10"`},
		{[]string{"status", "--timeout"}, "--timeout needs a value"},
		{[]string{"status", "--redis-max-open", "1.5"}, `--redis-max-open must be a whole number, got "1.5"`},
		{[]string{"status", "--json=perhaps"}, `--json must be true or false, got "perhaps"`},
		{[]string{"status", "---x"}, "write -- before arguments"},
		{[]string{"status", "--redis-max-open", "0"}, "max open must be from 1 to 1000, got 0"},
		{[]string{"status", "--redis-url", "http://u:secret@h"}, "unknown scheme"},
		{[]string{"status", "--redis-url", "redis://u:secret@h:port"}, "cannot be read"},
		{[]string{"status", "--queue-limit", "-1"}, "queue limit"},
		{[]string{"status", "--redis-acquire-timeout", "-1s"}, "acquire timeout must be positive"},
	} {
		var got string
		var out, errs bytes.Buffer
		code := Run(t.Context(), program(&got), tt.args, Streams{Out: &out, Err: &errs})
		if code != ExitUsage || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%q: got code %d, %q; want %q", tt.args, code, &errs, tt.want)
		}
		if strings.Contains(errs.String(), "secret") {
			t.Errorf("%q: the password is shown: %s", tt.args, &errs)
		}
	}
}

func TestRun_TheEnvironmentCounts(t *testing.T) {
	var got string
	var errs bytes.Buffer
	if code := Run(t.Context(), program(&got), []string{"status"}, Streams{Out: &bytes.Buffer{}, Err: &errs}); code != ExitUsage || !strings.Contains(errs.String(), "REDIS_URL") {
		t.Errorf("without Redis: got code %d, %s", code, &errs)
	}
	t.Setenv("REDIS_URL", "redis://:hunter2@127.0.0.1:1")
	t.Setenv("JOBYARD_JSON", "true")
	t.Setenv("JOBYARD_PAYLOAD", "stray")
	if code := Run(t.Context(), program(&got), []string{"status"}, Streams{Out: &bytes.Buffer{}, Err: &errs}); code != 0 || !strings.Contains(got, "json=true payload= ") {
		t.Errorf("got code %d, %s; want JSON from the environment, no payload", code, got)
	}
	var help bytes.Buffer
	if code := Run(t.Context(), program(&got), []string{"status", "--help"}, Streams{Out: &help, Err: &errs}); code != 0 {
		t.Errorf("--help: got code %d", code)
	}
	for _, word := range []string{"REDIS_URL", "JOBYARD_QUEUE_LIMIT", "default: 500", "default: 5s"} {
		if !strings.Contains(help.String(), word) {
			t.Errorf("help lacks %q", word)
		}
	}
	if strings.Contains(help.String(), "hunter2") {
		t.Error("help shows the password")
	}
	t.Setenv("JOBYARD_QUEUE_LIMIT", "many")
	errs.Reset()
	if code := Run(t.Context(), program(&got), []string{"status"}, Streams{Out: &bytes.Buffer{}, Err: &errs}); code != ExitUsage || !strings.Contains(errs.String(), `JOBYARD_QUEUE_LIMIT must be a whole number, got "many"`) {
		t.Errorf("bad variable: got code %d, %s", code, &errs)
	}
}

func TestRun_Version(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--version", "-v"} {
		p := program(new(string))
		p.Version = "v1.2.3"
		var out bytes.Buffer
		if code := Run(t.Context(), p, []string{flag}, Streams{Out: &out, Err: &out}); code != 0 || out.String() != "prog v1.2.3\n" {
			t.Errorf("%s: got code %d, %q", flag, code, &out)
		}
	}
	for _, flag := range []string{"--help", "-h"} {
		var out bytes.Buffer
		if code := Run(t.Context(), program(new(string)), []string{flag}, Streams{Out: &out, Err: &out}); code != 0 || !strings.Contains(out.String(), "status") || strings.Contains(out.String(), "secret") {
			t.Errorf("%s: got code %d, %q", flag, code, &out)
		}
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"256MiB": 256 << 20, "1GB": 1e9, "1.5GiB": 3 << 29, "1024": 1024, "10kB": 10_000, "64 KiB": 64 << 10, "2g": 2 << 30, "0": 0, "7b": 7,
	} {
		var b Bytes
		if err := b.Set(text); err != nil || int64(b) != want {
			t.Errorf("%q: got %d, %v; want %d", text, b, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1MB", "1XB", "1e99GB", "nan", "inf", "1 2", "99999999TiB", "0x10"} {
		var b Bytes
		if err := b.Set(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, b)
		}
	}
	for b, want := range map[Bytes]string{256 << 20: "256MiB", 1e9: "1GB", 1500: "1500", 0: "0"} {
		if got := b.String(); got != want {
			t.Errorf("%d: got %s, want %s", b, got, want)
		}
	}
}

func TestSlots(t *testing.T) {
	t.Parallel()
	var s Slots
	if err := s.Set("search=4, document_parse=2"); err != nil || s["search"] != 4 || s["document_parse"] != 2 || len(s) != 2 {
		t.Errorf("got %v, %v", s, err)
	}
	if got := s.String(); got != "search=4,document_parse=2" {
		t.Errorf("got %s", got)
	}
	for _, text := range []string{"", "search", "search=-1", "search=x", "nope=1", "search=1,search=2", "search=99999999999999999999", "search=1,"} {
		if err := s.Set(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, s)
		}
	}
}

func FuzzValues(f *testing.F) {
	f.Add("256MiB")
	f.Add("search=4,document_parse=2")
	f.Fuzz(func(t *testing.T, text string) {
		var b, b2 Bytes
		if b.Set(text) == nil {
			if err := b2.Set(b.String()); err != nil || b != b2 || b < 0 {
				t.Errorf("%q: %d reads back as %d, %v", text, b, b2, err)
			}
		}
		var s, s2 Slots
		if s.Set(text) == nil {
			if err := s2.Set(s.String()); err != nil || s.String() != s2.String() {
				t.Errorf("%q: %v reads back as %v, %v", text, s, s2, err)
			}
		}
	})
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {errors.New("x"), 1}, {&FailedError{1}, 1}, {&tasks.Error{Reason: tasks.ReasonOOM}, 1},
		{Usage("x"), 2}, {tasks.Invalid("kind", "x"), 2}, {client.ErrNotFound, 2}, {&client.ConflictError{ID: "x"}, 2},
		{&client.UnavailableError{Err: errors.New("x")}, 3}, {fmt.Errorf("wait: %w", context.DeadlineExceeded), 3}, {&NoAnswerError{"x"}, 3},
		{&client.FullError{}, 4}, {&client.MemoryError{}, 4}, {fmt.Errorf("%w: x", client.ErrNotDead), 2},
	} {
		if got := ExitCode(tt.err); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	got := Explain("producer", &tasks.InvalidError{Fields: []tasks.FieldError{{Path: "payload.query", Message: "must not be empty"}, {Message: "is odd"}}})
	if want := "producer: the input is not valid\n  payload.query: must not be empty\n  input: is odd\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Explain("producer", &FailedError{2}); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{"127.0.0.1:8080": true, ":0": true, "[::1]:1": true, "8080": false, "h:": false, "h:99999": false, "h:x": false, "": false} {
		if err := address("listen", text); (err == nil) != ok {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestTerminalOf_NoTerminal(t *testing.T) {
	t.Parallel()
	if got := TerminalOf(&bytes.Buffer{}); got.Is || got.Color || got.Width != 80 {
		t.Errorf("got %+v", got)
	}
}
