package monitor

import "time"

// rateWindow is how many samples a rate is taken over: long enough to be calm,
// short enough to be of now.
const rateWindow = 6

// rates turns counters into figures per second. It is used by one goroutine.
type rates struct {
	series map[string]*rate
	round  uint64
}

type rate struct {
	at    [rateWindow]time.Time
	count [rateWindow]int64
	n     int
	round uint64 // of the last observation
}

func newRates() *rates { return &rates{series: map[string]*rate{}} }

// next begins a round of observations and forgets the counters that the last
// one did not see.
func (r *rates) next() {
	for key, s := range r.series {
		if s.round != r.round {
			delete(r.series, key)
		}
	}
	r.round++
}

// per returns how fast a counter grows per second. A counter that went back
// began anew.
func (r *rates) per(key string, at time.Time, count int64) float64 {
	if s := r.series[key]; s != nil && s.n > 0 && count < s.count[s.n-1] {
		delete(r.series, key)
	}
	return r.change(key, at, count)
}

// change returns how fast a figure grows per second, or falls.
func (r *rates) change(key string, at time.Time, count int64) float64 {
	s := r.series[key]
	if s == nil {
		s = &rate{}
		r.series[key] = s
	}
	s.round = r.round
	if s.n == rateWindow {
		copy(s.at[:], s.at[1:])
		copy(s.count[:], s.count[1:])
		s.n--
	}
	s.at[s.n], s.count[s.n] = at, count
	s.n++
	elapsed := at.Sub(s.at[0]).Seconds()
	if elapsed <= 0 {
		return 0
	}
	return float64(count-s.count[0]) / elapsed
}
