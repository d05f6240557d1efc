// Package monitor watches the yard: its queues, its nodes and Redis, as a live
// page, as JSON, as Prometheus metrics, as warnings in the log and as a table
// for the terminal. Asynqmon is mounted beside it for single tasks.
//
// Everything it shows lies in Redis, so any number of monitors may run at once
// and none of them has to. It only reads, unless it is started to let its pages
// cancel and retry tasks, replay and delete dead letters, and drain nodes. While Redis is away it goes on
// answering, says so, and shows the last sample. What others wrote into Redis
// (names of nodes, their figures) is bounded and cleaned before use.
//
// It owns the key jobyard:lead:alerts, by which one of several monitors speaks
// for all. Run samples until its context ends; Close ends the live
// streams and its own connections, not the broker.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/monitor/notify"
	"github.com/jobyard/jobyard/internal/monitor/scale"
	"github.com/jobyard/jobyard/internal/results"
)

// Config says what is watched how closely.
type Config struct {
	// QueueLimit and BulkLimit are how many tasks may wait in an interactive
	// and in a bulk queue: the producers' limits, repeated here.
	QueueLimit, BulkLimit int
	// MemoryWarn is the part of its memory limit from which a node is reported.
	MemoryWarn float64
	// WaitWarn is how long a task that somebody waits for may wait for a slot
	// before that is reported, BulkWaitWarn one of a batch.
	WaitWarn, BulkWaitWarn time.Duration
	// Scale says how many workers are wanted.
	Scale scale.Config
	// Alerts says who is told what is wrong, beside the log.
	Alerts notify.Config
	// Password is asked for by everything but the health checks; empty means that
	// nobody is asked. It is no part of any log.
	Password string `json:"-"`
	// AllowRemote serves other machines too while there is no password.
	AllowRemote bool
	// ReadOnly keeps the pages from changing anything.
	ReadOnly bool
	// AsynqmonReadOnly keeps Asynqmon from changing anything.
	AsynqmonReadOnly bool
	// BlobDir is the shared directory of large payloads and results, which the
	// monitor helps to sweep; empty means that they lie in Redis.
	BlobDir string
	// History is how far back the page's curves reach.
	History time.Duration
	// SampleEvery is the period of the samples.
	SampleEvery time.Duration
}

// DefaultConfig returns the defaults of the design.
func DefaultConfig() Config {
	return Config{
		QueueLimit: 500, BulkLimit: 50000, MemoryWarn: 0.80, WaitWarn: 30 * time.Second, BulkWaitWarn: 30 * time.Minute,
		Scale: scale.DefaultConfig(), ReadOnly: true, AsynqmonReadOnly: true,
		History: time.Hour, SampleEvery: broker.HeartbeatEvery,
	}
}

// Validate reports every setting that is out of bounds.
func (c Config) Validate() error {
	check := func(ok bool, format string, args ...any) error {
		if ok {
			return nil
		}
		return fmt.Errorf("monitor: "+format, args...)
	}
	return errors.Join(
		c.Scale.Validate(), c.Alerts.Validate(),
		check(c.Password == "" || len(c.Password) >= minPassword && len(c.Password) <= maxPassword, "page password must have from %d to %d bytes, got %d", minPassword, maxPassword, len(c.Password)),
		check(c.WaitWarn >= time.Second && c.WaitWarn <= 24*time.Hour, "wait warning must be from 1s to 24h, got %s", c.WaitWarn),
		check(c.BulkWaitWarn >= c.WaitWarn && c.BulkWaitWarn <= 7*24*time.Hour, "bulk wait warning must be from the wait warning (%s) to 168h, got %s", c.WaitWarn, c.BulkWaitWarn),
		check(c.QueueLimit >= 1 && c.QueueLimit <= 10_000_000, "queue limit must be from 1 to 10000000, got %d", c.QueueLimit),
		check(c.BulkLimit >= 1 && c.BulkLimit <= 10_000_000, "bulk queue limit must be from 1 to 10000000, got %d", c.BulkLimit),
		check(c.MemoryWarn >= 0.2 && c.MemoryWarn <= 0.99, "memory warning must be from 0.2 to 0.99 of the limit, got %g", c.MemoryWarn),
		check(c.SampleEvery >= 500*time.Millisecond && c.SampleEvery <= time.Minute, "sample period must be from 500ms to 1m, got %s", c.SampleEvery),
		check(c.History >= 10*c.SampleEvery && c.History <= 7*24*time.Hour, "history must be from ten sample periods (%s) to 168h, got %s", 10*c.SampleEvery, c.History))
}

