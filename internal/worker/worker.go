// Package worker runs tasks: one asynq server a kind, each with its own slots
// and its own round trips, so that no kind waits behind another.
//
// A worker promises that an attempt ends with our verdict, not asynq's: within
// its time limit, with a reason from the closed list, and committed together
// with its acknowledgement. When its context ends it stops fetching, lets
// running tasks finish within the drain time, hands the rest back uncounted,
// and returns.
package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/internal/memwatch"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// Config says what a worker runs.
type Config struct {
	// Slots is how many tasks of a kind run at once. A kind without slots is
	// not served.
	Slots map[string]int
	// DrainTimeout is how long running tasks may go on after a stop.
	DrainTimeout time.Duration
	// MaxTimeout is the longest time limit of a task; longer ones are cut.
	MaxTimeout time.Duration
	// NodeMemory is what the worker and its runners may use, in bytes; 0 means
	// that the control group or the machine says it.
	NodeMemory int64
	// MaxCPU is how busy the node's processors may be, in percent, before slots are
	// handed out more slowly; 100 means never.
	MaxCPU int
}

// DefaultConfig serves every kind with min(4, CPUs) slots.
func DefaultConfig() Config {
	c := Config{Slots: map[string]int{}, DrainTimeout: 30 * time.Second, MaxTimeout: tasks.MaxTimeout, MaxCPU: 80}
	for _, kind := range tasks.KindNames() {
		c.Slots[kind] = min(4, runtime.NumCPU())
	}
	return c
}

// Validate reports every setting that is out of bounds.
func (c Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	total := 0
	for kind, n := range c.Slots {
		if !slices.Contains(tasks.KindNames(), kind) {
			fail("slots: kind must be one of %v, got %q", tasks.KindNames(), kind)
		}
		if n < 0 || n > 256 {
			fail("slots: %s must be from 0 to 256, got %d", kind, n)
		}
		total += n
	}
	if total == 0 {
		fail("slots: at least one kind needs a slot")
	}
	if c.DrainTimeout < 0 || c.DrainTimeout > time.Hour {
		fail("drain timeout must be from 0s to 1h, got %s", c.DrainTimeout)
	}
	if c.MaxTimeout < time.Second || c.MaxTimeout > tasks.MaxTimeout {
		fail("task timeout limit must be from 1s to %s, got %s", tasks.MaxTimeout, c.MaxTimeout)
	}
	if c.NodeMemory < 0 || c.NodeMemory > 0 && c.NodeMemory < minNodeMemory {
		fail("node memory must be at least %dMiB, got %d bytes", minNodeMemory>>20, c.NodeMemory)
	}
	if c.MaxCPU < 10 || c.MaxCPU > 100 {
		fail("max CPU must be from 10 to 100 percent, got %d", c.MaxCPU)
	}
	return errors.Join(errs...)
}

// minNodeMemory is what a worker and one runner of the least size need.
const minNodeMemory = 128 << 20

// Worker serves kinds until its context ends.
type Worker struct {
	cfg      Config
	broker   *broker.Broker
	store    *results.Store
	attempts *results.Attempts
	jobs     Jobs
	runners  *Runners
	log      zerolog.Logger
	terse    zerolog.Logger // for what every second without Redis says again
	metrics  *taskMetrics
	tracer   *trace.Tracer
	meter    *memwatch.Meter
	node     *memwatch.Node
	budget   *memwatch.Budget
	leaks    *memwatch.Detector
	cache    *cache.Cache // nil: every task is run
	id, host string
	started  time.Time
	state    atomic.Value // string: running, draining, stopped
	resting  atomic.Bool  // it was asked to take no more tasks
	lanes    []*lane
}

// lane is one kind with its asynq server.
type lane struct {
	kind   string
	slots  chan struct{}
	roster roster
	queue  *results.Lane
	crew   crew
	server *asynq.Server
	served counts
}

// New returns a worker for the jobs; reg receives its metrics.
func New(cfg Config, b *broker.Broker, jobs *Registry, log zerolog.Logger, reg prometheus.Registerer) (*Worker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find the host's name: %w", err)
	}
	salt := make([]byte, 3)
	rand.Read(salt) // never fails
	blobs := jobs.Blobs
	if blobs == nil {
		blobs = blob.New(b)
	}
	w := &Worker{
		cfg: cfg, broker: b, store: results.NewWith(b, blobs), jobs: jobs.Jobs, runners: jobs.Runners, cache: jobs.Cache, log: log, metrics: newMetrics(reg),
		meter: memwatch.NewMeter(), node: memwatch.NewNode(), leaks: jobs.Runners.detector(log), host: host, started: time.Now(),
		id: fmt.Sprintf("%.40s-%s", host, hex.EncodeToString(salt)),
	}
	w.terse = terse(log)
	w.attempts = w.store.NewAttempts(w.id, log)
	w.state.Store("running")
	if err := w.newBudget(); err != nil {
		return nil, err
	}
	// Asked for late: a test may give the node another budget.
	w.attempts.Gate(func(kind string, want int, held func() map[string]int) int { return w.budget.Room(kind, want, held) }, fullPause)
	for _, kind := range tasks.KindNames() {
		if n := cfg.Slots[kind]; n > 0 {
			if jobs.Jobs[kind] == nil {
				return nil, fmt.Errorf("no job is registered for kind %s", kind)
			}
			w.lanes = append(w.lanes, w.newLane(kind, n))
		}
	}
	return w, nil
}

