package cache_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/internal/cache/cachetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, 2<<20, func(t *testing.T, bound int64) cachetest.Tier {
		t.Helper()
		m, err := cache.NewMemory(bound)
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}

func TestRedis(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, 8<<20, func(t *testing.T, bound int64) cachetest.Tier {
		t.Helper()
		return cache.NewRedis(brokertest.Start(t), bound, time.Hour)
	})
}

func TestDisk(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, 8<<20, func(t *testing.T, bound int64) cachetest.Tier {
		t.Helper()
		return openDisk(t, t.TempDir(), bound)
	})
}

func openDisk(t *testing.T, dir string, bound int64) *cache.Disk {
	t.Helper()
	d, err := cache.OpenDisk(dir, bound, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What counts is what Redis says that it uses.
func TestRedis_holdsItsBoundInRedisOwnFigures(t *testing.T) {
	t.Parallel()
	const bound = 16 << 20
	for name, size := range map[string]func(n int) int{
		"small values": func(int) int { return 200 },
		"large values": func(n int) int { return 20_000 + n%20_000 },
		"mixed values": func(n int) int { return 100 << (n % 9) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t)
			used := func() int64 {
				return broker.InfoNumber(b.Client().Info(t.Context(), "memory").Val(), "used_memory")
			}
			r := cache.NewRedis(b, bound, time.Hour)
			if err := r.Put(t.Context(), cachetest.Key(-1), cachetest.In(time.Hour, []byte("first"))); err != nil {
				t.Fatal(err)
			}
			before := used()
			for n, written := 0, 0; written < 3*bound/2; n++ {
				v := cachetest.Bytes(n, size(n))
				if err := r.Put(t.Context(), cachetest.Key(n), cachetest.In(time.Hour, v)); err != nil {
					t.Fatal(err)
				}
				written += len(v) + 300
			}
			brokertest.Until(t, "within the bound, once redis's buffers are gone", func() bool { return used()-before <= bound+bound/50 })
			grown := used() - before
			t.Logf("redis has grown by %d bytes, %.1f %% of the bound; the tier says %d", grown, 100*float64(grown)/bound, r.Bytes())
		})
	}
}

// The tasks come first: the tier takes a quarter at most, and gives way.
func TestRedis_givesWayToTasks(t *testing.T) {
	t.Parallel()
	server := brokertest.Faulty(t, "maxmemory 32mb", "maxmemory-policy noeviction")
	b := brokertest.Open(t, server.URL)
	r := cache.NewRedis(b, 1<<30, time.Hour)
	fill := func(from int) {
		for n := from; n < from+2000; n++ {
			if err := r.Put(t.Context(), cachetest.Key(n), cachetest.In(time.Hour, cachetest.Bytes(n, 8000))); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(0)
	if got := r.Bytes(); got > 8<<20 || got < 4<<20 {
		t.Errorf("got %d bytes, want up to a quarter of 32 MiB", got)
	}
	// Something else fills Redis up to four fifths.
	others := 0
	topUp := func() {
		for ; broker.InfoNumber(b.Client().Info(t.Context(), "memory").Val(), "used_memory") < 32<<20*80/100; others++ {
			if err := b.Client().Set(t.Context(), "other:"+strconv.Itoa(others), cachetest.Bytes(others, 100_000), 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	brokertest.Until(t, "the tier gives way", func() bool {
		topUp() // again: its buffers come and go
		if err := r.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r.Bytes() < 4<<20
	})
	before := r.Bytes()
	fill(10_000)
	if used := broker.InfoNumber(b.Client().Info(t.Context(), "memory").Val(), "used_memory"); used > 32<<20*85/100 {
		t.Errorf("got %d bytes in use, want the guard's 85 %% undisturbed; the tier had %d and has %d", used, before, r.Bytes())
	}
}

// files are the value files of a tier.
func files(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "??", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func ready(t *testing.T, d *cache.Disk, k cache.Key, v cache.Value) {
	t.Helper()
	brokertest.Until(t, "stored", func() bool {
		if err := d.Put(t.Context(), k, v); err != nil {
			t.Fatal(err)
		}
		_, found, err := d.Get(t.Context(), k)
		return found && err == nil
	})
}

// Any byte of any file may change: it is never served.
func TestDisk_neverServesADamagedValue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDisk(t, dir, 8<<20)
	defer d.Close()
	k := cachetest.Key(1)
	for _, value := range [][]byte{cachetest.Text(1, 300), cachetest.Text(1, 3000)} {
		v := cachetest.In(time.Hour, value)
		ready(t, d, k, v)
		path := files(t, dir)[0]
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damages := [][]byte{nil, good[:1], good[:cache.HeaderSize], good[:len(good)-1], append(slices.Clip(good), 0)}
		for at := range good {
			bad := append([]byte(nil), good...)
			bad[at] ^= 1 << (at % 8)
			damages = append(damages, bad)
		}
		for i, bad := range damages {
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if got, found, err := d.Get(t.Context(), k); found || err == nil {
				t.Fatalf("damage %d: got %q, %v", i, got.Bytes, err)
			}
			if _, found, err := d.Get(t.Context(), k); found || err != nil {
				t.Fatalf("damage %d: got %v, want a file that is gone", i, err)
			}
		}
		// Another key's file in its place is none either.
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		other := cachetest.Key(2)
		ready(t, d, other, v)
		for _, f := range files(t, dir) {
			if f != path {
				if err := os.WriteFile(f, good, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, found, err := d.Get(t.Context(), other); found || err == nil {
			t.Errorf("got %v, want another key's value refused", err)
		}
	}
}

// What is on disk is there after a restart and counts against the bound, and
// what was left half written is gone.
func TestDisk_outlivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDisk(t, dir, 8<<20)
	v := cachetest.In(time.Hour, cachetest.Bytes(1, 50_000))
	ready(t, d, cachetest.Key(1), v)
	if _, err := cache.OpenDisk(dir, 8<<20, time.Hour); runtime.GOOS == "linux" && (err == nil || !strings.Contains(err.Error(), "another process")) {
		t.Errorf("got %v, want the folder refused to a second one", err)
	}
	held := d.Bytes()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	part := files(t, dir)[0] + ".part"
	if err := os.WriteFile(part, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := openDisk(t, dir, 8<<20)
	defer again.Close()
	brokertest.Until(t, "counted", func() bool { return again.Bytes() == held })
	if got, found, err := again.Get(t.Context(), cachetest.Key(1)); !found || err != nil || string(got.Bytes) != string(v.Bytes) {
		t.Errorf("got %d bytes, %t, %v", len(got.Bytes), found, err)
	}
	brokertest.Until(t, "half a file is gone", func() bool { _, err := os.Stat(part); return os.IsNotExist(err) })
}
