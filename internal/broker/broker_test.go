package broker_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

func TestOpen_SaysWhereRedisIsMissing(t *testing.T) {
	t.Parallel()
	cfg := broker.DefaultConfig()
	cfg.URL = "redis://:hunter2@127.0.0.1:1"
	start := time.Now()
	_, err := broker.Open(t.Context(), cfg, zerolog.Nop())
	var away *broker.UnavailableError
	if !errors.As(err, &away) || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), "--redis-url") {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error tells the password: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s, promised is an answer within 5s", took)
	}
}

func TestOpen_SaysThatAPasswordIsWanted(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t, "")
	b := brokertest.Open(t, server.URL)
	if err := b.Client().ConfigSet(t.Context(), "requirepass", "hunter2").Err(); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		server.URL: "wants a password",
		strings.Replace(server.URL, "unix://", "unix://:wrong@", 1): "check the user name and password",
	} {
		cfg := broker.DefaultConfig()
		cfg.URL = url
		if _, err := broker.Open(t.Context(), cfg, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestConfig_ValidateNamesEveryFault(t *testing.T) {
	t.Parallel()
	err := broker.Config{URL: "ftp://h", MaxOpen: 0, MinIdle: 3}.Validate()
	for _, want := range []string{"scheme", "max open", "min idle", "acquire timeout", "idle timeout", "health check", "call timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in: %v", want, err)
		}
	}
}

// The layout of asynq's keys is what our scripts rely on: this fails when a
// new version changes it.
func TestIntercept_KnowsEveryScript(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	seen := make(chan broker.Op, 1000)
	c := broker.Intercept(b.Client(), func(_ context.Context, call broker.Call) *redis.Cmd {
		select {
		case seen <- call.Op:
		default:
		}
		return nil
	})
	client := asynq.NewClientFromRedisClient(c)
	for _, opts := range [][]asynq.Option{
		{asynq.TaskID("done")},
		{asynq.TaskID("complete"), asynq.Retention(time.Minute)},
		{asynq.TaskID("retry"), asynq.MaxRetry(1)},
		{asynq.TaskID("archive"), asynq.MaxRetry(0)},
		{asynq.TaskID("schedule"), asynq.ProcessIn(time.Hour)},
		{asynq.TaskID("requeue")},
	} {
		if _, err := client.Enqueue(asynq.NewTask("x", nil), opts...); err != nil {
			t.Fatal(err)
		}
	}
	server := asynq.NewServerFromRedisClient(c, asynq.Config{
		TaskCheckInterval: 5 * time.Millisecond, DelayedTaskCheckInterval: 5 * time.Millisecond, ShutdownTimeout: time.Millisecond,
		LogLevel: asynq.FatalLevel, Concurrency: 10,
	})
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		switch id, _ := asynq.GetTaskID(ctx); id {
		case "retry", "archive":
			return errors.New(id)
		case "requeue":
			<-t.Context().Done()
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	missing := map[broker.Op]bool{
		broker.OpEnqueue: true, broker.OpSchedule: true, broker.OpDequeue: true, broker.OpDone: true, broker.OpComplete: true,
		broker.OpRetry: true, broker.OpArchive: true, broker.OpForward: true,
	}
	deadline := time.After(10 * time.Second)
	for len(missing) > 0 {
		select {
		case op := <-seen:
			delete(missing, op)
		case <-deadline:
			t.Fatalf("scripts not recognized: %v", missing)
		}
	}
	server.Shutdown()
	for op := range seen {
		if op == broker.OpRequeue {
			return
		}
		if len(seen) == 0 {
			break
		}
	}
	t.Error("script not recognized: requeue")
}

func TestNodes(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	now := time.Now()
	for id, seen := range map[string]time.Time{"old": now.Add(-time.Minute), "new": now} {
		if err := b.PutNode(t.Context(), broker.Node{ID: id, State: "running", SeenAt: seen}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := b.Nodes(t.Context())
	if err != nil || len(got) != 2 || got[0].ID != "new" || !got[0].Up(now) || got[1].Up(now) {
		t.Errorf("got %+v, %v, want new (up) before old (down)", got, err)
	}
	if err := b.Client().LPush(t.Context(), "jobyard:node:list", "no node").Err(); err != nil {
		t.Fatal(err)
	}
	if err := b.Client().ZAdd(t.Context(), "jobyard:nodes", redis.Z{Score: float64(now.UnixMilli()), Member: "list"}).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Nodes(t.Context()); err != nil || len(got) != 2 {
		t.Errorf("with something else under a node's key: got %+v, %v, want the others", got, err)
	}
}

func TestEmbedded_KeepsItsData(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH")
	}
	dir := t.TempDir()
	for i, want := range []string{"", "1"} {
		e, err := broker.StartEmbedded(t.Context(), broker.EmbeddedConfig{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		b := brokertest.Open(t, e.URL)
		got, err := b.Client().Get(t.Context(), "k").Result()
		if err != nil && !errors.Is(err, redis.Nil) || got != want {
			t.Errorf("start %d: got %q, %v, want %q", i, got, err, want)
		}
		if err := b.Client().Set(t.Context(), "k", "1", 0).Err(); err != nil {
			t.Fatal(err)
		}
		b.Close()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(e.PID, 0); err == nil {
			t.Errorf("start %d: the server is still there after Close", i)
		}
	}
}

func TestEmbedded_SaysWhyItDoesNotStart(t *testing.T) {
	t.Parallel()
	no, err := exec.LookPath("false")
	if err != nil {
		t.Skip("no program that fails at once")
	}
	_, err = broker.StartEmbedded(t.Context(), broker.EmbeddedConfig{Dir: t.TempDir(), Binary: no})
	if err == nil || !strings.Contains(err.Error(), "exited at once") {
		t.Errorf("got %v", err)
	}
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := broker.StartEmbedded(t.Context(), broker.EmbeddedConfig{Dir: file, Binary: no}); err == nil {
		t.Error("a file as data directory: got no error")
	}
}

// Where no redis-server is found the yard still runs, and what is to expire
// does.
func TestEmbedded_WithoutRedisServer(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	e, err := broker.StartEmbedded(t.Context(), broker.EmbeddedConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if e.Engine != "miniredis" {
		t.Fatalf("got %s", e.Engine)
	}
	b := brokertest.Open(t, e.URL)
	if got, err := b.Client().Info(t.Context(), "memory").Result(); err != nil || got != "" {
		t.Errorf("got %q, %v, want an empty section, as Redis answers what it does not know", got, err)
	}
	if got, err := b.Client().Info(t.Context(), "stats").Result(); err != nil || got == "" {
		t.Errorf("got %q, %v, want the section that it has", got, err)
	}
	if err := b.Client().Set(t.Context(), "k", "1", 150*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "a key's time to live ends", func() bool { return b.Client().Exists(t.Context(), "k").Val() == 0 })
}
