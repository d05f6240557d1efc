package client

import (
	"context"
	"time"

	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/internal/reuse"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// reuseBytes is the largest payload whose equal is looked for here: those of
	// larger ones are too large themselves to be answered with in one step.
	reuseBytes = 64 << 10
	// rememberAtLeast is for how long a result must be of use to be kept in this
	// process too: of one that Redis had, nobody says here how old it is.
	rememberAtLeast = 24 * time.Hour
)

// reuse says where the result of an equal task may be. It makes no round trip:
// Redis looks itself when it is given the task.
func (c *Client) reuse(r tasks.Request) results.Reuse {
	if c.cfg.NoCache || r.Options.NoCache || len(r.Payload) > reuseBytes || !reuse.Ever(r.Kind) {
		return results.Reuse{}
	}
	use, ok := reuse.Of(r.Kind, r.Payload)
	if !ok {
		return results.Reuse{}
	}
	if found, tier := c.cache.Get(context.Background(), use.Key, cache.Look{}); tier != "" {
		return results.Reuse{Found: found, From: tier}
	}
	return results.Reuse{Key: use.Key.RedisKey()}
}

// answered completes a task that was answered from the cache. If its result
// cannot be read just now, the caller waits for it as for any other.
func (c *Client) answered(ctx context.Context, a *results.Admission, t tasks.Task) tasks.Task {
	if len(t.Result) > 0 {
		return t
	}
	if a.Reuse.Found != nil {
		t.Cached, t.Result = a.Reuse.From, a.Reuse.Found
		return t
	}
	full, err := c.store.Get(ctx, t.ID, t.Queue)
	if err != nil {
		t.State, t.Cached, t.FinishedAt = tasks.Pending, "", time.Time{}
		return t
	}
	if use, ok := reuse.Of(a.Request.Kind, a.Request.Payload); ok && use.For >= rememberAtLeast && full.Result != nil {
		c.cache.Put(use.Key, full.Result, use.For)
	}
	return full
}
