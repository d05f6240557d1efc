package keys

import (
	"context"
	"maps"
	"sync"
	"time"
)

const (
	// RefreshEvery is how often a Ring reads the keys, and so how soon it
	// knows of a revocation.
	RefreshEvery = time.Second
	// staleAfter is how long a Ring trusts what it read last.
	staleAfter = 15 * time.Second
)

// Ring answers from memory who holds a key. It is safe for concurrent use; Run
// must run.
type Ring struct {
	store *Store

	mu   sync.RWMutex
	keys map[string]Key
	read time.Time // when they were read; zero before
	used map[string]time.Time

	reading sync.Mutex // one reading at a time
}

// NewRing returns the store's keys, read once.
func (s *Store) NewRing(ctx context.Context) (*Ring, error) {
	r := &Ring{store: s, used: map[string]time.Time{}}
	err := r.refresh(ctx)
	return r, err
}

// Run reads the keys again and again until ctx ends.
func (r *Ring) Run(ctx context.Context) error {
	tick := time.NewTicker(RefreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			// The last uses; whoever ends may take a moment more.
			return r.flush(context.WithoutCancel(ctx))
		case <-tick.C:
			// A failure shows by itself: what was read grows stale.
			_ = r.refresh(ctx)
			_ = r.flush(ctx)
		}
	}
}

func (r *Ring) refresh(ctx context.Context) error {
	r.reading.Lock()
	defer r.reading.Unlock()
	before := r.store.now()
	all, err := r.store.List(ctx)
	if err != nil {
		return err
	}
	keys := make(map[string]Key, len(all))
	for _, k := range all {
		keys[k.ID] = k
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.read = keys, before
	return nil
}

func (r *Ring) flush(ctx context.Context) error {
	r.mu.Lock()
	used := maps.Clone(r.used)
	clear(r.used)
	r.mu.Unlock()
	return r.store.noteUsed(ctx, used)
}

// Required reports whether a key is asked for: whether any was ever made.
func (r *Ring) Required() (bool, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.keys) > 0 {
		return true, nil
	}
	if r.store.now().Sub(r.read) > staleAfter {
		return true, ErrStale
	}
	return false, nil
}

// Find returns the key that a token opens, or ErrUnknown, ErrEnded or ErrStale.
// A key that was made a moment ago may be unknown for RefreshEvery.
func (r *Ring) Find(token string) (Key, error) {
	id, secret, wellFormed := split(token)
	now := r.store.now()
	r.mu.RLock()
	k, stale := r.keys[id], now.Sub(r.read) > staleAfter
	r.mu.RUnlock()
	switch opens := k.opens(secret); { // also for what is not well-formed: the same time for all
	case stale:
		return Key{}, ErrStale
	case !opens || !wellFormed:
		return Key{}, ErrUnknown
	case k.Ended(now):
		return k, ErrEnded
	}
	r.mu.Lock()
	r.used[k.ID] = now
	r.mu.Unlock()
	return k, nil
}
