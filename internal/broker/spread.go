package broker

import (
	"math"
	"time"
)

// Spread counts durations by their size: place i counts those of up to
// 2^(i/2) ms, the last place all that are longer. It is small enough to travel
// in every heartbeat, and two spreads add up place by place. Places after the
// last count may be missing.
type Spread []int64

// SpreadPlaces is how many places a Spread has at most: up to about 69 minutes.
const SpreadPlaces = 46

// SpreadPlace says where a duration is counted.
func SpreadPlace(d time.Duration) int {
	ms := float64(d) / float64(time.Millisecond)
	if ms <= 1 {
		return 0
	}
	return min(SpreadPlaces-1, int(math.Ceil(2*math.Log2(ms))))
}

// spreadEnd is the longest duration of a place, in seconds.
func spreadEnd(place int) float64 { return math.Exp2(float64(place)/2) / 1000 }

// Count is how many durations were counted.
func (s Spread) Count() int64 {
	var n int64
	for _, c := range s {
		n += c
	}
	return n
}

// Quantile estimates, in seconds, what the part p of all durations stay below.
// It errs by the width of a place, a fifth of the value. Without any counts it
// is 0.
func (s Spread) Quantile(p float64) float64 {
	all := float64(s.Count())
	if all == 0 {
		return 0
	}
	below := 0.0
	for i, c := range s {
		if here := float64(c); c > 0 && below+here >= p*all {
			start := 0.0
			if i > 0 {
				start = spreadEnd(i - 1)
			}
			return start + (spreadEnd(i)-start)*(p*all-below)/here
		}
		below += float64(max(0, c))
	}
	return spreadEnd(len(s) - 1)
}

// Plus returns the sum of two spreads.
func (s Spread) Plus(other Spread) Spread {
	sum := make(Spread, max(len(s), len(other)))
	copy(sum, s)
	for i, c := range other {
		sum[i] += c
	}
	return sum
}

// Since returns what was counted after an earlier reading of the same spread.
// One that counts less than before has begun anew, and is all new.
func (s Spread) Since(before Spread) Spread {
	grown := make(Spread, len(s))
	for i, c := range s {
		if i < len(before) {
			c -= before[i]
		}
		if c < 0 {
			return s
		}
		grown[i] = c
	}
	if len(before) > len(s) {
		return s
	}
	return grown
}

// Clean bounds a spread that a stranger may have written.
func (s Spread) Clean() Spread {
	s = s[:min(len(s), SpreadPlaces)]
	for i, c := range s {
		s[i] = min(max(0, c), math.MaxInt32)
	}
	return s
}
