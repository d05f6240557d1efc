package webhooks

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// sweepEvery is how often is looked for what is due.
	sweepEvery = 500 * time.Millisecond
	sweepPage  = 100
	// lease is how long a deliverer has for what it took.
	lease = time.Minute
	// calls is how many calls one deliverer makes at once, callsEach how many
	// of them to one endpoint: a slow one must not hold up the others.
	calls, callsEach = 16, 4
	// heard bounds the announcements that wait to be looked at; what is lost
	// is found by a sweep.
	heard = 4096
)

// delays are how long to wait after each attempt that failed; after the last
// one a call is given up.
func delays() []time.Duration {
	return []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour}
}

// Config is what a deliverer works with.
type Config struct {
	Master Master
	// AllowPrivate allows endpoints on addresses that are not public.
	AllowPrivate bool
	// DoneChannel is where ends are announced.
	DoneChannel string
	// Task and Batch read what is watched; NotFound tells their errors for what
	// is not known.
	Task     func(ctx context.Context, id string) (tasks.Task, error)
	Batch    func(ctx context.Context, id string) (tasks.BatchInfo, error)
	NotFound func(error) bool
	Log      zerolog.Logger
	Registry prometheus.Registerer
	// Tracer begins the spans of calls; nil traces none. Calls name the place
	// where the task was handed over all the same.
	Tracer *trace.Tracer
}

// Deliverer makes the calls.
type Deliverer struct {
	Config
	store    *Store
	caller   *caller
	outcomes *prometheus.CounterVec
	delays   []time.Duration
	lease    time.Duration

	mu   sync.Mutex
	busy map[string]int // calls under way, by endpoint
}

// NewDeliverer returns a deliverer that is started by Run.
func (s *Store) NewDeliverer(cfg Config) *Deliverer {
	d := &Deliverer{
		Config: cfg, store: s, caller: newCaller(cfg.AllowPrivate), delays: delays(), lease: lease, busy: map[string]int{},
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jobyard_webhook_calls_total", Help: "Calls of webhooks by how they ended.",
		}, []string{"outcome"}),
	}
	cfg.Registry.MustRegister(d.outcomes)
	return d
}

// Run finds what has ended and makes the calls, until ctx ends; calls under way
// then have until their own limit.
func (d *Deliverer) Run(ctx context.Context) error {
	announced := make(chan string, heard)
	var g errgroup.Group
	g.Go(func() error {
		return broker.Listen(ctx, d.store.broker.Client(), func(_, text string) {
			select {
			case announced <- text:
			default:
			}
		}, func() {}, d.DoneChannel)
	})
	g.Go(func() error { return d.hear(ctx, announced) })
	g.Go(func() error { return d.sweep(ctx) })
	g.Go(func() error { return d.deliver(ctx) })
	return g.Wait()
}

// hear looks at what was announced, many at a time.
func (d *Deliverer) hear(ctx context.Context, announced <-chan string) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-announced:
			things := namedBy(first)
			for more := true; more && len(things) < 1000; {
				select {
				case next := <-announced:
					things = append(things, namedBy(next)...)
				default:
					more = false
				}
			}
			watched, err := d.store.watched(ctx, things)
			if err != nil {
				continue // a sweep finds it
			}
			for thing, endpoint := range watched {
				d.look(ctx, thing, endpoint)
			}
		}
	}
}

// namedBy reads an announcement: the id of a task or a batch, or a batch and
// the numbers of its tasks.
func namedBy(text string) []string {
	batch, numbers, many := strings.Cut(text, " ")
	if !many {
		return []string{Thing{ID: text}.String(), Thing{Batch: true, ID: text}.String()}
	}
	var all []string
	for n := range strings.SplitSeq(numbers, ",") {
		all = append(all, Thing{ID: batch + "." + n}.String())
	}
	return all
}

// sweep looks at what is watched although nothing was announced, and keeps the
// dead letters bounded.
func (d *Deliverer) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		things, err := d.store.claim(ctx, openKey, lookAtMost, sweepPage)
		if err != nil {
			continue // Redis is away, which others say
		}
		watched, err := d.store.watched(ctx, things)
		if err != nil {
			continue
		}
		for _, thing := range things {
			d.look(ctx, thing, watched[thing])
		}
		if n%120 == 0 {
			_ = d.store.trim(ctx) // the next one does it
		}
	}
}

