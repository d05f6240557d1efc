package memwatch

import "testing"

// oldRule is what the system before this one took for a leak: a heap that has
// grown by more than half within three samples. It is kept as the baseline.
type oldRule struct{ last []float64 }

func (o *oldRule) observe(heap float64) bool {
	o.last = append(o.last, heap)
	if len(o.last) < 4 {
		return false
	}
	first := o.last[0]
	o.last = append(o.last[:0], o.last[1:]...)
	return heap > 1.5*first
}

func TestOldRule(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		heaps []float64
		want  bool
	}{
		{"says nothing before three more samples", []float64{10, 20, 30}, false},
		{"alarms above half", []float64{10, 11, 12, 15.1}, true},
		{"keeps quiet at half", []float64{10, 11, 12, 15}, false},
		{"takes the sawtooth of a healthy collector for a leak", []float64{20, 25, 32, 38, 20}, true},
		{"misses a leak of 4 % a sample", []float64{100, 104, 108, 112, 117, 122, 127}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rule, got := new(oldRule), false
			for _, h := range c.heaps {
				got = rule.observe(h) || got
			}
			if got != c.want {
				t.Errorf("got alarm %v, want %v", got, c.want)
			}
		})
	}
}
