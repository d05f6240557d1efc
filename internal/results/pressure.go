package results

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
)

const (
	// memoryShare is how much of Redis's maxmemory enqueuing may fill. Once
	// Redis refuses writes it refuses the workers' too, and nothing drains.
	memoryShare = 0.85
	memoryEvery = 500 * time.Millisecond
)

// MemoryError tells that Redis's memory is nearly full.
type MemoryError struct {
	Used, Max  int64 // bytes
	RetryAfter time.Duration
}

// Error says how full it is and what to do.
func (e *MemoryError) Error() string {
	return fmt.Sprintf("redis's memory is nearly full: %d of %d bytes are used; let the workers drain the queues, keep results for less long, or raise maxmemory",
		e.Used, e.Max)
}

// guard keeps a recent reading of Redis's memory.
type guard struct {
	mu        sync.Mutex
	read      time.Time
	used, max int64
	since     int64 // bytes of payloads that were let through since
}

// room returns a *MemoryError if Redis has no room for payloads of so many
// bytes.
func (g *guard) room(ctx context.Context, b *broker.Broker, bytes int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	// What is under way may be smaller in Redis: it is a reason to look again,
	// not to refuse.
	if now.Sub(g.read) > memoryEvery || g.since > 0 && g.over(g.used+g.since) {
		info, err := b.Client().Info(ctx, "memory").Result()
		if err != nil {
			return fmt.Errorf("enqueue: %w", b.Explain(err))
		}
		g.read, g.used, g.max, g.since = now, broker.InfoNumber(info, "used_memory"), broker.InfoNumber(info, "maxmemory"), 0
	}
	if g.over(g.used) {
		return &MemoryError{Used: g.used, Max: g.max, RetryAfter: 5 * time.Second}
	}
	g.since += int64(bytes)
	return nil
}

func (g *guard) over(used int64) bool {
	return g.max > 0 && float64(used) > memoryShare*float64(g.max)
}

// refused is the error of an enqueue. Many processes may have filled Redis
// between two looks: then it has refused the task itself.
func (g *guard) refused(b *broker.Broker, err error) error {
	if !redis.HasErrorPrefix(err, "OOM") {
		return fmt.Errorf("enqueue: %w", b.Explain(err))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read = time.Time{}
	return &MemoryError{Used: g.max, Max: g.max, RetryAfter: 5 * time.Second}
}

// rates remembers how far each queue had been drained, and when.
type rates struct {
	mu       sync.Mutex
	readings map[string][]drained // by queue, the oldest first
	refused  map[string]time.Time // by queue, when it last was full
}

// drained is how many attempts had ended by then.
type drained struct {
	at        time.Time
	processed int64
}

// Bounds of the answer to "when again?".
const (
	soonest = time.Second
	latest  = time.Minute
	unknown = 5 * time.Second // before a rate was measured
	// drainSpan is over how long a rate is measured: longer than most tasks take,
	// since those that began together end together. What was read over drainPast
	// ago says nothing about now.
	drainSpan, drainPast = 30 * time.Second, time.Minute
)

// wait estimates when a tenth of the queue's limit will be free again, so that
// callers who heed it do not all come back to one free place.
func (r *rates) wait(queue string, processed int64, limit int, now time.Time) time.Duration {
	perSecond := r.read(queue, drained{now, processed})
	if perSecond <= 0 {
		return unknown
	}
	wait := time.Duration(float64(max(1, limit/10)) / perSecond * float64(time.Second))
	return min(latest, max(soonest, wait.Round(time.Second)))
}

// refuse notes that the queue was full.
func (r *rates) refuse(queue string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused == nil {
		r.refused = map[string]time.Time{}
	}
	r.refused[queue] = now
}

// fullAt reports whether the queue has refused a task within the last two seconds.
func (r *rates) fullAt(queue string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Sub(r.refused[queue]) < 2*time.Second
}

// read notes a reading, one a second at most, and returns how many attempts end
// in a second.
func (r *rates) read(queue string, d drained) (perSecond float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readings == nil {
		r.readings = map[string][]drained{}
	}
	all := r.readings[queue]
	if n := len(all); n == 0 || d.at.Sub(all[n-1].at) >= time.Second {
		all = append(all, d)
	}
	for len(all) > 1 && (d.at.Sub(all[1].at) >= drainSpan || d.at.Sub(all[0].at) >= drainPast) {
		all = all[1:]
	}
	r.readings[queue] = all
	first, last := all[0], all[len(all)-1]
	if len(all) == 1 {
		return 0
	}
	return float64(last.processed-first.processed) / last.at.Sub(first.at).Seconds()
}
