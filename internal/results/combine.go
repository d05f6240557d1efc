package results

import (
	"cmp"
	"context"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
)

// combiner joins calls made at the same time into few round trips. A call that
// finds the way free goes at once and alone; those that come while others are
// under way go together with the next.
type combiner[T, R any] struct {
	// send makes one round trip. Its answers have the order of the calls.
	send func(ctx context.Context, calls []T) ([]R, error)
	// broker says how long a call may take, with the wait for the one before it.
	broker *broker.Broker
	// most is how many calls one round trip may carry, flights how many round
	// trips may be under way at once.
	most, flights int

	mu      sync.Mutex
	flying  int
	waiting []*combined[T, R]
}

type combined[T, R any] struct {
	call   T
	answer R
	err    error
	done   chan struct{}
}

// do makes one call. It returns when its round trip has; the context ends the
// wait, not the call.
func (c *combiner[T, R]) do(ctx context.Context, call T) (answer R, err error) {
	c.mu.Lock()
	if c.flying < c.flights { // then nobody waits
		c.flying++
		c.mu.Unlock()
		ctx = context.WithoutCancel(ctx)
		answers, err := c.send(ctx, []T{call})
		c.land(ctx)
		if err != nil {
			return answer, err
		}
		return answers[0], nil
	}
	mine := &combined[T, R]{call: call, done: make(chan struct{})}
	c.waiting = append(c.waiting, mine)
	c.mu.Unlock()
	limit, cancel := c.broker.CallContext(context.WithoutCancel(ctx))
	defer cancel()
	select {
	case <-mine.done:
		return mine.answer, mine.err
	case <-ctx.Done():
		return answer, ctx.Err()
	case <-limit.Done():
		return answer, limit.Err()
	}
}

// next takes the calls of the next round trip; c.mu is held.
func (c *combiner[T, R]) next() []*combined[T, R] {
	n := min(len(c.waiting), c.most)
	batch := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	return batch
}

// land ends a round trip: if calls have gathered meanwhile, the next one
// starts, in a goroutine of its own, because this caller has its answer.
func (c *combiner[T, R]) land(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.flying--
		return
	}
	batch := c.next()
	go func() {
		c.fly(ctx, batch)
		c.land(ctx)
	}()
}

func (c *combiner[T, R]) fly(ctx context.Context, batch []*combined[T, R]) {
	calls := make([]T, len(batch))
	for i, b := range batch {
		calls[i] = b.call
	}
	answers, err := c.send(ctx, calls)
	for i, b := range batch {
		if b.err = err; err == nil {
			b.answer = answers[i]
		}
		close(b.done)
	}
}

// scriptCall is one call of a script.
type scriptCall struct {
	keys []string
	args []any
}

// runAll runs a script once for each call, in one pipeline, and loads it first
// where Redis does not know it.
func runAll(ctx context.Context, c redis.UniversalClient, script *redis.Script, calls []scriptCall) ([]*redis.Cmd, error) {
	if len(calls) == 1 {
		cmd := script.Run(ctx, c, calls[0].keys, calls[0].args...)
		return []*redis.Cmd{cmd}, cmd.Err()
	}
	cmds := make([]*redis.Cmd, len(calls))
	send := func() error {
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, call := range calls {
				// Those that have run stay: somebody else may load the script meanwhile.
				if cmds[i] == nil || redis.HasErrorPrefix(cmds[i].Err(), "NOSCRIPT") {
					cmds[i] = p.EvalSha(ctx, script.Hash(), call.keys, call.args...)
				}
			}
			return nil
		})
		return err
	}
	err := send()
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err := script.Load(ctx, c).Err(); err != nil {
			return nil, err
		}
		err = send()
	}
	for _, cmd := range cmds {
		err = cmp.Or(err, cmd.Err())
	}
	return cmds, err
}
