package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/fault"
)

const (
	// brokenAfter is how many calls in a row must fail for a tier to be passed
	// over, and againAfter for how long: doubled each time it fails again, up to
	// againMost.
	brokenAfter = 3
	againAfter  = time.Second
	againMost   = 30 * time.Second
	// callWithin bounds one call: what takes longer is not worth the wait.
	callWithin = 500 * time.Millisecond
)

// guarded is a tier that may fail.
type guarded struct {
	tier    tier
	name    string
	log     zerolog.Logger
	now     func() time.Time
	metrics *metrics

	hits, misses, errors atomic.Int64

	mu     sync.Mutex
	failed int       // calls in a row
	until  time.Time // it is passed over until then
	fault  string    // the last one
}

// get looks a value up. One that has expired is none.
func (g *guarded) get(ctx context.Context, k Key) (Value, bool) {
	if !g.usable() {
		g.count(&g.errors, "error")
		return Value{}, false
	}
	limit, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	v, found, err := g.tier.Get(limit, k)
	if ctx.Err() != nil {
		return Value{}, false // that says nothing of the tier
	}
	g.heard(err)
	switch {
	case err != nil:
		g.count(&g.errors, "error")
		return Value{}, false
	case !found || !g.now().Before(v.Expires):
		g.count(&g.misses, "miss")
		return Value{}, false
	}
	g.count(&g.hits, "hit")
	return v, true
}

// getAll looks many values up in one call, if the tier can.
func (g *guarded) getAll(ctx context.Context, keys []Key) map[Key]Value {
	many, can := g.tier.(interface {
		GetAll(ctx context.Context, keys []Key) (map[Key]Value, error)
	})
	if !can || !g.usable() {
		return nil
	}
	limit, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	found, err := many.GetAll(limit, keys)
	if ctx.Err() != nil {
		return nil
	}
	g.heard(err)
	for _, k := range keys {
		switch _, hit := found[k]; {
		case err != nil:
			g.count(&g.errors, "error")
		case hit:
			g.count(&g.hits, "hit")
		default:
			g.count(&g.misses, "miss")
		}
	}
	return found
}

func (g *guarded) put(ctx context.Context, k Key, v Value) {
	if !g.usable() {
		return
	}
	limit, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	if err := g.tier.Put(limit, k, v); ctx.Err() == nil {
		g.heard(err)
	}
}

func (g *guarded) clean(ctx context.Context) {
	if !g.usable() {
		return
	}
	if err := g.tier.Clean(ctx); ctx.Err() == nil {
		g.heard(err)
	}
}

func (g *guarded) count(n *atomic.Int64, result string) {
	n.Add(1)
	g.metrics.requests.WithLabelValues(g.name, result).Inc()
}

// usable reports whether the tier may be asked. Of a broken one somebody tries
// it when its time is over, and the others not before that one knows.
func (g *guarded) usable() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed < brokenAfter {
		return true
	}
	now := g.now()
	if now.Before(g.until) {
		return false
	}
	g.until = now.Add(callWithin)
	return true
}

// heard takes note of how a call went.
func (g *guarded) heard(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.failed >= brokenAfter
	if err == nil {
		if g.failed = 0; was {
			g.log.Info().Str("tier", g.name).Msg("cache tier is back")
		}
		return
	}
	g.failed++
	g.fault = fault.Clean(err.Error(), fault.MaxMessage)
	if g.failed < brokenAfter {
		return
	}
	g.until = g.now().Add(min(againMost, againAfter<<min(g.failed-brokenAfter, 10)))
	if !was {
		g.log.Warn().Err(err).Str("tier", g.name).Msg("cache tier is broken: passed over until it answers again")
	}
}

func (g *guarded) state() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := State{
		Tier: g.name, Bytes: g.tier.Bytes(), Bound: g.tier.Bound(), Broken: g.failed >= brokenAfter,
		Hits: g.hits.Load(), Misses: g.misses.Load(), Errors: g.errors.Load(),
	}
	if s.Broken {
		s.Fault = g.fault
	}
	return s
}
