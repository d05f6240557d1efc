package memwatch

import (
	"math"
	"math/rand/v2"
	"time"
)

// scenario is a way in which a kind's memory develops over six hours. Sizes are
// in MB, as in the table.
type scenario struct {
	name   string
	load   rhythm
	warm   float64 // a cache with a time constant of 10 minutes of full work
	slow   float64 // the same with 45
	linear float64 // a cache that fills evenly for 2 hours
	step   float64 // something large that is loaded once
	leak   float64 // MB a minute, of each process
	onset  float64 // minute in which the leak begins
	exempt bool    // healthy, but no one can tell before the cache is full
}

func (s scenario) healthy() bool { return s.leak == 0 }

// rhythm is how much work there is when.
type rhythm int

const (
	steady rhythm = iota
	diurnal
	nearIdle
	bursts
)

func scenarios() []scenario {
	return []scenario{
		{name: "steady"},
		{name: "load that follows the day", load: diurnal},
		{name: "nearly idle, 3 % load", load: nearIdle},
		{name: "bursts of load", load: bursts},
		{name: "cache, time constant 10 min", warm: 40},
		{name: "cache, time constant 45 min", slow: 60},
		{name: "cache and step and bursts", load: bursts, warm: 40, step: 150},
		{name: "step of 150 MB", step: 150},
		{name: "cache that fills evenly for 2 h", linear: 120, exempt: true},
		{name: "leak of 0.2 MB/min", leak: 0.2},
		{name: "leak of 1 MB/min", leak: 1},
		{name: "leak of 1 MB/min, cache and bursts", load: bursts, warm: 40, leak: 1},
		{name: "leak of 1 MB/min from hour 2", leak: 1, onset: 120},
		{name: "leak of 30 MB/min", leak: 30},
	}
}

const (
	tick     = 10 * time.Second
	ticks    = 6 * 60 * 6
	mb       = 1 << 20
	fullLoad = 20.0 // tasks a minute for each process
)

// world is what both simulations of a trace have in common.
type world struct {
	scenario
	rng     *rand.Rand
	byTask  bool // the leak and its size follow the tasks, not the clock
	zipf    int  // which of zipfExponents the caches' keys follow, if any
	phase   float64
	stepAt  float64
	burst   float64 // minutes that the present burst or pause still lasts
	inBurst bool
}

func newWorld(s scenario, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 0x6d656d)) //nolint:gosec // a repeatable simulation
	return &world{
		scenario: s, rng: rng, byTask: rng.IntN(2) == 0, zipf: rng.IntN(2 * len(zipfExponents)),
		phase: rng.Float64() * 2 * math.Pi, stepAt: 30 + rng.Float64()*270, burst: rng.Float64() * 30,
	}
}

// work is the load of the next tick as a share of full load: about 1 on average
// but for nearIdle.
func (w *world) work(minute float64) float64 {
	switch w.load {
	case diurnal: // a day in six hours, so that a trace holds all of it
		return 1 + 0.8*math.Sin(w.phase+2*math.Pi*minute/360)
	case nearIdle:
		return 0.03
	case bursts:
		if w.burst -= 1.0 / 6; w.burst <= 0 {
			w.inBurst = !w.inBurst
			w.burst = 20 + w.rng.ExpFloat64()*20
			if w.inBurst {
				w.burst = 3 + w.rng.ExpFloat64()*7
			}
		}
		if w.inBurst {
			return 3
		}
		return 0.5
	}
	return 1
}

// cached is how much the caches hold after so much work, in minutes of full load.
func (w *world) cached(work float64) float64 {
	mb := min(1, work/120) * w.linear
	if w.warm > 0 {
		mb += w.warm * w.filled(work/10)
	}
	if w.slow > 0 {
		mb += w.slow * w.filled(work/45)
	}
	return mb
}

// filled is a cache's level after so many time constants.
func (w *world) filled(t float64) float64 {
	if w.zipf >= len(zipfExponents) {
		return 1 - math.Exp(-t)
	}
	zipfCurve := zipfCurves[w.zipf]
	i := t * zipfSteps
	if i >= float64(len(zipfCurve)-1) {
		return zipfCurve[len(zipfCurve)-1]
	}
	k := int(i)
	return zipfCurve[k] + (i-float64(k))*(zipfCurve[k+1]-zipfCurve[k])
}

const zipfSteps = 32

// zipfExponents are those of caches in half of the traces.
var zipfExponents = [...]float64{0.7, 1, 1.2}

