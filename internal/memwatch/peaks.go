package memwatch

import "math"

// peaks learns how much memory the tasks of a kind take at most: a histogram of
// peaks in steps of an eighth of an octave, from 1 MB to 64 GB, in which the old
// counts for less and less. It begins with one peak at the ceiling, which the
// 95 % of the rest outweigh after some twenty tasks.
type peaks struct {
	counts [peakSteps]float64
	total  float64
	weight float64 // of the next peak
}

const (
	peakSteps = 16 * 8
	leastPeak = 1 << 20
	// fade is by how much a peak counts less than the next one: the last 200
	// make up two thirds.
	fade = 0.995
)

// newPeaks returns what is expected before anything is known.
func newPeaks(ceiling int64) *peaks {
	p := &peaks{weight: 1}
	p.add(ceiling)
	return p
}

func peakStep(peak int64) int {
	steps := math.Ceil(8 * math.Log2(float64(max(peak, 1))/leastPeak))
	return int(min(max(steps, 0), peakSteps-1))
}

// add takes the peak of a task.
func (p *peaks) add(peak int64) {
	p.counts[peakStep(peak)] += p.weight
	p.total += p.weight
	p.weight /= fade
	if p.weight < 1e9 {
		return
	}
	for i := range p.counts {
		p.counts[i] /= p.weight
	}
	p.total, p.weight = p.total/p.weight, 1
}

// quantile is what a share of the tasks stays below, or at most one step above.
func (p *peaks) quantile(q float64) int64 {
	var sum float64
	for i, n := range p.counts {
		if sum += n; sum >= q*p.total-1e-9*p.total {
			return int64(leastPeak * math.Exp2(float64(i)/8))
		}
	}
	return leastPeak * 1 << 16
}
