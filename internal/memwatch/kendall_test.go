package memwatch

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestKendall(t *testing.T) {
	t.Parallel()
	// By hand: 10 pairs, of which 9 rise and 1 falls, so S = 8; its variance is
	// 5·4·15/18 = 16.67, so z = 7/4.08.
	got := kendall([][]float64{{1, 2, 3, 4, 5}}, [][]float64{{1, 2, 4, 3, 5}}, 0.1, 2.58)
	if math.Abs(got.z-7/math.Sqrt(5*4*15/18.0)) > 1e-9 {
		t.Errorf("got z %.3f, want 1.715", got.z)
	}
	if got.slope.mid != 1 || got.slope.low > 0 || got.slope.high < 1 {
		t.Errorf("got slope %+v, want 1 in wide bounds", got.slope)
	}
	if got := kendall([][]float64{{1}, {2}}, [][]float64{{1}, {5}}, 0.1, 2.58); got != (ranked{}) {
		t.Errorf("single points of two processes: got %+v, want nothing", got)
	}
}

// Independent noise must pass a test at 1 % about once in a hundred times, and
// noise that remembers must not pass it much more often.
func TestKendall_noise(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // repeatable
	for _, memory := range []float64{0, 0.3, 0.6} {
		alarms := 0
		const rounds, n = 1000, 60
		for range rounds {
			x, y, last := make([]float64, n), make([]float64, n), 0.0
			for i := range x {
				last = memory*last + rng.NormFloat64()
				x[i], y[i] = float64(i), last
			}
			if math.Abs(kendall([][]float64{x}, [][]float64{y}, 0.1, 2.58).z) > 2.58 {
				alarms++
			}
		}
		if alarms > rounds*4/100 {
			t.Errorf("noise with memory %.1f: got %d trends in %d, want about 1 %%", memory, alarms, rounds)
		}
	}
}

func TestLeakage(t *testing.T) {
	t.Parallel()
	const n = 50
	at := func(f func(x float64) float64) []*series {
		cfg, rng := runnerTrend(), rand.New(rand.NewPCG(7, 8)) //nolint:gosec // repeatable
		both := []*series{{origin: Reading{At: epoch}}, {origin: Reading{At: epoch}}}
		for i := range n {
			for _, s := range both {
				x := float64(40 + 20*i)
				s.add(Reading{Done: int(x), Live: int64((f(x) + 0.2*rng.NormFloat64()) * mb), At: epoch.Add(minutesOf(float64(i)))}, cfg)
			}
		}
		return both
	}
	line := func(x float64) float64 { return 20 + 0.05*x }
	for _, c := range []struct {
		name string
		f    func(x float64) float64
		leak bool
	}{
		{"level", func(float64) float64 { return 20 }, false},
		{"line", line, true},
		{"cache", func(x float64) float64 { return 20 + 60*(1-math.Exp(-x/300)) }, false},
		{"slow cache", func(x float64) float64 { return 20 + 80*(1-math.Exp(-x/1200)) }, false},
		{"cache of unlike keys", func(x float64) float64 { return 20 + 9*math.Log1p(x/10) }, false},
		{"cache and line", func(x float64) float64 { return line(x) + 60*(1-math.Exp(-x/150)) }, true},
		{"step", func(x float64) float64 { return 20 + 100*math.Floor(min(x, 601)/600) }, false},
		{"two steps", func(x float64) float64 { return 20 + 50*math.Floor(min(x, 801)/400) }, false},
		{"step and line", func(x float64) float64 { return line(x) + 100*math.Floor(min(x, 601)/600) }, true},
		{"growth too small to matter", func(x float64) float64 { return 20 + 0.003*x }, false},
		{"sinking", func(x float64) float64 { return 90 - 0.05*x }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := judge(at(c.f), epoch, runnerTrend())
			if got.leaking != c.leak {
				t.Errorf("got a leak: %v, want %v", got.leaking, c.leak)
			}
			if s := got.inTasks(); c.leak && (s.low > 0.05*mb || s.high < 0.05*mb) {
				t.Errorf("got %.4f [%.4f, %.4f] MB a task, want 0.05 within", s.mid/mb, s.low/mb, s.high/mb)
			}
		})
	}
}
