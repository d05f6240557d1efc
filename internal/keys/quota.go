package keys

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

//go:embed lua/rate.lua
var rateSource string

//go:embed lua/reserve.lua
var reserveSource string

//go:embed lua/release.lua
var releaseSource string

var (
	rateScript    = redis.NewScript(rateSource)
	reserveScript = redis.NewScript(reserveSource)
	releaseScript = redis.NewScript(releaseSource)
)

const (
	// sweepEvery bounds how often the unfinished tasks of one key are looked
	// at, and sweepPage how many at a time.
	sweepEvery = 250 * time.Millisecond
	sweepPage  = 1000
	// reserveGrace is how long a place is held for a task that is not queued
	// yet.
	reserveGrace = 30 * time.Second
	// openFor is how long unfinished tasks are remembered after the last one.
	openFor = tasks.MaxDelay + tasks.MaxRetention
)

// QuotaError tells that a key has used up what it may.
type QuotaError struct {
	Message    string
	RetryAfter time.Duration
}

// Error says which limit and when to come again.
func (e *QuotaError) Error() string { return e.Message }

// Quota holds keys to their rate and to their number of unfinished tasks. Both
// are counted in Redis, so that all doors of a yard count together; a key
// without limits costs nothing.
type Quota struct {
	broker *broker.Broker
	// batchEnded tells whether a batch has ended, or is not known.
	batchEnded func(ctx context.Context, id string) (ended, gone bool, err error)
	now        func() time.Time

	mu    sync.Mutex
	swept map[string]time.Time
}

// NewQuota returns the quotas in the store's Redis.
func (s *Store) NewQuota(batchEnded func(ctx context.Context, id string) (ended, gone bool, err error)) *Quota {
	return &Quota{broker: s.broker, batchEnded: batchEnded, now: s.now, swept: map[string]time.Time{}}
}

// Pass counts one request of a key; a *QuotaError tells that it comes too soon.
// One second's worth may come at once.
func (q *Quota) Pass(ctx context.Context, k Key) error {
	if k.Rate <= 0 {
		return nil
	}
	ctx, cancel := q.broker.CallContext(ctx)
	defer cancel()
	burst := math.Max(1, math.Ceil(k.Rate))
	wait, err := rateScript.Run(ctx, q.broker.Client(), []string{"jobyard:key:" + k.ID + ":rate"}, k.Rate, burst).Int64()
	if err != nil {
		return fmt.Errorf("count a request: %w", q.broker.Explain(err))
	}
	if wait > 0 {
		return &QuotaError{
			Message:    fmt.Sprintf("the key %s may send %g requests a second", k.Name, k.Rate),
			RetryAfter: time.Duration(wait) * time.Microsecond,
		}
	}
	return nil
}

func openKey(k Key) string { return "jobyard:key:" + k.ID + ":open" }

// Reserve counts a task, or a batch of several (then queue is empty), as
// unfinished. A *QuotaError tells that the key has too many.
func (q *Quota) Reserve(ctx context.Context, k Key, id, queue string, count int) error {
	if k.InFlight <= 0 {
		return nil
	}
	if count > k.InFlight {
		return &QuotaError{Message: fmt.Sprintf("the key %s may have %d unfinished tasks, not %d at once", k.Name, k.InFlight, count), RetryAfter: time.Minute}
	}
	open, ok, err := q.reserve(ctx, k, id, queue, count)
	if err != nil || ok {
		return err
	}
	freed, err := q.sweep(ctx, k)
	if err != nil {
		return err
	}
	if freed > 0 {
		if open, ok, err = q.reserve(ctx, k, id, queue, count); err != nil || ok {
			return err
		}
	}
	return &QuotaError{
		Message:    fmt.Sprintf("the key %s may have %d unfinished tasks, and has %d; wait for some to end", k.Name, k.InFlight, open),
		RetryAfter: time.Second,
	}
}

func (q *Quota) reserve(ctx context.Context, k Key, id, queue string, count int) (open int64, ok bool, err error) {
	ctx, cancel := q.broker.CallContext(ctx)
	defer cancel()
	answer, err := reserveScript.Run(ctx, q.broker.Client(), []string{openKey(k)},
		id, count, k.InFlight, queue, q.now().UnixMilli(), openFor.Milliseconds()).Int64Slice()
	if err != nil || len(answer) != 2 {
		return 0, false, fmt.Errorf("count a task: %w", q.broker.Explain(err))
	}
	return answer[1], answer[0] > 0, nil
}

// Release takes tasks out of the unfinished ones: they ended, or were not
// queued after all.
func (q *Quota) Release(ctx context.Context, k Key, ids ...string) (int, error) {
	if k.InFlight <= 0 || len(ids) == 0 {
		return 0, nil
	}
	ctx, cancel := q.broker.CallContext(ctx)
	defer cancel()
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	n, err := releaseScript.Run(ctx, q.broker.Client(), []string{openKey(k)}, args...).Int()
	if err != nil {
		return 0, fmt.Errorf("count a task: %w", q.broker.Explain(err))
	}
	return n, nil
}

// sweep finds which of a key's unfinished tasks have ended. It looks a page at
// a time, from anywhere: with enough looks every one is seen.
func (q *Quota) sweep(ctx context.Context, k Key) (freed int, err error) {
	if !q.mayCheck(k.ID) {
		return 0, nil
	}
	ctx, cancel := q.broker.CallContext(ctx)
	defer cancel()
	var cursor uint64
	for {
		var page []string
		page, cursor, err = q.broker.Client().HScan(ctx, openKey(k), cursor, "", sweepPage).Result()
		if err != nil {
			return freed, fmt.Errorf("read a key's tasks: %w", q.broker.Explain(err))
		}
		ended, err := q.ended(ctx, page)
		if err != nil {
			return freed, err
		}
		n, err := q.Release(ctx, k, ended...)
		if freed += n; err != nil || cursor == 0 || freed > 0 {
			return freed, err
		}
	}
}

// mayCheck keeps a flood of refused requests from becoming a flood of looks.
func (q *Quota) mayCheck(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	if now.Sub(q.swept[id]) < sweepEvery {
		return false
	}
	if len(q.swept) > 2*MaxKeys {
		clear(q.swept)
	}
	q.swept[id] = now
	return true
}

// ended picks what is final or gone of a page of ids and entries.
func (q *Quota) ended(ctx context.Context, page []string) ([]string, error) {
	var ended []string
	states := map[string]*redis.SliceCmd{}
	held := q.now().Add(-reserveGrace).UnixMilli()
	_, err := q.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := 0; i+1 < len(page); i += 2 {
			if queue, _ := entry(page[i+1]); page[i] != "" && queue != "" {
				states[page[i]] = p.HMGet(ctx, broker.TaskKey(queue, page[i]), "state", "y_final")
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read a key's tasks: %w", q.broker.Explain(err))
	}
	for i := 0; i+1 < len(page); i += 2 {
		id := page[i]
		queue, at := entry(page[i+1])
		switch state := states[id]; {
		case id == "":
		case queue == "":
			over, gone, err := q.batchEnded(ctx, id)
			if err != nil {
				return nil, err
			}
			if over || gone && at < held {
				ended = append(ended, id)
			}
		case state.Val()[1] != nil, state.Val()[0] == nil && at < held:
			ended = append(ended, id)
		}
	}
	return ended, nil
}

func entry(text string) (queue string, at int64) {
	parts := strings.Split(text, " ")
	if len(parts) != 3 {
		return "", 0
	}
	at, _ = strconv.ParseInt(parts[2], 10, 64)
	return parts[1], at
}
