package memwatch

import "time"

// throttle slows the handing out of slots down while the node's processors are
// busy over a high mark, until they are below a low one.
type throttle struct {
	high, low float64
	window    time.Duration

	samples []load
	on      bool
	gap     time.Duration // between two slots
	changed time.Time     // when gap was last set
	last    time.Time     // when a slot was last handed out
}

// load is a share of the processors over the time before at.
type load struct {
	at    time.Time
	took  time.Duration
	share float64
}

// The pause between two slots doubles with every window that stays busy.
const (
	firstGap = 100 * time.Millisecond
	lastGap  = 1600 * time.Millisecond
	// maxLoads bounds the memory; at ten readings a second it is enough for ten
	// seconds.
	maxLoads = 128
)

// observe takes the share of the processors that has been in use since the
// reading before.
func (t *throttle) observe(now time.Time, share float64) {
	var took time.Duration
	if n := len(t.samples); n > 0 {
		took = min(now.Sub(t.samples[n-1].at), t.window)
	}
	t.samples = append(t.samples, load{now, took, share})
	for len(t.samples) > 1 && (now.Sub(t.samples[0].at) > t.window || len(t.samples) > maxLoads) {
		t.samples = t.samples[1:]
	}
	average, covered := t.average()
	switch {
	case !t.on && covered >= t.window*9/10 && average > t.high:
		t.on, t.gap, t.changed = true, firstGap, now
	case t.on && average < t.low:
		t.on, t.gap = false, 0
	case t.on && average > t.high && now.Sub(t.changed) >= t.window:
		t.gap, t.changed = min(2*t.gap, lastGap), now
	}
}

// average is the share over the window, and how much of it is known.
func (t *throttle) average() (share float64, covered time.Duration) {
	var sum float64
	for _, s := range t.samples {
		sum += s.share * s.took.Seconds()
		covered += s.took
	}
	if covered > 0 {
		share = sum / covered.Seconds()
	}
	return share, covered
}

// allows reports whether a slot may be handed out now.
func (t *throttle) allows(now time.Time) bool { return !t.on || now.Sub(t.last) >= t.gap }
