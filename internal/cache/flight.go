package cache

import (
	"context"
	"sync"
	"time"
)

// flights are the keys that are being loaded in this process.
type flights struct {
	mu  sync.Mutex
	all map[Key]*flight
}

// flight is one load, and how it ended for those who wait for it.
type flight struct {
	done  chan struct{}
	value []byte // valid once done is closed, if ok
	ok    bool
	// canceled tells that the one who loaded gave up, not that loading failed.
	canceled bool
}

// Join loads a value unless somebody in this process is loading it just now:
// then it waits and takes what that one got. A failure is shared with nobody. If
// the one who loads is canceled, one of those who wait loads in its place; if
// its load fails, each loads for itself. Nobody waits for longer than half of the
// time that ctx leaves, so that enough is left to load. Joined tells that the
// value is another one's.
func (c *Cache) Join(ctx context.Context, k Key, load func(context.Context) ([]byte, error)) (value []byte, joined bool, err error) {
	if c == nil {
		value, err = load(ctx)
		return value, false, err
	}
	patience, stop := patienceOf(ctx)
	defer stop()
	for {
		f, first := c.flights.enter(k)
		if first {
			return c.flights.load(ctx, k, f, func(ctx context.Context) ([]byte, bool, error) {
				// Who looked before another one's load ended may come here after it.
				if v, found := c.peek(k); found {
					return v, true, nil
				}
				v, err := load(ctx)
				return v, false, err
			})
		}
		select {
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		case <-patience:
			value, err = load(ctx)
			return value, false, err
		case <-f.done:
		}
		switch {
		case f.ok:
			return f.value, true, nil
		case !f.canceled:
			value, err = load(ctx)
			return value, false, err
		}
	}
}

// patienceOf ends when half of the context's time is over.
func patienceOf(ctx context.Context) (over <-chan time.Time, stop func()) {
	deadline, bounded := ctx.Deadline()
	if !bounded {
		return nil, func() {}
	}
	half := time.NewTimer(time.Until(deadline) / 2)
	return half.C, func() { half.Stop() }
}

func (s *flights) enter(k Key) (f *flight, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.all[k]; known != nil {
		return known, false
	}
	f = &flight{done: make(chan struct{})}
	s.all[k] = f
	return f, true
}

// peek looks into memory and counts nothing.
func (c *Cache) peek(k Key) (value []byte, found bool) {
	t := c.tier(InMemory)
	if t == nil {
		return nil, false
	}
	v, found, _ := t.tier.Get(context.Background(), k) // it cannot fail
	return v.Bytes, found && c.now().Before(v.Expires)
}

// load also ends the flight of a load that panics, which counts as a failure.
func (s *flights) load(ctx context.Context, k Key, f *flight, load func(context.Context) ([]byte, bool, error)) (value []byte, joined bool, err error) {
	defer func() {
		f.canceled = ctx.Err() != nil
		s.mu.Lock()
		delete(s.all, k)
		s.mu.Unlock()
		close(f.done)
	}()
	if value, joined, err = load(ctx); err == nil {
		f.value, f.ok = value, true
	}
	return value, joined, err
}
