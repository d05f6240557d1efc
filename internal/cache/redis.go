package cache

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
)

//go:embed lua/keep.lua
var keepSource string

var keepScript = redis.NewScript(keepSource)

const (
	// redisShards is over how many slots of a cluster the values are spread. Each
	// keeps its own part of the bound.
	redisShards = 16
	// redisEntry is what an entry takes in Redis beside its value, as measured:
	// key, expiry, its places in the two lists of its shard, and tables that double.
	redisEntry = 680
	// redisValue is the largest value that Redis is given: while it moves one it
	// answers nobody else.
	redisValue = 1 << 20
	// redisShare is the most of Redis's maxmemory that the tier takes. It stores
	// nothing while more than storeBelow of it is in use, and gives back above
	// giveAbove: well before enqueuing is refused, at 85 %.
	redisShare = 0.25
	storeBelow = 0.60
	giveAbove  = 0.70
	// pressEvery is how often a process looks whether it is above.
	pressEvery = 5 * time.Second
	// lookAfter is how old a reading of Redis's memory may be.
	lookAfter = 500 * time.Millisecond
)

// Redis is the tier in Redis, which all processes share. When it is full, the
// values go first that would expire first.
type Redis struct {
	broker *broker.Broker
	bound  int64
	ttl    time.Duration
	held   [redisShards]atomic.Int64 // as last heard

	mu        sync.Mutex
	looked    time.Time
	used, max int64
}

// NewRedis returns a tier in the broker's Redis, of at most so many bytes of all
// processes together.
func NewRedis(b *broker.Broker, bound int64, ttl time.Duration) *Redis {
	return &Redis{broker: b, bound: bound, ttl: ttl}
}

func shardPrefix(shard int) string { return "jobyard:cache:{" + strconv.Itoa(shard) + "}:" }

func (k Key) shard() int { return int(k[0]) % redisShards }

// RedisKey is where a value lies in Redis.
func (k Key) RedisKey() string { return shardPrefix(k.shard()) + "v:" + k.id() }

// Get implements a tier.
func (r *Redis) Get(ctx context.Context, k Key) (Value, bool, error) {
	raw, err := r.broker.Client().Get(ctx, k.RedisKey()).Bytes()
	if errors.Is(err, redis.Nil) {
		return Value{}, false, nil
	}
	if err != nil {
		return Value{}, false, fmt.Errorf("read from the redis cache: %w", r.broker.Explain(err))
	}
	v, err := decode(k, raw)
	if err != nil {
		r.broker.Client().Unlink(ctx, k.RedisKey())
		return Value{}, false, err
	}
	return v, true, nil
}

// GetAll looks for many values in one round trip; those that are not there are
// missing from the answer.
func (r *Redis) GetAll(ctx context.Context, keys []Key) (map[Key]Value, error) {
	cmds, err := r.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, k := range keys {
			p.Get(ctx, k.RedisKey())
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read from the redis cache: %w", r.broker.Explain(err))
	}
	found := map[Key]Value{}
	for i, cmd := range cmds {
		if raw, err := cmd.(*redis.StringCmd).Bytes(); err == nil {
			if v, err := decode(keys[i], raw); err == nil {
				found[keys[i]] = v
			}
		}
	}
	return found, nil
}

// Put implements a tier.
func (r *Redis) Put(ctx context.Context, k Key, v Value) error {
	now := time.Now()
	if most := now.Add(r.ttl); v.Expires.After(most) {
		v.Expires = most
	}
	raw := encode(k, v)
	size := redisSize(len(raw))
	bound := r.Bound() / redisShards
	if len(raw) > redisValue || size > bound/4 || !v.Expires.After(now) {
		return nil
	}
	room, err := r.room(ctx)
	if err != nil || !room {
		return err
	}
	return r.keep(ctx, k.shard(), bound, k.id(), raw, size, v.Expires.UnixMilli())
}

// keep runs the script on one shard.
func (r *Redis) keep(ctx context.Context, shard int, bound int64, value ...any) error {
	prefix := shardPrefix(shard)
	args := append([]any{prefix + "v:", time.Now().UnixMilli(), bound}, value...)
	held, err := keepScript.Run(ctx, r.broker.Client(), []string{prefix + "ages", prefix + "sizes"}, args...).Int64()
	switch {
	case redis.HasErrorPrefix(err, "OOM"):
		return nil // it is full of tasks, which come first
	case err != nil:
		return fmt.Errorf("store in the redis cache: %w", r.broker.Explain(err))
	case held >= 0:
		r.held[shard].Store(held)
	}
	return nil
}

// room reports whether Redis has memory to spare. It reads how much is in use
// now and then.
func (r *Redis) room(ctx context.Context) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) > lookAfter {
		info, err := r.broker.Client().Info(ctx, "memory").Result()
		if err != nil {
			return false, fmt.Errorf("read redis's memory: %w", r.broker.Explain(err))
		}
		r.looked, r.used, r.max = time.Now(), broker.InfoNumber(info, "used_memory"), broker.InfoNumber(info, "maxmemory")
	}
	return r.max == 0 || float64(r.used) <= storeBelow*float64(r.max), nil
}

// Clean implements a tier: it takes out what has expired, and where Redis is
// short of memory for its tasks, as much as brings it back to storeBelow.
func (r *Redis) Clean(ctx context.Context) error {
	if _, err := r.room(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	used, most := float64(r.used), float64(r.max)
	r.mu.Unlock()
	bound := r.Bound()
	if most > 0 && used > giveAbove*most {
		bound = max(0, min(bound, r.Bytes()-int64(used-storeBelow*most)))
	}
	for shard := range redisShards {
		if err := r.keep(ctx, shard, bound/redisShards); err != nil {
			return err
		}
	}
	return nil
}

// Bytes implements a tier.
func (r *Redis) Bytes() int64 {
	sum := int64(0)
	for i := range r.held {
		sum += r.held[i].Load()
	}
	return sum
}

// Bound implements a tier.
func (r *Redis) Bound() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.max > 0 {
		return min(r.bound, int64(redisShare*float64(r.max)))
	}
	return r.bound
}

// Close implements a tier.
func (r *Redis) Close() error { return nil }

// redisSize is what a value of n bytes takes in Redis. Its allocator rounds up:
// there are four sizes between two powers of two.
func redisSize(n int) int64 {
	n += 16
	step := 16
	if n > 128 {
		step = 1 << (bits.Len(uint(n-1)) - 3) //nolint:gosec // positive
	}
	return int64((n+step-1)/step*step) + redisEntry
}
