// Package cache keeps bytes by key over three tiers: this process's memory,
// Redis, which all processes share, and a folder on this machine's disk.
//
// It promises that a value is returned as it was put or not at all; that no tier
// holds more bytes than its bound; that one key is loaded once at a time in this
// process; and that a tier which fails costs time, never an answer: it is passed
// over, counted, and tried again by itself. It is a cache: any value may be gone
// at any time, and nothing waits for one to be stored in Redis or on disk.
//
// In Redis it owns the keys jobyard:cache:{0..15}:*, on disk the folder that it
// is given. Run does the work in the background and ends with its context, Close
// gives the folder back. A nil *Cache is one without tiers.
package cache

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
)

// The tiers, from the fastest. The names are label values and stand in a task's
// field "cached".
const (
	InMemory = "memory"
	InRedis  = "redis"
	OnDisk   = "disk"
)

// Tiers lists the names of all tiers.
func Tiers() []string { return []string{InMemory, InRedis, OnDisk} }

// Key names a value: a hash of all that the value depends on.
type Key [sha256.Size]byte

// id is the key as text.
func (k Key) id() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// Value is what is kept, and until when it may be used. Its bytes are shared:
// nobody may change them.
type Value struct {
	Bytes   []byte
	Expires time.Time
}

// MaxValue is the largest value that is kept anywhere, in bytes.
const MaxValue = 32 << 20

// Config bounds the tiers; a bound of 0 switches a tier off.
type Config struct {
	// MemoryBytes bounds what lies in memory.
	MemoryBytes int64
	// RedisBytes bounds what lies in Redis, of all processes together; at most a
	// quarter of Redis's maxmemory is used. RedisTTL is how long it lies there.
	RedisBytes int64
	RedisTTL   time.Duration
	// DiskBytes bounds what lies in Dir, and DiskTTL is for how long it may lie
	// there unused. Without a Dir there is no such tier.
	DiskBytes int64
	DiskTTL   time.Duration
	Dir       string
}

// DefaultConfig returns the defaults of the design.
func DefaultConfig() Config {
	return Config{
		MemoryBytes: 200_000_000, RedisBytes: 1_000_000_000, RedisTTL: time.Hour,
		DiskBytes: 20_000_000_000, DiskTTL: 7 * 24 * time.Hour,
	}
}

// minBytes is the least that a tier can do something with.
const minBytes = 1 << 20

// Validate reports every setting that is out of bounds.
func (c Config) Validate() error {
	var errs []error
	size := func(tier string, n int64) {
		if n != 0 && n < minBytes {
			errs = append(errs, fmt.Errorf("%s cache must be 0 (off) or at least 1MiB, got %d bytes", tier, n))
		}
	}
	size(InMemory, c.MemoryBytes)
	size(InRedis, c.RedisBytes)
	size(OnDisk, c.DiskBytes)
	if c.RedisBytes > 0 && (c.RedisTTL < time.Second || c.RedisTTL > 30*24*time.Hour) {
		errs = append(errs, fmt.Errorf("redis cache: values must be kept from 1s to 720h, got %s", c.RedisTTL))
	}
	if c.DiskBytes > 0 && (c.DiskTTL < time.Minute || c.DiskTTL > 366*24*time.Hour) {
		errs = append(errs, fmt.Errorf("disk cache: values must be kept from 1m to 8784h, got %s", c.DiskTTL))
	}
	return errors.Join(errs...)
}

// tier is one place for values. Get reports a value that is not there without an
// error; Put may keep it or not.
type tier interface {
	Get(ctx context.Context, k Key) (v Value, found bool, err error)
	Put(ctx context.Context, k Key, v Value) error
	// Clean takes out what is over, and what has expired.
	Clean(ctx context.Context) error
	// Bytes is how much it holds, as it counts against its bound.
	Bytes() int64
	// Bound is how much it may hold.
	Bound() int64
	Close() error
}

// Cache is the tiers behind one door. It is safe for concurrent use.
type Cache struct {
	tiers   []*guarded // from the fastest
	flights flights
	behind  behind
	log     zerolog.Logger
	now     func() time.Time
}

