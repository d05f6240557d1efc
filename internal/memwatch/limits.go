package memwatch

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"time"
)

// BudgetConfig says how much of a node tasks may take.
type BudgetConfig struct {
	// Limit is the node's memory in bytes, as Limit finds it; 0 means unknown,
	// and memory then never holds a task back.
	Limit int64
	// Ceilings is the most that a task of each kind may take, in bytes. It is
	// expected until the kind's own peaks are known. A kind that is missing takes
	// nothing worth counting, and is held back only while the node is full.
	Ceilings map[string]int64
	// Admit is the share of the limit up to which tasks are admitted, Shed the
	// one above which a runner has to go.
	Admit, Shed float64
	// Quantile of a kind's peaks is what the next task is expected to take.
	Quantile float64
	// CPU is the share of the processors above which, over CPUWindow, slots are
	// handed out more slowly, 1 for never; CPUCalm is the one below which that
	// ends.
	CPU, CPUCalm float64
	CPUWindow    time.Duration
	// Poll is how often the node is read.
	Poll time.Duration
}

// DefaultBudget is a budget for a node with this much memory.
func DefaultBudget(limit int64, ceilings map[string]int64) BudgetConfig {
	return BudgetConfig{
		Limit: limit, Ceilings: ceilings, Admit: 0.85, Shed: 0.95, Quantile: 0.95,
		CPU: 0.8, CPUCalm: 0.7, CPUWindow: 10 * time.Second, Poll: 200 * time.Millisecond,
	}
}

// Validate reports every setting that is out of bounds.
func (c BudgetConfig) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Limit >= 0, "memory limit must not be negative, got %d", c.Limit)
	check(c.Admit > 0 && c.Admit < c.Shed && c.Shed <= 1, "memory marks must be 0 < admit < shed <= 1, got %g and %g", c.Admit, c.Shed)
	check(c.Quantile > 0 && c.Quantile < 1, "quantile must be between 0 and 1, got %g", c.Quantile)
	check(c.CPUCalm > 0 && c.CPUCalm < c.CPU && c.CPU <= 1, "CPU marks must be 0 < calm < busy <= 1, got %g and %g", c.CPUCalm, c.CPU)
	check(c.CPUWindow >= time.Second && c.CPUWindow <= 5*time.Minute, "CPU window must be from 1s to 5m, got %s", c.CPUWindow)
	check(c.Poll >= time.Millisecond && c.Poll <= 10*time.Second, "poll must be from 1ms to 10s, got %s", c.Poll)
	for kind, n := range c.Ceilings {
		check(n >= 0, "ceiling of %s must not be negative, got %d", kind, n)
	}
	return errors.Join(errs...)
}

// GoLimit is the soft limit for the worker's own heap, for debug.SetMemoryLimit:
// what the node's limit leaves beside the runners' ceilings, less a tenth for
// what is not the heap's, and at least 45 % of the limit, since not all runners
// are at their ceilings at once, and a collector that is kept too short eats the
// processors. It is no limit if the node's is unknown.
func GoLimit(limit, runners int64) int64 {
	if limit <= 0 {
		return math.MaxInt64
	}
	return max((limit-max(runners, 0))/10*9, limit/100*45)
}

// SetGoLimit sets GoLimit for this process and returns it, unless the operator
// has set a limit by GOMEMLIMIT: then that one stays.
func SetGoLimit(limit, runners int64) (bytes int64, ours bool) {
	if now := debug.SetMemoryLimit(-1); now != math.MaxInt64 {
		return now, false
	}
	bytes = GoLimit(limit, runners)
	debug.SetMemoryLimit(bytes)
	return bytes, true
}
