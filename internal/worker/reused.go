package worker

import (
	"context"
	"time"

	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/internal/reuse"
)

// askedLately is how long ago whoever handed a task over asked Redis for its
// result at most, for the worker not to ask again: a round trip would cost a
// task that was just picked up more than it could gain.
const askedLately = 100 * time.Millisecond

// reused gives a task the result of an equal one: of one that has run, or that
// runs here just now. What is run is kept for others.
func (w *Worker) reused(l *lane, next step) step {
	if w.cache == nil || !reuse.Ever(l.kind) {
		return next
	}
	return func(ctx context.Context, r *run) ([]byte, error) {
		use, ok := reuse.Of(l.kind, r.payload)
		if !ok {
			return next(ctx, r)
		}
		load := func(ctx context.Context) ([]byte, error) {
			out, err := next(ctx, r)
			if err == nil && use.Keeps(out) {
				w.cache.Put(use.Key, out, use.For)
			}
			return out, err
		}
		if r.noCache {
			return load(ctx)
		}
		out, found := w.cache.Get(ctx, use.Key, cache.Look{NotRedis: r.asked || r.waited < askedLately})
		var err error
		if found == "" {
			var joined bool
			if out, joined, err = w.cache.Join(ctx, use.Key, load); joined {
				found = cache.InMemory
			}
		}
		r.cached.Store(&found)
		l.served.looked(found)
		return out, err
	}
}

// prefetch asks Redis at once for the results of all tasks of a bundle.
func (w *Worker) prefetch(ctx context.Context, l *lane, todo []results.BundleTask) {
	if w.cache == nil || !reuse.Ever(l.kind) {
		return
	}
	var keys []cache.Key
	for _, item := range todo {
		if use, ok := reuse.Of(l.kind, item.Payload); ok && !item.NoCache {
			keys = append(keys, use.Key)
		}
	}
	w.cache.Prefetch(ctx, keys)
}