// look makes the delivery of a thing if it has ended.
func (d *Deliverer) look(ctx context.Context, thing, endpoint string) {
	what := parseThing(thing)
	var event Event
	var final bool
	var err error
	if what.Batch {
		var info tasks.BatchInfo
		info, err = d.Batch(ctx, what.ID)
		event, final = Event{Type: "batch.finished", At: info.FinishedAt, Batch: &info}, info.Finished()
	} else {
		var t tasks.Task
		t, err = d.Task(ctx, what.ID)
		event, final = taskEvent(t), t.State.Final()
	}
	switch {
	case err != nil && d.NotFound(err):
		err = d.store.dropStale(ctx, what)
	case err == nil && (final && endpoint != ""):
		err = d.store.ended(ctx, thing, endpoint, event)
	}
	if err != nil && ctx.Err() == nil {
		d.Log.Warn().Err(err).Str("object", what.ID).Msg("webhook: cannot look at what is watched")
	}
}

// deliver makes calls as they are due.
func (d *Deliverer) deliver(ctx context.Context) error {
	var running errgroup.Group
	running.SetLimit(calls)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		ids, err := d.store.claim(ctx, dueKey, d.lease, calls)
		if err != nil && ctx.Err() == nil {
			d.Log.Warn().Err(err).Msg("webhook: cannot read what is due")
		}
		for _, id := range ids {
			running.Go(func() error {
				d.attempt(context.WithoutCancel(ctx), id)
				return nil
			})
		}
		if len(ids) == calls && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return running.Wait()
		case <-tick.C:
		}
	}
}

// attempt makes one call and writes down how it ended.
func (d *Deliverer) attempt(ctx context.Context, id string) {
	del, err := d.store.delivery(ctx, id)
	if errors.Is(err, ErrUnknown) {
		_ = d.store.forget(ctx, id) // it comes back with the lease
		return
	}
	if err == nil {
		err = d.make(ctx, del)
	}
	if err != nil {
		d.Log.Warn().Err(err).Str("delivery", id).Msg("webhook: cannot write how a call ended")
	}
}

func (d *Deliverer) make(ctx context.Context, del Delivery) error {
	if !d.enter(del.Endpoint) {
		del.Next = d.store.now().Add(sweepEvery)
		return d.store.put(ctx, del)
	}
	defer d.leave(del.Endpoint)
	e, err := d.store.endpoint(ctx, del.Endpoint)
	switch {
	case errors.Is(err, ErrUnknown):
		del.Error = "there is no such endpoint any more"
		return d.giveUp(ctx, del)
	case err != nil:
		return err
	}
	del.Attempts++
	now := d.store.now()
	del.Status, del.Error = d.call(ctx, e, del, now)
	switch {
	case del.Error == "":
		d.outcomes.WithLabelValues("delivered").Inc()
		return d.store.forget(ctx, del.ID)
	case del.Attempts > len(d.delays) || del.Status == 410:
		return d.giveUp(ctx, del)
	}
	d.outcomes.WithLabelValues("failed").Inc()
	wait := d.delays[del.Attempts-1]
	del.Next = now.Add(wait + rand.N(wait/5+1)).UTC() //nolint:gosec // spreads calls, keeps no secret
	return d.store.put(ctx, del)
}

// call is one call with its span, below the place where the task was handed over.
func (d *Deliverer) call(ctx context.Context, e Endpoint, del Delivery, now time.Time) (status int, fault string) {
	ctx, span := d.Tracer.Begin(trace.Read(del.Trace, "").In(ctx), trace.Client, "POST webhook", "", trace.Carried{})
	defer span.End()
	status, fault = d.caller.call(ctx, e, del, d.Master, now)
	span.Text("jobyard.webhook.endpoint", e.Name)
	span.Number("jobyard.attempt", int64(del.Attempts))
	span.Number("http.response.status_code", int64(status))
	if fault != "" {
		span.Fail("webhook", fault)
	}
	return status, fault
}

func (d *Deliverer) giveUp(ctx context.Context, del Delivery) error {
	d.outcomes.WithLabelValues("given_up").Inc()
	del.Next, del.GivenUp = time.Time{}, d.store.now().UTC().Truncate(time.Second)
	d.Log.Error().Str("delivery", del.ID).Str("endpoint", del.Endpoint).Int("attempts", del.Attempts).Str("error", del.Error).Msg("webhook: a call is given up")
	return d.store.put(ctx, del)
}

func (d *Deliverer) enter(endpoint string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[endpoint] >= callsEach {
		return false
	}
	d.busy[endpoint]++
	return true
}

func (d *Deliverer) leave(endpoint string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[endpoint]--; d.busy[endpoint] == 0 {
		delete(d.busy, endpoint)
	}
}
