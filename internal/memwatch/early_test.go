package memwatch

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"
	"time"
)

// readEvery is after how many tasks a runner of a new kind is read.
const readEvery = 10

// early is what a kind's first thousand tasks may look like, in two runners that
// take turns, evenly or not. Real runners err by a few kilobytes, so that nothing
// hides in the noise: neither a leak nor the unevenness of a cache.
type early struct {
	name string
	// keys are how many a cache may hold, and asks how many of them a task uses;
	// with zipf some are asked for more than others.
	keys, asks func(*rand.Rand) int
	zipf       bool
	entry      float64 // bytes of each, about
	leak       float64 // bytes a task
}

// between draws evenly on a logarithmic scale.
func between(low, high int) func(*rand.Rand) int {
	return func(rng *rand.Rand) int {
		return int(float64(low) * math.Pow(float64(high)/float64(low), rng.Float64()))
	}
}

func earlyLives() []early {
	const kb = 1 << 10
	one := between(1, 1)
	return []early{
		{name: "nothing but noise", keys: one, asks: one},
		{name: "small cache", keys: between(10, 60), asks: one, entry: 20 * kb},
		{name: "cache of hundreds of entries", keys: between(100, 1600), asks: one, entry: 20 * kb},
		{name: "cache whose keys differ", keys: between(100, 5000), asks: one, zipf: true, entry: 20 * kb},
		{name: "cache of many small entries", keys: between(2000, 32000), asks: between(20, 50), entry: kb},
		{name: "many small entries that differ", keys: between(2000, 32000), asks: between(20, 50), zipf: true, entry: kb},
		{name: "leak of 20 KB", keys: one, asks: one, leak: 20 * kb},
		{name: "leak of 20 KB beside a small cache", keys: between(10, 60), asks: one, entry: 20 * kb, leak: 20 * kb},
	}
}

// earlyRunner is one of the two.
type earlyRunner struct {
	level, held float64 // bytes: at its start, and in its cache
	done        int
	has         map[int]bool
}

// draw returns a function that draws one of so many keys.
func (e early) draw(rng *rand.Rand, keys int) func() int {
	if !e.zipf {
		return func() int { return rng.IntN(keys) }
	}
	exponent := 0.7 + 0.5*rng.Float64()
	sum, upTo := 0.0, make([]float64, keys)
	for i := range upTo {
		sum += math.Pow(float64(i+1), -exponent)
		upTo[i] = sum
	}
	return func() int { return sort.SearchFloat64s(upTo, rng.Float64()*sum) }
}

// live plays a kind's first tasks into a detector and returns after how many the
// kind was named, or 0.
func (e early) live(seed uint64, tasks int) (named int) {
	rng := rand.New(rand.NewPCG(seed, 0x6561726c79)) //nolint:gosec // a repeatable simulation
	keys, asks, entry := e.keys(rng), e.asks(rng), e.entry*(0.3+1.4*rng.Float64())
	draw := e.draw(rng, keys)
	noise := float64(between(1, 30)(rng)) // KB
	favor := 0.5 + 0.5*rng.Float64()      // of the first runner
	pace := time.Duration(1+rng.IntN(100)) * time.Millisecond
	var both [2]*earlyRunner
	for i := range both {
		both[i] = &earlyRunner{level: 4*mb + 8*mb*rng.Float64(), has: map[int]bool{}}
	}
	total := 0
	d := NewDetector(nil, func(l Leak) { named = total })
	for at := epoch; total < tasks && named == 0; {
		who := 0
		if rng.Float64() > favor {
			who = 1
		}
		r := both[who]
		for range readEvery * asks {
			if k := draw(); !r.has[k] {
				r.has[k] = true
				r.held += entry
			}
		}
		r.done, total, at = r.done+readEvery, total+readEvery, at.Add(readEvery*pace)
		warm := 0.6 * mb * (1 - math.Exp(-float64(r.done)/15))
		live := r.level + warm + r.held + e.leak*float64(r.done) + 1024*noise*rng.NormFloat64()
		d.ObserveRunner(Reading{Kind: "k", Process: 1 + who, Done: r.done, Live: int64(live), At: at})
	}
	return named
}

// A leak of 20 KB a task is named within a kind's first thousand tasks, and a
// cache that fills meanwhile is not. Seeds and tuning are as in
// TestDetector_simulation.
func TestDetector_early(t *testing.T) {
	t.Parallel()
	n := *traces / 2
	if testing.Short() || underRace {
		n = min(n, 20)
	}
	const within = 1000
	for _, e := range earlyLives() {
		var after []float64
		for i := range uint64(n) {
			if at := e.live(*seed+i, within); at > 0 {
				after = append(after, float64(at))
			}
		}
		t.Logf("%-36s named %4d, after %3.0f, 95 %% %3.0f, 99 %% %3.0f, all %3.0f tasks", e.name, len(after),
			quantileOf(after, 0.5), quantileOf(after, 0.95), quantileOf(after, 0.99), quantileOf(after, 1))
		switch {
		case e.leak == 0 && len(after) > max(1, n/100): // in a few traces one says nothing
			t.Errorf("%s: got %d false alarms in %d traces, want at most 1 %%", e.name, len(after), n)
		case e.leak > 0 && len(after) < n:
			t.Errorf("%s: named in %d of %d traces within %d tasks, want all", e.name, len(after), n, within)
		}
	}
}
