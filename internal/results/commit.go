package results

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
)

// Bounds of a committer.
const (
	// commitMost and commitBytes bound one round trip.
	commitMost, commitBytes = 128, 4 << 20
	// uncommittedMost and uncommittedBytes bound what waits; beyond, attempts
	// wait to end.
	uncommittedMost, uncommittedBytes = 512, 64 << 20
	commitAgain                       = 250 * time.Millisecond
	// refusedFor is how long an end is tried that Redis refuses to write.
	refusedFor = time.Minute
)

// ending is the end of an attempt on its way to Redis.
type ending struct {
	queue, id string
	fence     int64 // 0 for any
	attempt   *attempt
	outcome   Outcome // its result as it is to be kept
	msg       any     // asynq's message with the new counts; "" if unchanged
	score     any     // when the task is due again, or no longer kept; 0 if that is for the script to say
	failing   time.Time
}

func (e *ending) size() int { return len(e.outcome.Result) + 1024 }

// plain reports whether a few arguments say it all.
func (e *ending) plain() bool {
	return e.outcome.Mode == Complete && e.outcome.PeakMemory == 0 && e.outcome.Cached == ""
}

// committer writes the ends of attempts, together with what else ends
// meanwhile, so that a slot need not wait for a round trip. What Redis does not
// take is tried until it does: the fence refuses what came too late.
type committer struct {
	store *Store
	log   zerolog.Logger
	// told hears what became of an end, with the codes of the settle script.
	told func(e *ending, code int64)

	mu      sync.Mutex
	waiting []*ending
	bytes   int
	writing bool
	change  chan struct{} // closed and renewed when something was written
}

// put hands over an end. It waits while too many are under way.
func (c *committer) put(ctx context.Context, e *ending) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) >= uncommittedMost || c.bytes >= uncommittedBytes {
		if err := c.await(ctx); err != nil {
			return fmt.Errorf("commit task %s: %d ends wait for redis already: %w", e.id, len(c.waiting), err)
		}
	}
	c.waiting, c.bytes = append(c.waiting, e), c.bytes+e.size()
	if !c.writing {
		c.writing = true
		go c.write()
	}
	return nil
}

// flush waits until everything is written.
func (c *committer) flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.writing {
		if err := c.await(ctx); err != nil {
			return fmt.Errorf("commit %d tasks: %w", len(c.waiting), err)
		}
	}
	return nil
}

// await waits for a change; c.mu is held, but not meanwhile.
func (c *committer) await(ctx context.Context) error {
	change := c.change
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-change:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write writes until nothing waits.
func (c *committer) write() {
	for {
		batch := c.next()
		if batch == nil {
			return
		}
		left := c.send(batch)
		c.wrote(batch, left)
		if len(left) > 0 {
			<-time.After(commitAgain)
		}
	}
}

// next returns what goes in the next round trip. It stays in waiting until it
// is written.
func (c *committer) next() []*ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.writing = false
		c.signal()
		return nil
	}
	n, bytes := 0, 0
	for n < len(c.waiting) && n < commitMost && (n == 0 || bytes+c.waiting[n].size() <= commitBytes) {
		bytes += c.waiting[n].size()
		n++
	}
	return slices.Clone(c.waiting[:n])
}

// wrote takes the batch, which was first in waiting, out, but for what is left
// of it.
func (c *committer) wrote(batch, left []*ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range batch {
		c.bytes -= e.size()
	}
	for _, e := range left {
		c.bytes += e.size()
	}
	c.waiting = append(left, c.waiting[len(batch):]...)
	c.signal()
}

// signal wakes who waits; c.mu is held.
func (c *committer) signal() {
	close(c.change)
	c.change = make(chan struct{})
}

// send makes one round trip and returns what has to be tried again.
func (c *committer) send(batch []*ending) (left []*ending) {
	ctx, cancel := c.store.broker.CallContext(context.Background())
	defer cancel()
	groups := c.group(batch)
	calls := make([]scriptCall, len(groups))
	for i, g := range groups {
		calls[i] = c.store.settleCall(g)
	}
	cmds, err := runAll(ctx, c.store.broker.Client(), settleScript, calls)
	for i, g := range groups {
		var codes []int64
		if len(cmds) > i {
			codes, err = settled(cmds[i], len(g))
		}
		if err != nil {
			left = append(left, c.failed(g, err)...)
			continue
		}
		for j, e := range g {
			c.told(e, codes[j])
		}
	}
	return left
}

