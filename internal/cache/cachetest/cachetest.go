// Package cachetest is what every tier of the cache must pass.
package cachetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/cache"
)

// Tier is a tier under test.
type Tier interface {
	Get(ctx context.Context, k cache.Key) (v cache.Value, found bool, err error)
	Put(ctx context.Context, k cache.Key, v cache.Value) error
	Clean(ctx context.Context) error
	Bytes() int64
	Bound() int64
	Close() error
}

// Key is the key of that number.
func Key(n int) cache.Key { return sha256.Sum256(fmt.Append(nil, "key ", n)) }

// Bytes are n bytes that cannot be compressed, the same for each seed.
func Bytes(seed, n int) []byte {
	out := make([]byte, n)
	rng := rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, "value ", seed)))
	rng.Read(out) //nolint:errcheck // never fails
	return out
}

// Text is n bytes as a result has them.
func Text(seed, n int) []byte {
	out := fmt.Appendf(make([]byte, 0, n+64), `{"title":"Document %d","sections":[`, seed)
	for i := 0; len(out) < n; i++ {
		out = fmt.Appendf(out, `{"id":"s%d","text":"the camera asks for its permission"},`, i)
	}
	return out[:n]
}

// In is a value that may be used for that long.
func In(d time.Duration, b []byte) cache.Value {
	return cache.Value{Bytes: b, Expires: time.Now().Add(d)}
}

// Run checks that a tier does what a tier promises. Open returns an empty one of
// that bound.
func Run(t *testing.T, bound int64, open func(t *testing.T, bound int64) Tier) {
	t.Helper()
	start := func(t *testing.T) Tier { t.Helper(); return ready(t, open(t, bound)) }
	t.Run("it returns what was put", func(t *testing.T) {
		t.Parallel()
		tier := start(t)
		for i, n := range []int{0, 1, 100, 511, 512, 513, 4096, 40_000} {
			for j, want := range [][]byte{Bytes(n, n), Text(n, n)} {
				k := Key(2*i + j)
				missing(t, tier, k)
				v := In(time.Hour, want)
				put(t, tier, k, v)
				holds(t, tier, k, v)
			}
		}
	})
	t.Run("it replaces a value", func(t *testing.T) {
		t.Parallel()
		tier := start(t)
		for n := range 20 {
			v := In(time.Hour, Bytes(n, 10_000*(n%3+1)))
			put(t, tier, Key(1), v)
			holds(t, tier, Key(1), v)
		}
		if got := tier.Bytes(); got > 100_000 {
			t.Errorf("got %d bytes for one value", got)
		}
	})
	t.Run("it does not keep a value for longer than it may be used", func(t *testing.T) {
		t.Parallel()
		tier := start(t)
		put(t, tier, Key(1), In(-time.Second, []byte("over")))
		put(t, tier, Key(2), In(300*time.Millisecond, []byte("soon over")))
		missing(t, tier, Key(1))
		brokertest.Until(t, "expired", func() bool {
			_, found, err := tier.Get(t.Context(), Key(2))
			return !found && err == nil
		})
	})
	t.Run("it holds its bound", func(t *testing.T) { t.Parallel(); holdsBound(t, start(t)) })
	t.Run("it refuses what would take too much of it", func(t *testing.T) {
		t.Parallel()
		tier := start(t)
		put(t, tier, Key(2), In(time.Hour, []byte("small")))
		put(t, tier, Key(1), In(time.Hour, Bytes(1, int(bound/2))))
		missing(t, tier, Key(1))
		holds(t, tier, Key(2), In(time.Hour, []byte("small")))
	})
	t.Run("many may use it at once", func(t *testing.T) { t.Parallel(); atOnce(t, start(t)) })
}

// ready waits until the tier stores values: one that counts first what is there
// does not at once.
func ready(t *testing.T, tier Tier) Tier {
	t.Helper()
	t.Cleanup(func() {
		if err := tier.Close(); err != nil {
			t.Error(err)
		}
	})
	brokertest.Until(t, "ready", func() bool {
		put(t, tier, Key(-1), In(time.Hour, []byte("ready")))
		_, found, err := tier.Get(t.Context(), Key(-1))
		return found && err == nil
	})
	return tier
}

// holdsBound fills a tier several times over, with small and large values.
func holdsBound(t *testing.T, tier Tier) {
	t.Helper()
	most := tier.Bound() + tier.Bound()/50
	written, last := int64(0), 0
	for n := 0; written < 4*tier.Bound(); n++ {
		v := Bytes(n, 1000*(1+n%40))
		put(t, tier, Key(n), In(time.Hour, v))
		written, last = written+int64(len(v)), n
		if got := tier.Bytes(); got > most {
			t.Fatalf("got %d bytes after %d values, want at most %d", got, n+1, most)
		}
	}
	if got := tier.Bytes(); got < tier.Bound()/2 {
		t.Errorf("got %d bytes, want a tier that is used", got)
	}
	// Which ones stay is the tier's own choice.
	found := int64(0)
	for n := range last + 1 {
		if v, ok, err := tier.Get(t.Context(), Key(n)); ok && err == nil {
			found += int64(len(v.Bytes))
		}
	}
	if found < tier.Bound()/3 {
		t.Errorf("got values of %d bytes, want a tier that holds what it counts", found)
	}
	if err := tier.Clean(t.Context()); err != nil {
		t.Error(err)
	}
	if got := tier.Bytes(); got > tier.Bound() {
		t.Errorf("got %d bytes after the clean-up, want at most %d", got, tier.Bound())
	}
}

func atOnce(t *testing.T, tier Tier) {
	t.Helper()
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for n := range 100 {
				k := (n*7 + worker) % 50
				if err := tier.Put(t.Context(), Key(k), In(time.Hour, Text(k, 3000+k))); err != nil {
					t.Error(err)
				}
				v, found, err := tier.Get(t.Context(), Key(k))
				if err != nil || found && !bytes.Equal(v.Bytes, Text(k, 3000+k)) {
					t.Errorf("key %d: got %d bytes, %v", k, len(v.Bytes), err)
				}
			}
		})
	}
	all.Wait()
}

func put(t *testing.T, tier Tier, k cache.Key, v cache.Value) {
	t.Helper()
	if err := tier.Put(t.Context(), k, v); err != nil {
		t.Fatal(err)
	}
}

func missing(t *testing.T, tier Tier, k cache.Key) {
	t.Helper()
	if v, found, err := tier.Get(t.Context(), k); found || err != nil {
		t.Errorf("got %d bytes, %v; want none", len(v.Bytes), err)
	}
}

func holds(t *testing.T, tier Tier, k cache.Key, want cache.Value) {
	t.Helper()
	v, found, err := tier.Get(t.Context(), k)
	if !found || err != nil || !bytes.Equal(v.Bytes, want.Bytes) {
		t.Errorf("got %d bytes, %t, %v; want the %d that were put", len(v.Bytes), found, err, len(want.Bytes))
	}
	if late := v.Expires.Sub(want.Expires); found && late > time.Millisecond {
		t.Errorf("it may be used %s longer than it was put for", late)
	}
}
