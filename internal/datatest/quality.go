package datatest

import (
	"encoding/json"
	"math"
	"testing"
)

// QualityKey is the attribute of a test under which Quality notes a measure.
const QualityKey = "quality"

// Measure is one figure that was held against a ground truth.
type Measure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Gate  float64 `json:"gate"`
	OK    bool    `json:"ok"`
}

// Quality holds a measure (a share, or a mean score, from 0 to 1) against what
// it must reach at least, and fails the test below that. The measure is noted
// with the test's events too, where make quality collects it: the tests that
// measure are named TestQuality_*.
func Quality(tb testing.TB, name string, value, gate float64) {
	tb.Helper()
	m := Measure{Name: name, Value: math.Round(value*1e4) / 1e4, Gate: gate, OK: value >= gate}
	note, err := json.Marshal(m)
	if err != nil {
		tb.Fatalf("%s: %v", name, err) // not a number
	}
	tb.Attr(QualityKey, string(note))
	if !m.OK {
		tb.Errorf("%s: got %.4f, want at least %.4f", name, value, gate)
	}
}

// Share is the part that holds of all; of none it is 0, as nothing was measured.
func Share(holds, all int) float64 {
	if all == 0 {
		return 0
	}
	return float64(holds) / float64(all)
}
