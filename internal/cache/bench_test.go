package cache_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/internal/cache/cachetest"
)

// BenchmarkGet reads values of 4 KB and of 40 KB from each tier.
func BenchmarkGet(b *testing.B) {
	memory, err := cache.NewMemory(64 << 20)
	if err != nil {
		b.Fatal(err)
	}
	disk, err := cache.OpenDisk(b.TempDir(), 64<<20, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	defer disk.Close()
	for name, tier := range map[string]cachetest.Tier{
		cache.InMemory: memory, cache.InRedis: cache.NewRedis(brokertest.Start(b), 64<<20, time.Hour), cache.OnDisk: disk,
	} {
		for _, size := range []int{4 << 10, 40 << 10} {
			b.Run(fmt.Sprintf("%s/%dKB", name, size>>10), func(b *testing.B) {
				k := cachetest.Key(size)
				brokertest.Until(b, "stored", func() bool {
					if err := tier.Put(b.Context(), k, cachetest.In(time.Hour, cachetest.Text(1, size))); err != nil {
						b.Fatal(err)
					}
					_, found, err := tier.Get(b.Context(), k)
					return found && err == nil
				})
				for b.Loop() {
					if _, found, err := tier.Get(b.Context(), k); !found || err != nil {
						b.Fatal(found, err)
					}
				}
			})
		}
	}
}
