// Package client hands tasks to the yard and gets their results: the door for
// Go services, and what the command line and the HTTP API use too.
//
// It promises that a task whose Enqueue returned without an error is queued,
// and that the same id never makes two tasks. A Client is safe for concurrent
// use and is stopped by Close.
package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/internal/webhooks"
	"github.com/jobyard/jobyard/tasks"
)

// Config says where the yard is and what may wait in it.
type Config struct {
	// RedisURL is redis://, rediss://, redis-sentinel:// or unix://; several
	// hosts are a cluster.
	RedisURL string
	// QueueLimit bounds the tasks that wait in an interactive queue,
	// BulkLimit those in a bulk queue.
	QueueLimit, BulkLimit int
	// BlobDir is a directory for payloads over 64 KiB and uploaded blobs, which
	// every producer, worker and monitor of the yard shares; empty means that
	// they lie in Redis.
	BlobDir string
	// CacheBytes bounds the results that this process keeps in memory to answer
	// equal tasks with; 0 keeps none. NoCache also leaves those in Redis alone:
	// every task is queued.
	CacheBytes int64
	NoCache    bool
}

// DefaultConfig returns the limits of a yard.
func DefaultConfig() Config {
	return Config{QueueLimit: 500, BulkLimit: 50000, CacheBytes: cache.DefaultConfig().MemoryBytes}
}

// Validate reports every setting that is out of bounds. The address is checked
// by Open.
func (c Config) Validate() error {
	var errs []error
	if c.QueueLimit < 1 || c.QueueLimit > 10_000_000 {
		errs = append(errs, fmt.Errorf("queue limit must be from 1 to 10000000, got %d", c.QueueLimit))
	}
	if c.BulkLimit < 1 || c.BulkLimit > 10_000_000 {
		errs = append(errs, fmt.Errorf("bulk queue limit must be from 1 to 10000000, got %d", c.BulkLimit))
	}
	errs = append(errs, cache.Config{MemoryBytes: c.CacheBytes}.Validate())
	return errors.Join(errs...)
}

// Errors of the client that callers tell apart, beside *tasks.InvalidError.
var (
	// ErrNotFound: no task has the id, or it is no longer kept.
	ErrNotFound = results.ErrNotFound
	// ErrFinal: the task has ended and cannot be canceled.
	ErrFinal = results.ErrFinal
	// ErrTooManyWaits: this process waits for as many tasks as it may.
	ErrTooManyWaits = results.ErrTooManyWaits
)

type (
	// FullError tells that a queue has reached its limit.
	FullError = results.FullError
	// ConflictError tells that an id belongs to a task with another payload.
	ConflictError = results.ConflictError
	// MemoryError tells that Redis's memory is nearly full.
	MemoryError = results.MemoryError
	// UnavailableError tells that Redis did not answer.
	UnavailableError = broker.UnavailableError
)

// Client hands tasks over.
type Client struct {
	cfg    Config
	store  *results.Store
	events *results.Events
	hooks  *webhooks.Store
	cache  *cache.Cache
	// metrics are those of the cache.
	metrics *prometheus.Registry
	stop    func() error
}

// Open connects to the yard's Redis.
func Open(ctx context.Context, cfg Config) (*Client, error) {
	bc := broker.DefaultConfig()
	bc.URL = cfg.RedisURL
	b, err := broker.Open(ctx, bc, zerolog.Nop())
	if err != nil {
		return nil, err
	}
	c, err := New(b, cfg)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	stopEvents := c.stop
	c.stop = func() error { return errors.Join(stopEvents(), b.Close()) }
	return c, nil
}

// New returns a client on a broker that the caller closes after it.
func New(b *broker.Broker, cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	blobs, err := blob.Open(b, cfg.BlobDir)
	if err != nil {
		return nil, err
	}
	store := results.NewWith(b, blobs)
	metrics := prometheus.NewRegistry()
	kept, err := cache.New(cache.Config{MemoryBytes: cfg.CacheBytes}, nil, zerolog.Nop(), metrics)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, store: store, events: store.NewEvents(), hooks: webhooks.New(b), cache: kept, metrics: metrics}
	ctx, cancel := context.WithCancel(context.Background()) // ends with Close
	var running sync.WaitGroup
	running.Go(func() { c.events.Run(ctx) }) //nolint:errcheck // ends only with ctx
	c.stop = sync.OnceValue(func() error {
		cancel()
		running.Wait()
		return kept.Close()
	})
	return c, nil
}

