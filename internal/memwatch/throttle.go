package memwatch

import "time"

// throttle hands slots out more slowly while the node's processors are busy
// over a high mark, until they are below a low one: after a task its slot rests,
// in proportion to the time that the task took. So tasks of any length are
// slowed alike, and only as far as it takes.
type throttle struct {
	high, low float64
	window    time.Duration

	samples []sample
	rest    float64   // share of a slot's time, 0 is no throttle
	changed time.Time // when rest was last set
}

// sample is the share of the processors in use over some time before at.
type sample struct {
	at    time.Time
	took  time.Duration
	share float64
}

const (
	// restStep is by how much rest changes, five times in a window at most.
	restStep = 0.1
	// mostRest makes slots four times as slow. Where that is not enough the load
	// is not ours.
	mostRest = 0.75
	// longestRest bounds one rest: the next task may be taken already.
	longestRest = 2 * time.Second
	// maxSamples bounds the memory; at ten readings a second it is enough for ten
	// seconds.
	maxSamples = 128
)

// observe takes the share of the processors that has been in use since the
// reading before.
func (t *throttle) observe(now time.Time, share float64) {
	var took time.Duration
	if n := len(t.samples); n > 0 {
		took = min(now.Sub(t.samples[n-1].at), t.window)
	}
	t.samples = append(t.samples, sample{now, took, share})
	for len(t.samples) > 1 && (now.Sub(t.samples[0].at) > t.window || len(t.samples) > maxSamples) {
		t.samples = t.samples[1:]
	}
	if t.rest == 0 {
		if average, covered := t.average(t.window); covered >= t.window*9/10 && average > t.high {
			t.rest, t.changed = restStep, now
		}
		return
	}
	turn := t.window / 5
	if now.Sub(t.changed) < turn {
		return
	}
	switch lately, _ := t.average(turn); {
	case lately > t.high:
		t.rest = min(t.rest+restStep, mostRest)
	case lately < t.low:
		if t.rest -= restStep; t.rest < restStep/2 {
			t.rest = 0
		}
	}
	t.changed = now
}

// average is the share over the last stretch of the window, and how much of it
// is known.
func (t *throttle) average(stretch time.Duration) (share float64, covered time.Duration) {
	var sum float64
	for i := len(t.samples) - 1; i >= 0 && covered < stretch; i-- {
		s := t.samples[i]
		sum += s.share * s.took.Seconds()
		covered += s.took
	}
	if covered > 0 {
		share = sum / covered.Seconds()
	}
	return share, covered
}

// restAfter is how long a slot rests after a task, if it rests for that share
// of its time.
func restAfter(took time.Duration, rest float64) time.Duration {
	return min(time.Duration(float64(took)*rest/(1-rest)), longestRest)
}
