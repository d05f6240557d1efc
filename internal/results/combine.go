package results

import (
	"cmp"
	"context"
	"runtime"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
)

// combiner joins calls made at the same time into few round trips. A call goes
// at once and alone if none is under way; the others go together with those that
// come soon, or that come until a round trip ends.
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
	waiting []*flight[T, R]
}

// flight is one round trip, which gathers calls until it starts.
type flight[T, R any] struct {
	calls   []T
	done    chan struct{} // closed when the rest is set
	answers []R
	err     error
}

// do makes one call. It returns when its round trip has; the context ends the
// wait, not the call.
func (c *combiner[T, R]) do(ctx context.Context, call T) (answer R, err error) {
	c.mu.Lock()
	if c.flying == 0 {
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
	f := c.gathering()
	at := len(f.calls)
	f.calls = append(f.calls, call)
	starts := c.flying < c.flights
	if starts {
		c.flying++
	}
	c.mu.Unlock()
	if starts {
		runtime.Gosched() // those that the last round trip has woken may have calls, too
		c.land(context.WithoutCancel(ctx))
	}
	limit, cancel := c.broker.CallContext(context.WithoutCancel(ctx))
	defer cancel()
	select {
	case <-f.done:
		if f.err != nil {
			return answer, f.err
		}
		return f.answers[at], nil
	case <-ctx.Done():
		return answer, ctx.Err()
	case <-limit.Done():
		return answer, limit.Err()
	}
}

// gathering is the flight that has room for another call; c.mu is held.
func (c *combiner[T, R]) gathering() *flight[T, R] {
	if n := len(c.waiting); n > 0 && len(c.waiting[n-1].calls) < c.most {
		return c.waiting[n-1]
	}
	f := &flight[T, R]{done: make(chan struct{})}
	c.waiting = append(c.waiting, f)
	return f
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
	f := c.waiting[0]
	c.waiting = c.waiting[1:]
	go func() {
		f.answers, f.err = c.send(ctx, f.calls)
		close(f.done)
		c.land(ctx)
	}()
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