// Close ends every wait's subscription; waits that are under way go on by
// polling until their context ends.
func (c *Client) Close() error { return c.stop() }

// Metrics are those of the results that this client keeps, for a registry that
// has none of a cache yet: their names are those of a worker's.
func (c *Client) Metrics() prometheus.Collector { return c.metrics }

// Enqueue hands over one task and returns it as queued, or as completed where an
// equal task has left its result (see WithoutCache). With an id that is
// known, the task of that id comes back; a *ConflictError tells that its
// payload is another. Other errors: *tasks.InvalidError, *FullError,
// *UnavailableError.
func (c *Client) Enqueue(ctx context.Context, r tasks.Request) (tasks.Task, error) {
	now := time.Now()
	r, err := r.Check(now)
	if err != nil {
		return tasks.Task{}, err
	}
	a := c.admission(r)
	return c.enqueue(ctx, &a, now)
}

// enqueue hands over one task, as a step of the trace that the context is in.
func (c *Client) enqueue(ctx context.Context, a *results.Admission, now time.Time) (tasks.Task, error) {
	ctx, span := trace.Start(ctx, trace.Producer, "enqueue", a.Request.Kind)
	a.Trace = trace.Here(ctx)
	t, err := c.admit(ctx, a, now)
	if span.On() {
		handedOver(span, a.Request.Options.Queue, 1, err)
		span.Text("messaging.message.id", a.ID)
		span.Number("messaging.message.body.size", int64(len(a.Request.Payload)))
	}
	span.End()
	return t, err
}

func (c *Client) admit(ctx context.Context, a *results.Admission, now time.Time) (tasks.Task, error) {
	if err := c.watch(ctx, a); err != nil {
		return tasks.Task{}, err
	}
	err := c.store.AdmitOne(ctx, *a)
	c.unwatch(ctx, a, err)
	t, err := c.answer(ctx, queued(a, now), err)
	if err == nil && t.State == tasks.Completed && t.Cached != "" {
		t = c.answered(ctx, a, t)
	}
	return t, err
}

// answer is what a caller gets for an admission: the task as queued, or as it
// is if it was known or answered from the cache; then without its result.
func (c *Client) answer(ctx context.Context, t tasks.Task, err error) (tasks.Task, error) {
	switch {
	case errors.Is(err, results.ErrKnown):
		return c.store.Get(ctx, t.ID)
	case errors.Is(err, results.ErrAnswered):
		t.State, t.FinishedAt, t.Cached = tasks.Completed, t.EnqueuedAt, cache.InRedis
		return t, nil
	}
	return t, err
}

// Enqueued is the answer to one request of EnqueueAll.
type Enqueued struct {
	Task tasks.Task
	Err  error
}

// EnqueueAll hands over many tasks in few round trips. The answers have the
// order of the requests; one that an equal task's result has completed comes
// without it, which Status has. The second value is set if Redis failed, and then no
// answer is known.
func (c *Client) EnqueueAll(ctx context.Context, requests []tasks.Request) ([]Enqueued, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, span := trace.Start(ctx, trace.Producer, "enqueue", "tasks")
	defer span.End()
	handedOver(span, "", len(requests), nil)
	answers := make([]Enqueued, len(requests))
	chunks := make(chan chunk, 1)
	go func() { // the next chunk is prepared while one is on its way
		defer close(chunks)
		c.prepare(ctx, requests, answers, chunks)
	}()
	for next := range chunks {
		errs, err := c.store.Admit(ctx, next.admissions...)
		if err != nil {
			span.Fail(failure(err), "")
			return nil, err
		}
		for i, err := range errs {
			a := &answers[next.index[i]]
			c.unwatch(ctx, &next.admissions[i], err)
			a.Task, a.Err = c.answer(ctx, a.Task, err)
		}
	}
	return answers, ctx.Err()
}

// Bounds of a chunk: not so many tasks that Redis answers nobody else
// meanwhile, nor so large that they fill its buffers.
const chunkTasks, chunkBytes = 250, 4 << 20

