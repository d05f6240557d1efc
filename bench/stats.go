package main

import (
	"math"
	"slices"
)

// percentile is the nearest-rank percentile of the values, p from 0 to 100.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(0, rank-1)]
}

// median is the middle value, or the mean of the two middle ones.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// ratio is how much better ours is than base.
func (r row) ratio(ours, base float64) float64 {
	if r.less {
		ours, base = base, ours
	}
	return ours / base
}

// ratios are those of the single rounds.
func (m measured) ratios() []float64 {
	all := make([]float64, len(m.ours))
	for i := range all {
		all[i] = m.ratio(m.ours[i], m.base[i])
	}
	return all
}

// digits rounds to four significant digits: more would be noise.
func digits(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}
