package broker

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestSpread_Quantile(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 5))
	var all []float64
	s := make(Spread, SpreadPlaces)
	for range 20_000 {
		d := time.Duration(math.Exp(random.NormFloat64()*1.5+4) * float64(time.Millisecond))
		all = append(all, d.Seconds())
		s[SpreadPlace(d)]++
	}
	slices.Sort(all)
	for _, p := range []float64{0.5, 0.9, 0.95, 0.99} {
		want := all[int(p*float64(len(all)))]
		if got := s.Quantile(p); got < 0.8*want || got > 1.25*want {
			t.Errorf("p%g: got %.4f s, want about %.4f s", 100*p, got, want)
		}
	}
	if got := (Spread{}).Quantile(0.5); got != 0 {
		t.Errorf("of nothing: got %g, want 0", got)
	}
}

func TestSpread_Since(t *testing.T) {
	t.Parallel()
	now := Spread{1, 5, 2}
	for name, tt := range map[string]struct {
		before Spread
		want   int64
	}{
		"nothing before":     {nil, 8},
		"some before":        {Spread{1, 3}, 4},
		"a node began anew":  {Spread{9, 0, 0}, 8},
		"one with more left": {Spread{0, 0, 0, 7}, 8},
	} {
		if got := now.Since(tt.before).Count(); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
	if got := now.Plus(Spread{1, 0, 0, 4}).Count(); got != 13 {
		t.Errorf("sum: got %d, want 13", got)
	}
}

func FuzzSpread(f *testing.F) {
	f.Add([]byte(`[1,2,3]`), 0.95)
	f.Add([]byte(`[-1,9223372036854775807,0]`), 0.5)
	f.Fuzz(func(t *testing.T, raw []byte, p float64) {
		var s Spread
		if json.Unmarshal(raw, &s) != nil {
			return
		}
		s = s.Clean()
		if q := s.Quantile(min(1, max(0, p))); len(s) > SpreadPlaces || q < 0 || math.IsInf(q, 0) {
			t.Errorf("got %g of %v", q, s)
		}
	})
}
