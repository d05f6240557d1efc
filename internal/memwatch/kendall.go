package memwatch

import (
	"cmp"
	"math"
	"slices"
)

// ranked is the outcome of the Mann-Kendall test with Theil and Sen's slope,
// stratified: only points of the same line are compared, so that each process
// may have a level of its own (Hirsch and Slack's form of the test).
type ranked struct {
	z     float64
	slope interval
}

// kendall tests lines for a trend. The variance is corrected for neighbors that
// err alike, as Hamed and Rao do (1998). z sets the bounds of the slope, and
// noise is what y errs by at least.
func kendall(x, y [][]float64, noise, z float64) ranked {
	var slopes []float64
	var score, variance float64
	for i := range x {
		n := float64(len(x[i]))
		for a := range x[i] {
			for b := a + 1; b < len(x[i]); b++ {
				if d := x[i][b] - x[i][a]; d > 0 {
					slopes = append(slopes, (y[i][b]-y[i][a])/d)
					score += sign(y[i][b] - y[i][a])
				}
			}
		}
		variance += n * (n - 1) * (2*n + 5) / 18
	}
	if len(slopes) == 0 || variance == 0 {
		return ranked{}
	}
	slices.Sort(slopes)
	mid := at(slopes, 0.5*float64(len(slopes)))
	variance = 0
	for i := range x {
		n := float64(len(x[i]))
		variance += n * (n - 1) * (2*n + 5) / 18 * correction(x[i], y[i], mid, noise)
	}
	spread := math.Sqrt(variance)
	pairs := float64(len(slopes))
	return ranked{
		z:     (score - sign(score)) / spread,
		slope: interval{mid: mid, low: at(slopes, (pairs-z*spread)/2), high: at(slopes, (pairs+z*spread)/2)},
	}
}

func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

func at(sorted []float64, i float64) float64 {
	return sorted[int(min(max(i, 0), float64(len(sorted)-1)))]
}

// correction is Hamed and Rao's ratio of the true variance to the one for
// independent points: from the autocorrelation of the ranks, once the trend is
// taken out, at the lags where it is significant. On a short series that is too
// kind to noise with a memory, so the ratio is at least that of a first-order
// process; and it never narrows the variance. What errs by less than noise does
// not err.
func correction(x, y []float64, slope, noise float64) float64 {
	n := len(x)
	if n < 10 {
		return 1
	}
	rest := make([]float64, n)
	for i := range rest {
		rest[i] = y[i] - slope*x[i]
	}
	level := slices.Sorted(slices.Values(rest))[n/2] // else values near one another may round apart
	for i := range rest {
		rest[i] = math.Round((rest[i] - level) / noise)
	}
	rank, all := ranks(rest)
	if all == 0 {
		return 1
	}
	f, sum, first := float64(n), 0.0, 0.0
	for lag := 1; lag <= n/3; lag++ {
		var r float64
		for i := lag; i < n; i++ {
			r += rank[i] * rank[i-lag]
		}
		r /= all
		if lag == 1 {
			first = min(max(r, 0), 0.9)
		}
		if math.Abs(r) > 1.96/math.Sqrt(f) {
			k := f - float64(lag)
			sum += k * (k - 1) * (k - 2) * r
		}
	}
	return max((1+first)/(1-first), 1+2*sum/(f*(f-1)*(f-2)))
}

// ranks are the ranks of values about their mean, equals sharing theirs, and the
// sum of their squares.
func ranks(values []float64) (rank []float64, squares float64) {
	n := len(values)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	rank = make([]float64, n)
	for i := 0; i < n; {
		j := i
		for j < n && values[order[j]] == values[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			r := float64(i+j-1)/2 - float64(n-1)/2
			rank[order[k]] = r
			squares += r * r
		}
		i = j
	}
	return rank, squares
}
