package isolation

import (
	"context"
	"sync"
	"time"
)

// Attempt is what the worker and a runner tell each other about one attempt of
// a task, whatever lies between them. It travels in the context.
type Attempt struct {
	task string

	mu     sync.Mutex
	limits Limits
	peak   int64
	cpu    time.Duration
}

type attemptKey struct{}

// WithAttempt names the task for the list of runners and sets its own limits,
// where they differ from the pool's. Afterwards the Attempt tells what the task
// has used.
func WithAttempt(ctx context.Context, task string, limits Limits) (context.Context, *Attempt) {
	a := &Attempt{task: task, limits: limits}
	return context.WithValue(ctx, attemptKey{}, a), a
}

func attemptOf(ctx context.Context) *Attempt {
	if a, ok := ctx.Value(attemptKey{}).(*Attempt); ok {
		return a
	}
	return new(Attempt)
}

// Enlarge raises the memory ceiling of what the attempt has runners do from now
// on, as far as their pool allows.
func (a *Attempt) Enlarge(memory int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limits.Memory = max(a.limits.Memory, memory)
}

func (a *Attempt) bounds() Limits {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.limits
}

// PeakMemory is the highest resident memory of the runners that worked on it.
func (a *Attempt) PeakMemory() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.peak
}

// CPU is the processor time that the runners have spent on it.
func (a *Attempt) CPU() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cpu
}

func (a *Attempt) used(peak int64, cpu time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.peak = max(a.peak, peak)
	a.cpu += cpu
}