// chunk is what goes in one round trip; index says which requests those are.
type chunk struct {
	admissions []results.Admission
	index      []int
	bytes      int
}

// prepare checks the requests and passes on, chunk by chunk, what can be
// admitted. What can't gets its answer here.
func (c *Client) prepare(ctx context.Context, requests []tasks.Request, answers []Enqueued, to chan<- chunk) {
	var next chunk
	pass := func() {
		select {
		case to <- next:
		case <-ctx.Done():
		}
		next = chunk{}
	}
	now, place := time.Now(), trace.Here(ctx)
	for i, r := range requests {
		checked, err := r.Check(now)
		if err != nil {
			answers[i].Err = err
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if len(next.index) == chunkTasks || len(next.index) > 0 && next.bytes+len(checked.Payload) > chunkBytes {
			pass()
		}
		if next.index == nil {
			most := min(chunkTasks, len(requests)-i)
			next.admissions, next.index = make([]results.Admission, 0, most), make([]int, 0, most)
		}
		a := c.admission(checked)
		a.Trace, a.Linked = place, true
		if err := c.watch(ctx, &a); err != nil {
			answers[i].Err = err
			continue
		}
		answers[i].Task = queued(&a, now)
		c.store.Prepare(&a)
		next.admissions, next.index, next.bytes = append(next.admissions, a), append(next.index, i), next.bytes+len(checked.Payload)
	}
	if len(next.index) > 0 {
		pass()
	}
}

func (c *Client) admission(r tasks.Request) results.Admission {
	a := results.Admission{ID: r.Options.ID, Chosen: r.Options.ID != "", Request: r, Limit: c.Limit(r.Options.Queue)}
	if a.ID == "" {
		// Version 7 begins with the time: ids sort by age.
		a.ID = uuid.Must(uuid.NewV7()).String()
	}
	a.Reuse = c.reuse(r)
	return a
}

func queued(a *results.Admission, now time.Time) tasks.Task {
	t := tasks.Task{
		ID: a.ID, Kind: a.Request.Kind, Queue: a.Request.Options.Queue, State: tasks.Pending,
		EnqueuedAt: now.UTC().Truncate(time.Millisecond),
	}
	if !a.Request.Options.Start(now).IsZero() {
		t.State = tasks.Scheduled
	}
	return t
}

// QueueInfo is how many tasks of a queue are in each state.
type QueueInfo = results.Queue

// Queues reads every queue of the yard.
func (c *Client) Queues(ctx context.Context) ([]QueueInfo, error) { return c.store.Queues(ctx) }

// Limit is how many tasks may wait in a queue.
func (c *Client) Limit(queue string) int {
	if strings.HasSuffix(queue, ":bulk") {
		return c.cfg.BulkLimit
	}
	return c.cfg.QueueLimit
}

// Status returns a task as it is now, with its result or error if it has one.
func (c *Client) Status(ctx context.Context, id string) (tasks.Task, error) {
	return c.store.Get(ctx, id)
}

// Wait returns the task once it is final. If ctx ends first it returns the
// task as it then was, and the context's error. Who knows its queue may name
// it, and spares looking in the others.
func (c *Client) Wait(ctx context.Context, id string, queue ...string) (tasks.Task, error) {
	return c.events.Wait(ctx, id, queue...)
}

// Do enqueues a task and waits for its end.
func (c *Client) Do(ctx context.Context, r tasks.Request) (tasks.Task, error) {
	now := time.Now()
	r, err := r.Check(now)
	if err != nil {
		return tasks.Task{}, err
	}
	a := c.admission(r)
	end, err := c.events.Expect(a.ID)
	if err != nil {
		return tasks.Task{}, err
	}
	defer end.Leave()
	t, err := c.enqueue(ctx, &a, now)
	if err != nil || t.State.Final() {
		return t, err
	}
	return end.Wait(ctx, t)
}

// Cancel withdraws a task and returns it as it then is: one that waited is
// canceled, one that runs is asked to stop. ErrFinal tells that it had ended.
func (c *Client) Cancel(ctx context.Context, id string) (tasks.Task, error) {
	return c.store.Cancel(ctx, id)
}