var zipfCurves = func() (all [len(zipfExponents)][]float64) {
	for i, e := range zipfExponents {
		all[i] = makeZipf(e)
	}
	return all
}()

// makeZipf is the level of a cache of 2,000 keys over time, of which the i-th is
// asked for in proportion to 1/i^e; after one time constant it is at 63 %, as an
// exponential is.
func makeZipf(e float64) []float64 {
	const keys = 2000
	level := func(asked float64) (sum float64) {
		for i := 1; i <= keys; i++ {
			sum += 1 - math.Exp(-asked*math.Pow(float64(i), -e))
		}
		return sum / keys
	}
	low, high := 1.0, 1e6
	for range 40 {
		if mid := (low + high) / 2; level(mid) < 1-1/math.E {
			low = mid
		} else {
			high = mid
		}
	}
	curve := make([]float64, 20*zipfSteps)
	for i := range curve {
		curve[i] = level(low * float64(i) / zipfSteps)
	}
	return curve
}

// simRunner is a runner as the isolation room keeps it: it is read every 20
// tasks, of the kind's first thousand every 10, and replaced after about 1,000
// tasks, an hour or 384 MB.
type simRunner struct {
	pid           int
	born          float64
	tasks, read   float64
	level, spread float64
	leaked        float64
}

const simRunners = 2

// runners plays a trace of a kind with two runners into observe until it says
// that it has heard enough.
func (w *world) runners(start time.Time, observe func(minute float64, r Reading) (enough bool)) {
	var pool [simRunners]*simRunner
	pids, total := 0, 0.0
	for i := range ticks {
		minute := float64(i) / 6
		load := w.work(minute)
		for j, c := range pool {
			if c == nil {
				pids++
				c = &simRunner{pid: pids, born: minute, level: 8 + 10*w.rng.Float64(), spread: 0.8 + 0.4*w.rng.Float64()}
				pool[j] = c
			}
			did := load * fullLoad / 6 * (0.5 + w.rng.Float64())
			c.tasks, total = c.tasks+did, total+did
			if minute >= w.onset {
				c.leaked += w.leaks(load)
			}
			live := w.live(c, minute)
			every := 20.0
			if total <= 1000 {
				every = 10
			}
			if c.tasks-c.read >= every {
				c.read = math.Floor(c.tasks)
				r := Reading{Kind: "k", Process: c.pid, Done: int(c.tasks), Live: int64(w.noisy(live) * mb), At: start.Add(time.Duration(i) * tick)}
				if observe(minute, r) {
					return
				}
			}
			if c.tasks > 1000*c.spread || minute-c.born > 60*c.spread || live > 384 {
				pool[j] = nil
			}
		}
	}
}

// leaks is how many MB are lost in a tick.
func (w *world) leaks(load float64) float64 {
	if w.byTask {
		return w.leak / 6 * load
	}
	return w.leak / 6
}

func (w *world) live(c *simRunner, minute float64) float64 {
	live := c.level + 3*(1-math.Exp(-c.tasks/25)) + w.cached(c.tasks/fullLoad) + c.leaked
	if minute >= w.stepAt {
		live += w.step
	}
	return live
}

// noisy adds what a reading is off by, and now and then a pool that is full.
func (w *world) noisy(live float64) float64 {
	live += 0.3 * w.rng.NormFloat64()
	if w.rng.IntN(30) == 0 {
		live += 1 + 5*w.rng.Float64()
	}
	return live
}

// process plays a trace of the worker itself, which runs four tasks at once:
// every 10 seconds what was alive after the last collection, and what the whole
// heap is, garbage and all.
func (w *world) process(start time.Time, observe func(minute float64, r Reading, heap float64) (enough bool)) {
	level := 40 + 40*w.rng.Float64()
	var worked, leaked float64
	for i := range ticks {
		minute := float64(i) / 6
		load := w.work(minute)
		worked += load / 6
		if minute >= w.onset {
			leaked += w.leaks(load)
		}
		stays := level + w.cached(worked) + leaked + 0.5*w.rng.NormFloat64()
		if minute >= w.stepAt {
			stays += w.step
		}
		live := stays + 6*load*(w.rng.ExpFloat64()+w.rng.ExpFloat64()) // tasks at work
		r := Reading{Kind: "worker", Live: int64(live * mb), At: start.Add(time.Duration(i) * tick)}
		if observe(minute, r, live*(1+w.rng.Float64())) {
			return
		}
	}
}

func minutesOf(m float64) time.Duration { return time.Duration(m * float64(time.Minute)) }
