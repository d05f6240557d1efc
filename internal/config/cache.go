package config

import (
	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/cache"
)

// DoorCacheFlags say what whoever hands tasks over keeps and asks of the results
// of equal ones.
func DoorCacheFlags() []cli.Flag {
	d := cache.DefaultConfig()
	memory, inRedis := Bytes(d.MemoryBytes), Bytes(d.RedisBytes)
	return []cli.Flag{
		&cli.GenericFlag{Name: "cache-memory", Category: cacheCategory, Value: &memory, Usage: "results of equal tasks in this process's memory, a worker's at most an eighth of its limit; 0 is off"},
		&cli.GenericFlag{Name: "cache-redis", Category: cacheCategory, Value: &inRedis, Usage: "results in Redis, of all processes together, at most a quarter of its maxmemory; 0 is off"},
	}
}

// CacheFlags bound what a worker keeps of results for equal tasks.
func CacheFlags() []cli.Flag {
	d := cache.DefaultConfig()
	onDisk := Bytes(d.DiskBytes)
	return append(DoorCacheFlags(),
		&cli.DurationFlag{Name: "cache-redis-ttl", Category: cacheCategory, Value: d.RedisTTL, Usage: "how long a result is kept in Redis"},
		&cli.GenericFlag{Name: "cache-disk", Category: cacheCategory, Value: &onDisk, Usage: "results on disk, below --data-dir; 0 is off, and so is no --data-dir"},
		&cli.DurationFlag{Name: "cache-disk-ttl", Category: cacheCategory, Value: d.DiskTTL, Usage: "how long a result is kept on disk unused"},
	)
}

// Cache reads CacheFlags.
func Cache(c *cli.Context) (cache.Config, error) {
	cfg := cache.DefaultConfig()
	cfg.MemoryBytes, cfg.RedisBytes, cfg.DiskBytes = sizeOf(c, "cache-memory"), sizeOf(c, "cache-redis"), sizeOf(c, "cache-disk")
	cfg.RedisTTL, cfg.DiskTTL = c.Duration("cache-redis-ttl"), c.Duration("cache-disk-ttl")
	return cfg, wrong(cfg.Validate())
}

// doorCache reads DoorCacheFlags, where a program has them.
func doorCache(c *cli.Context, cfg *client.Config) {
	if m, ok := c.Generic("cache-memory").(*Bytes); ok {
		cfg.CacheBytes = int64(*m)
	}
	if r, ok := c.Generic("cache-redis").(*Bytes); ok && *r == 0 {
		cfg.NoCache = cfg.CacheBytes == 0
	}
}

func sizeOf(c *cli.Context, name string) int64 {
	if b, ok := c.Generic(name).(*Bytes); ok {
		return int64(*b)
	}
	return 0
}
