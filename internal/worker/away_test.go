package worker

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// silence is how long Redis says nothing: longer than a call waits for it. In
// full, with JOBYARD_FULL set, it is the twenty seconds of the promise.
func silence() time.Duration {
	if os.Getenv("JOBYARD_FULL") != "" {
		return 20 * time.Second
	}
	return 6 * time.Second
}

// pass waits.
func pass(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Redis goes away in the midst of work, and comes back: the worker goes on by
// itself, and what was acknowledged before is done once.
func TestWorker_GoesOnWhenRedisIsBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		away func(context.Context, *brokertest.Redis, *broker.Broker) error
		back func(context.Context, *brokertest.Redis) error
	}{
		{"after a silence", func(ctx context.Context, r *brokertest.Redis, _ *broker.Broker) error {
			err := r.Freeze()
			pass(ctx, silence())
			return err
		}, func(_ context.Context, r *brokertest.Redis) error { return r.Thaw() }},
		{"after a crash", func(context.Context, *brokertest.Redis, *broker.Broker) error { return nil }, func(ctx context.Context, r *brokertest.Redis) error {
			r.Kill()
			pass(ctx, time.Second)
			return r.Start(ctx)
		}},
		{"after every connection was cut", func(ctx context.Context, _ *brokertest.Redis, b *broker.Broker) error {
			for _, kind := range []string{"normal", "pubsub"} {
				if err := b.Client().ClientKillByFilter(ctx, "TYPE", kind, "SKIPME", "yes").Err(); err != nil {
					return err
				}
			}
			return nil
		}, func(context.Context, *brokertest.Redis) error { return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := brokertest.Faulty(t, "appendfsync always")
			hold, running := make(chan struct{}), make(chan struct{}, 2)
			var held, more atomic.Int32
			startOn(t, brokertest.Open(t, server.URL), 2, searching(func(_ context.Context, q string) (string, error) {
				if q == "held" {
					held.Add(1)
					running <- struct{}{}
					<-hold
				} else {
					more.Add(1)
				}
				return q, nil
			}))
			c, b := door(t, server.URL)
			ctx := long(t)
			var ids []string
			for _, q := range []string{"held", "held", "waits"} {
				task, err := c.Enqueue(ctx, request(q, tasks.WithMaxRetry(0)))
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, task.ID)
			}
			<-running
			<-running
			if err := tt.away(ctx, server, b); err != nil {
				t.Fatal(err)
			}
			close(hold) // their acknowledgements come while Redis is away
			if err := tt.back(ctx, server); err != nil {
				t.Fatal(err)
			}
			back := time.Now()
			for _, id := range ids {
				until(t, ctx, "it completes", func() bool { got, err := c.Status(ctx, id); return err == nil && got.State.Final() })
				if got, err := c.Status(ctx, id); err != nil || got.State != tasks.Completed || got.Attempts != 1 {
					t.Errorf("got %+v, %v, want it completed at the first attempt", got, err)
				}
			}
			t.Logf("all was done %s after Redis was back", time.Since(back).Round(time.Millisecond))
			if got, err := c.Do(ctx, request("new")); err != nil || got.State != tasks.Completed {
				t.Errorf("a new task: got %+v, %v", got, err)
			}
			if held.Load() != 2 || more.Load() != 2 {
				t.Errorf("got %d and %d runs, want 2 and 2", held.Load(), more.Load())
			}
		})
	}
}

// While it waits, for work or for Redis, a worker leaves the processor to
// others.
func TestWorker_WaitsWithoutBurning(t *testing.T) {
	// Not parallel: the processor time is that of this whole process.
	server := brokertest.Faulty(t)
	startOn(t, brokertest.Open(t, server.URL), 4, searching(func(context.Context, string) (string, error) { return "", nil }))
	c, _ := door(t, server.URL)
	ctx := long(t)
	if got, err := c.Do(ctx, request("q")); err != nil || got.State != tasks.Completed {
		t.Fatal(got, err)
	}
	// The promise is 5 % of a core; the bound leaves room for the race detector.
	const span, most = 2500 * time.Millisecond, 0.25
	for _, state := range []struct {
		name  string
		enter func()
	}{{"idle", func() {}}, {"cut off", server.Kill}} {
		state.enter()
		before := processorTime(t)
		pass(ctx, span)
		share := (processorTime(t) - before).Seconds() / span.Seconds()
		t.Logf("%s: %.1f %% of a core", state.name, 100*share)
		if share > most {
			t.Errorf("%s: got %.1f %% of a core", state.name, 100*share)
		}
	}
	if err := server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, "it works again", func() bool {
		got, err := c.Do(ctx, request("again"))
		return err == nil && got.State == tasks.Completed
	})
}

// processorTime is how much of the processor this process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What asynq has to say again and again is said a few times a minute.
func TestTerse(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := asynqLog{terse(zerolog.New(&out).Level(zerolog.DebugLevel))}
	for range 100 {
		log.Warn("lost")
		log.Error("lost")
		log.Info("fine")
	}
	if lost, fine := strings.Count(out.String(), "lost"), strings.Count(out.String(), "fine"); lost > 12 || lost < 6 || fine != 100 {
		t.Errorf("got %d complaints and %d other lines, want 6 and 100", lost, fine)
	}
}