// group puts those together that one call of the script can settle. One that
// was refused goes alone, so that it holds up no other.
func (c *committer) group(batch []*ending) [][]*ending {
	var groups [][]*ending
	for _, e := range batch {
		at := slices.IndexFunc(groups, func(g []*ending) bool {
			return g[0].queue == e.queue && g[0].plain() == e.plain() && g[0].failing.IsZero() && e.failing.IsZero()
		})
		if at < 0 {
			at = len(groups)
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], e)
	}
	return groups
}

// failed says which ends have to be tried again. Redis being away is no reason
// to give up; that it refuses one end again and again is.
func (c *committer) failed(group []*ending, err error) (left []*ending) {
	now := time.Now()
	refused := refusedForGood(err)
	for _, e := range group {
		switch {
		case !refused:
		case e.failing.IsZero():
			e.failing = now
		case now.Sub(e.failing) > refusedFor:
			c.log.Error().Err(err).Str("task_id", e.id).Msg("end of an attempt refused by redis: given up")
			c.told(e, 0)
			continue
		}
		left = append(left, e)
	}
	return left
}

// refusedForGood reports whether Redis answered with an error that waiting will
// not mend.
func refusedForGood(err error) bool {
	if _, answered := errors.AsType[redis.Error](err); !answered {
		return false
	}
	for _, passing := range []string{"OOM", "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS", "MISCONF", "NOAUTH", "NOPERM", "NOSCRIPT"} {
		if strings.HasPrefix(err.Error(), passing) {
			return false
		}
	}
	return true
}

// settled reads the script's answer for n attempts.
func settled(cmd *redis.Cmd, n int) ([]int64, error) {
	if err := cmd.Err(); err != nil {
		return nil, err
	}
	if code, smooth := cmd.Val().(int64); smooth {
		return slices.Repeat([]int64{code}, n), nil
	}
	codes, err := cmd.Int64Slice()
	if err == nil && len(codes) != n {
		err = fmt.Errorf("the settle script answered for %d attempts, not %d", len(codes), n)
	}
	return codes, err
}

// settleCall is the call that settles a group.
func (s *Store) settleCall(group []*ending) scriptCall {
	const plainSize, fullSize = 5, 12
	now, q := s.now(), group[0].queue
	size := fullSize
	if group[0].plain() {
		size = plainSize
	}
	args := make([]any, 0, 5+size*len(group))
	args = append(args, q, broker.TaskKeyPrefix(q), now.AddDate(0, 0, statsDays).Unix(), now.UnixMilli(), size)
	for _, e := range group {
		args = append(args, e.id, e.fence, e.msg, e.score, e.outcome.Result)
		if size == fullSize {
			reason, message, again, fields := errorArgs(e.outcome.Error)
			args = append(args, string(e.outcome.Mode), e.outcome.PeakMemory, reason, message, again, fields, e.outcome.Cached)
		}
	}
	day := now.UTC().Format(time.DateOnly)
	return scriptCall{args: args, keys: []string{
		broker.QueueKey(q, "active"), broker.QueueKey(q, "pending"), broker.QueueKey(q, "retry"),
		broker.QueueKey(q, "completed"), broker.QueueKey(q, "archived"),
		broker.QueueKey(q, "processed:"+day), broker.QueueKey(q, "failed:"+day), broker.QueueKey(q, "processed"), broker.QueueKey(q, "failed"),
	}}
}

// settle settles one attempt at once.
func (s *Store) settle(ctx context.Context, e *ending) (int64, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	cmds, err := runAll(ctx, s.broker.Client(), settleScript, []scriptCall{s.settleCall([]*ending{e})})
	if err == nil {
		var codes []int64
		if codes, err = settled(cmds[0], 1); err == nil {
			return codes[0], nil
		}
	}
	return 0, fmt.Errorf("settle task %s: %w", e.id, s.broker.Explain(err))
}
