package cache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/internal/cache/cachetest"
)

// open opens a cache that runs until the test ends.
func open(t *testing.T, cfg cache.Config, b *broker.Broker, reg prometheus.Registerer) *cache.Cache {
	t.Helper()
	c, err := cache.New(cfg, b, zerolog.Nop(), reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }() //nolint:errcheck // returns nil
	t.Cleanup(func() {
		cancel()
		<-done
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func small(dir string) cache.Config {
	c := cache.DefaultConfig()
	c.MemoryBytes, c.RedisBytes, c.DiskBytes, c.Dir = 8<<20, 16<<20, 16<<20, dir
	return c
}

func get(t *testing.T, c *cache.Cache, k cache.Key) (string, string) {
	t.Helper()
	v, found := c.Get(t.Context(), k, cache.Look{})
	return string(v), found
}

// A value goes into every tier, and comes back from the fastest that has it.
func TestCache_tiers(t *testing.T) {
	t.Parallel()
	b, dir, k := brokertest.Start(t), t.TempDir(), cachetest.Key(1)
	t.Run("first", func(t *testing.T) { // it ends here: a late write would undo the flush below
		first := open(t, small(dir), b, nil)
		if v, found := get(t, first, k); found != "" {
			t.Fatalf("got %q from %s", v, found)
		}
		brokertest.Until(t, "a file", func() bool {
			first.Put(k, []byte("tides"), time.Hour)
			return len(files(t, dir)) == 1
		})
		if v, found := get(t, first, k); v != "tides" || found != cache.InMemory {
			t.Errorf("got %q from %q", v, found)
		}
	})
	second := open(t, small(t.TempDir()), b, nil)
	if v, found := get(t, second, k); v != "tides" || found != cache.InRedis {
		t.Errorf("got %q from %q", v, found)
	}
	if v, found := get(t, second, k); v != "tides" || found != cache.InMemory {
		t.Errorf("promoted: got %q from %q", v, found)
	}
	if _, found := second.Get(t.Context(), cachetest.Key(2), cache.Look{NotRedis: true}); found != "" {
		t.Errorf("got %q", found)
	}
	if s := second.State(); len(s) != 3 || s[1].Hits != 1 || s[1].Misses != 0 || s[2].Misses != 1 {
		t.Errorf("got %+v", s)
	}
	if err := b.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	cfg := small(t.TempDir())
	cfg.MemoryBytes = 0
	copied, err := os.ReadFile(files(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(dir, files(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(cfg.Dir, rel)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.Dir, rel), copied, 0o600); err != nil {
		t.Fatal(err)
	}
	third := open(t, cfg, b, nil)
	if v, found := get(t, third, k); v != "tides" || found != cache.OnDisk {
		t.Errorf("got %q from %q", v, found)
	}
	brokertest.Until(t, "promoted to redis", func() bool { return b.Client().Exists(t.Context(), k.RedisKey()).Val() == 1 })
}

// A tier that fails is passed over and comes back by itself; the others go on.
func TestCache_brokenTier(t *testing.T) {
	t.Parallel()
	server := brokertest.Faulty(t)
	reg := prometheus.NewRegistry()
	cfg := small("")
	cfg.MemoryBytes = 0
	c := open(t, cfg, brokertest.Open(t, server.URL), reg)
	k := cachetest.Key(1)
	brokertest.Until(t, "stored", func() bool {
		c.Put(k, []byte("tides"), time.Hour)
		_, found := get(t, c, k)
		return found == cache.InRedis
	})
	server.Kill()
	brokertest.Until(t, "broken", func() bool {
		if _, found := get(t, c, k); found != "" {
			t.Fatalf("got it from %s", found)
		}
		return c.State()[0].Broken
	})
	if s := c.State()[0]; s.Errors < 1 || s.Fault == "" {
		t.Errorf("got %+v, want its errors counted and told", s)
	}
	// While it is passed over nobody waits for it.
	start := time.Now()
	for range 1000 {
		get(t, c, k)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("a thousand lookups past a broken tier took %s", took)
	}
	if n, err := testutil.GatherAndCount(reg, "jobyard_cache_tier_up", "jobyard_cache_bytes", "jobyard_cache_requests_total"); err != nil || n < 4 {
		t.Errorf("got %d metrics, %v", n, err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "healed", func() bool {
		c.Put(k, []byte("tides"), time.Hour)
		_, found := get(t, c, k)
		return found == cache.InRedis && !c.State()[0].Broken
	})
}

// Ten thousand who want the same at once load it once.
func TestCache_Join(t *testing.T) {
	t.Parallel()
	c := open(t, small(""), nil, nil)
	var loads, joined atomic.Int64
	release := make(chan struct{})
	load := func(context.Context) ([]byte, error) {
		loads.Add(1)
		<-release
		c.Put(cachetest.Key(1), []byte("tides"), time.Hour)
		return []byte("tides"), nil
	}
	var all sync.WaitGroup
	for range 10_000 {
		all.Go(func() {
			if _, found := c.Get(t.Context(), cachetest.Key(1), cache.Look{}); found != "" {
				return
			}
			v, from, err := c.Join(t.Context(), cachetest.Key(1), load)
			if err != nil || string(v) != "tides" {
				t.Errorf("got %q, %v", v, err)
			}
			if from {
				joined.Add(1)
			}
		})
	}
	brokertest.Until(t, "loading", func() bool { return loads.Load() > 0 })
	close(release)
	all.Wait()
	if loads.Load() != 1 || joined.Load() == 0 {
		t.Errorf("got %d loads, %d joined", loads.Load(), joined.Load())
	}
}

var errTide = errors.New("the tide is out")

// A failure is nobody else's: who waits loads for itself. Who waits for one that
// gives up takes its place.
func TestCache_Join_sharesNoFailure(t *testing.T) {
	t.Parallel()
	for name, cancels := range map[string]bool{"the first fails": false, "the first is canceled": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t, small(""), nil, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			began, fail := make(chan struct{}), make(chan struct{})
			first := make(chan error, 1)
			go func() {
				_, _, err := c.Join(ctx, cachetest.Key(1), func(ctx context.Context) ([]byte, error) {
					close(began)
					select {
					case <-fail:
						return nil, errTide
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				})
				first <- err
			}()
			<-began
			var loads atomic.Int64
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() {
					v, _, err := c.Join(t.Context(), cachetest.Key(1), func(context.Context) ([]byte, error) {
						loads.Add(1)
						return []byte("tides"), nil
					})
					if err != nil || string(v) != "tides" {
						t.Errorf("got %q, %v", v, err)
					}
				})
			}
			if cancels {
				cancel()
			} else {
				close(fail)
			}
			if err := <-first; err == nil {
				t.Error("got no error for the first")
			}
			all.Wait()
			if loads.Load() == 0 {
				t.Error("got a value that nobody loaded")
			}
		})
	}
}

// Who waits has half of its time left to load for itself.
func TestCache_Join_isPatientForHalfItsTime(t *testing.T) {
	t.Parallel()
	c := open(t, small(""), nil, nil)
	began, end := make(chan struct{}), make(chan struct{})
	go c.Join(t.Context(), cachetest.Key(1), func(context.Context) ([]byte, error) { //nolint:errcheck // it is not asked
		close(began)
		<-end
		return nil, errTide
	})
	defer close(end)
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	v, joined, err := c.Join(ctx, cachetest.Key(1), func(context.Context) ([]byte, error) { return []byte("own"), nil })
	if err != nil || joined || string(v) != "own" {
		t.Errorf("got %q, %t, %v", v, joined, err)
	}
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	if err := cache.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := (cache.Config{}).Validate(); err != nil {
		t.Errorf("all off: %v", err)
	}
	for name, change := range map[string]func(*cache.Config){
		"memory": func(c *cache.Config) { c.MemoryBytes = 1000 }, "negative": func(c *cache.Config) { c.MemoryBytes = -1 },
		"redis": func(c *cache.Config) { c.RedisBytes = 5 }, "redis time": func(c *cache.Config) { c.RedisTTL = 0 },
		"disk": func(c *cache.Config) { c.DiskBytes = 5 }, "disk time": func(c *cache.Config) { c.DiskTTL = time.Second },
	} {
		cfg := cache.DefaultConfig()
		if change(&cfg); cfg.Validate() == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// A cache that is switched off is one that never has anything.
func TestCache_off(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*cache.Cache{"nil": nil, "no tiers": open(t, cache.Config{}, nil, nil)} {
		c.Put(cachetest.Key(1), []byte("tides"), time.Hour)
		if _, found := c.Get(t.Context(), cachetest.Key(1), cache.Look{}); found != "" || c.HeapBytes() != 0 || len(c.State()) != 0 {
			t.Errorf("%s: got something from %q", name, found)
		}
		if v, joined, err := c.Join(t.Context(), cachetest.Key(1), func(context.Context) ([]byte, error) { return []byte("own"), nil }); err != nil || joined || string(v) != "own" {
			t.Errorf("%s: got %q, %t, %v", name, v, joined, err)
		}
	}
}