// New opens the tiers that are not switched off; b may be nil without Redis, reg
// nil without metrics.
func New(cfg Config, b *broker.Broker, log zerolog.Logger, reg prometheus.Registerer) (*Cache, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Cache{log: log, now: time.Now, flights: flights{all: map[Key]*flight{}}, behind: newBehind()}
	metrics := newMetrics(reg, c)
	add := func(name string, t tier) {
		for _, result := range []string{"hit", "miss", "error"} {
			metrics.requests.WithLabelValues(name, result) // from 0, so that a ratio is known from the first lookup
		}
		c.tiers = append(c.tiers, &guarded{tier: t, name: name, log: log, now: time.Now, metrics: metrics})
	}
	if cfg.MemoryBytes > 0 {
		t, err := NewMemory(cfg.MemoryBytes)
		if err != nil {
			return nil, err
		}
		add(InMemory, t)
	}
	if cfg.RedisBytes > 0 && b != nil {
		add(InRedis, NewRedis(b, cfg.RedisBytes, cfg.RedisTTL))
	}
	if cfg.DiskBytes > 0 && cfg.Dir != "" {
		t, err := OpenDisk(cfg.Dir, cfg.DiskBytes, cfg.DiskTTL)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		add(OnDisk, t)
	}
	return c, nil
}

// Look says where a lookup may look; the zero value is everywhere.
type Look struct {
	// NotRedis leaves Redis out, where it was asked a moment ago.
	NotRedis bool
}

// Get returns a value that has not expired, and in which tier it was found;
// found is "" if it is in none. A value of a slower tier is put into the faster
// ones.
func (c *Cache) Get(ctx context.Context, k Key, look Look) (value []byte, found string) {
	if c == nil {
		return nil, ""
	}
	for i, t := range c.tiers {
		if look.NotRedis && t.name == InRedis {
			continue
		}
		if v, ok := t.get(ctx, k); ok {
			c.promote(k, v, c.tiers[:i])
			return v.Bytes, t.name
		}
	}
	return nil, ""
}

// Prefetch looks in Redis for many values in one round trip, and puts those that
// are there into memory, where they are found next.
func (c *Cache) Prefetch(ctx context.Context, keys []Key) {
	if !c.Has(InMemory) || !c.Has(InRedis) {
		return
	}
	keys = slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { _, here := c.peek(k); return here })
	if len(keys) == 0 {
		return
	}
	for k, v := range c.tier(InRedis).getAll(ctx, keys) {
		c.tier(InMemory).put(ctx, k, v)
	}
}

// promote puts a value into tiers that are faster than its own.
func (c *Cache) promote(k Key, v Value, faster []*guarded) {
	for _, t := range faster {
		if t.name == InMemory {
			t.put(context.Background(), k, v) // takes no time
		} else {
			c.behind.add(write{k, v, t.name})
		}
	}
}

// Put keeps a value for as long as it may be used: in memory at once, in the
// other tiers as soon as they come to it.
func (c *Cache) Put(k Key, value []byte, use time.Duration) {
	if c == nil || use <= 0 || len(value) > MaxValue {
		return
	}
	c.promote(k, Value{value, c.now().Add(use)}, c.tiers)
}

func (c *Cache) tier(name string) *guarded {
	for _, t := range c.tiers {
		if t.name == name {
			return t
		}
	}
	return nil
}

// Has reports whether a tier is switched on.
func (c *Cache) Has(name string) bool { return c != nil && c.tier(name) != nil }

// State is how a tier is, as a node tells it.
type State = broker.NodeTier

// State tells how the tiers are that are switched on, the fastest first.
func (c *Cache) State() []State {
	if c == nil {
		return nil
	}
	all := make([]State, len(c.tiers))
	for i, t := range c.tiers {
		all[i] = t.state()
	}
	return all
}

// HeapBytes is how much of this process's memory the values take.
func (c *Cache) HeapBytes() int64 {
	if !c.Has(InMemory) {
		return 0
	}
	return c.tier(InMemory).tier.Bytes()
}

// cleanEvery is the period of the clean-up.
const cleanEvery = time.Minute

// Run stores values and cleans up until ctx ends.
func (c *Cache) Run(ctx context.Context) error {
	if c == nil {
		<-ctx.Done()
		return nil
	}
	clean := time.NewTicker(cleanEvery)
	defer clean.Stop()
	press := time.NewTicker(pressEvery)
	defer press.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case w := <-c.behind.writes:
			c.behind.done(w)
			if t := c.tier(w.tier); t != nil {
				t.put(ctx, w.key, w.value)
			}
		case <-clean.C:
			for _, t := range c.tiers {
				t.clean(ctx)
			}
		case <-press.C:
			if t := c.tier(InRedis); t != nil {
				t.clean(ctx)
			}
		}
	}
}

// Close gives the tiers back, once Run has returned.
func (c *Cache) Close() error {
	if c == nil {
		return nil
	}
	var errs []error
	for _, t := range c.tiers {
		errs = append(errs, t.tier.Close())
	}
	return errors.Join(errs...)
}