// limit is how many tasks may wait in a queue.
func (c Config) limit(queue string) int {
	if strings.HasSuffix(queue, ":bulk") {
		return c.BulkLimit
	}
	return c.QueueLimit
}

// Monitor watches one yard.
type Monitor struct {
	*lookout
	history  *history
	live     *live
	teller   *teller
	login    *login // nil: nobody is asked
	registry *prometheus.Registry
	asynqmon *asynqmonMount
	calls    chan struct{} // places for calls of the pages
	latest   atomic.Pointer[Overview]
	close    func() error
}

// New returns a monitor of the broker's yard. It reads nothing yet.
func New(cfg Config, b *broker.Broker, log zerolog.Logger) (*Monitor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	blobs, err := blob.Open(b, cfg.BlobDir)
	if err != nil {
		return nil, err
	}
	m := &Monitor{
		lookout: newLookout(cfg, b, log.With().Str("component", "monitor").Logger()),
		history: newHistory(cfg.History, cfg.SampleEvery), live: newLive(), calls: make(chan struct{}, apiCalls),
	}
	m.store = results.NewWith(b, blobs)
	m.teller = newTeller(notify.New(cfg.Alerts, m.log))
	m.registry = newRegistry(m)
	if cfg.Password != "" {
		// By its field, so that tests can turn the clock.
		if m.login, err = newLogin(cfg.Password, func() time.Time { return m.now() }, m.log); err != nil {
			return nil, err
		}
	}
	mount, err := newAsynqmon(b, cfg.AsynqmonReadOnly)
	if err != nil {
		return nil, fmt.Errorf("prepare asynqmon: %w", err)
	}
	m.asynqmon = mount
	m.close = sync.OnceValue(func() error {
		m.live.close()
		return mount.close()
	})
	return m, nil
}

// Run samples the yard until ctx ends; the live streams end with it, so that a
// server that shuts down need not wait for them.
func (m *Monitor) Run(ctx context.Context) error {
	defer m.live.close()
	// A yard whose last worker died has nobody else to take its tasks back.
	var recovery sync.WaitGroup
	recovery.Go(func() { m.store.Recover(ctx, results.LogRecovery(m.log)) }) //nolint:errcheck // ends only with ctx
	recovery.Go(func() { m.teller.to.Run(ctx) })
	defer recovery.Wait()
	tick := time.NewTicker(m.cfg.SampleEvery)
	defer tick.Stop()
	for {
		m.sample(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sample looks once, remembers and tells.
func (m *Monitor) sample(ctx context.Context) {
	before := m.latest.Load()
	o, _ := m.look(ctx, before) // what is wrong is in it
	if ctx.Err() != nil {
		return
	}
	if o.Redis.Up {
		m.history.add(o)
		if before == nil || !before.Redis.Up {
			m.register(ctx)
		}
	}
	m.latest.Store(o)
	m.live.publish(o)
	m.tell(ctx, o)
}

// register makes the queues known to Asynqmon. Redis may have lost them, and
// workers that would say it again may be away too.
func (m *Monitor) register(ctx context.Context) {
	if err := m.store.Register(ctx); err != nil {
		m.log.Debug().Err(err).Msg("queues not registered")
	}
}

// Close ends the live streams and Asynqmon's connections. The broker stays
// open. It may be called twice.
func (m *Monitor) Close() error { return m.close() }

// Handler returns the monitor's routes.
func (m *Monitor) Handler() http.Handler { return m.routes() }