func (w *Worker) newLane(kind string, slots int) *lane {
	l := &lane{kind: kind, slots: make(chan struct{}, slots), queue: w.attempts.Lane(kind, slots), crew: make(crew)}
	l.server = asynq.NewServerFromRedisClient(w.attempts.Client(l.queue), asynq.Config{
		Concurrency: slots,
		// The lane chooses between the queues and waits where there is nothing to do:
		// weights and pauses of asynq's own have no part in it.
		Queues:                   map[string]int{tasks.Queue(kind): 1, tasks.BulkQueue(kind): 1},
		TaskCheckInterval:        time.Millisecond,
		DelayedTaskCheckInterval: time.Second,
		ShutdownTimeout:          handBackTimeout,
		HealthCheckInterval:      time.Hour, // the broker checks its health itself
		RetryDelayFunc:           retryDelay,
		Logger:                   asynqLog{w.terse},
		LogLevel:                 asynq.WarnLevel,
	})
	return l
}

// ID is the node's id.
func (w *Worker) ID() string { return w.id }

const (
	// handBackTimeout is how long asynq waits for handlers once their contexts
	// have ended.
	handBackTimeout = 2 * time.Second
	// shutdownTimeout is how long asynq's servers may take to sign off.
	shutdownTimeout = handBackTimeout + 5*time.Second
	// stopGrace is how long an attempt may take to notice that it is to stop.
	// A runner has 200 ms after its signal, and is reaped within 600 ms.
	stopGrace = 900 * time.Millisecond
)

// Run serves until ctx ends, and then drains. It returns nil after a drain.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.store.Register(ctx); err != nil {
		return fmt.Errorf("register queues: %w", err)
	}
	// Before the first task is taken: one without a lease would be taken back.
	if err := w.broker.RenewLease(ctx, w.id); err != nil {
		return fmt.Errorf("take a lease: %w", err)
	}
	// Listening and heartbeats outlive ctx: a draining node is still alive.
	alive, end := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { w.listen(alive) })
	background.Go(func() { w.beat(alive) })
	background.Go(func() { w.guard(alive) })
	background.Go(func() { w.holdLease(alive) })
	background.Go(func() { w.cache.Run(alive) })                                 //nolint:errcheck // ends only with alive
	background.Go(func() { w.store.Recover(alive, results.LogRecovery(w.log)) }) //nolint:errcheck // ends only with alive
	defer background.Wait()
	defer end()
	for i, l := range w.lanes {
		if err := l.server.Start(w.handler(l)); err != nil {
			return errors.Join(fmt.Errorf("start %s: %w", l.kind, err), w.drain(w.lanes[:i]))
		}
	}
	w.log.Info().Str("node", w.id).Any("slots", w.cfg.Slots).Msg("worker runs")
	<-ctx.Done()
	return w.drain(w.lanes)
}

// listen passes announcements on until ctx ends.
func (w *Worker) listen(ctx context.Context) {
	deliver := func(channel, payload string) {
		switch channel {
		case broker.WakeChannel:
			for _, l := range w.lanes {
				l.queue.Waker().Announce(payload)
			}
		case results.CancelChannel:
			w.attempts.Cancel(payload, errCanceled)
		}
	}
	resumed := func() {
		for _, l := range w.lanes {
			l.queue.Waker().AnnounceAll()
		}
		// After a loss of data nobody else would make the queues known again.
		if err := w.store.Register(ctx); err != nil && ctx.Err() == nil {
			w.log.Warn().Err(err).Msg("queues not registered")
		}
	}
	err := broker.Listen(ctx, w.broker.Client(), deliver, resumed, broker.WakeChannel, results.CancelChannel)
	if err != nil {
		w.log.Error().Err(err).Msg("listening ended")
	}
}

// drain stops fetching, lets running tasks finish, and hands the rest back.
func (w *Worker) drain(lanes []*lane) error {
	w.state.Store("draining")
	w.log.Info().Int("running", len(w.attempts.Running())).Msg("worker drains")
	for _, l := range lanes {
		l.queue.Waker().Close()
		l.server.Stop()
		if err := within(handBackTimeout, l.queue.HandBack); err != nil {
			w.log.Warn().Err(err).Str("kind", l.kind).Msg("tasks not handed back")
		}
	}
	if !w.idleWithin(w.cfg.DrainTimeout) {
		left := len(w.attempts.Running())
		w.log.Warn().Int("running", left).Msg("drain time is over: handing tasks back")
		w.attempts.CancelAll(errShutdown)
		w.idleWithin(handBackTimeout)
	}
	w.shutdown(lanes)
	if err := within(handBackTimeout, w.attempts.Flush); err != nil {
		w.log.Warn().Err(err).Msg("ends of tasks not written: they will run again")
	}
	w.state.Store("stopped")
	w.log.Info().Msg("worker stopped")
	return nil
}

func within(d time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return do(ctx)
}

// shutdown ends asynq's servers. Where Redis does not answer they would try to
// sign off for half a minute; they are left to it.
func (w *Worker) shutdown(lanes []*lane) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var stopping sync.WaitGroup
		for _, l := range lanes {
			stopping.Go(l.server.Shutdown)
		}
		stopping.Wait()
	}()
	late := time.NewTimer(shutdownTimeout)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
		w.log.Warn().Msg("redis does not answer: stopped without signing off")
	}
}

// idleWithin reports whether every attempt ended within d.
func (w *Worker) idleWithin(d time.Duration) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(d)
	defer late.Stop()
	for len(w.attempts.Running()) > 0 {
		select {
		case <-tick.C:
		case <-late.C:
			return false
		}
	}
	return true
}

// version is the module's version or the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return info.Main.Version
}
