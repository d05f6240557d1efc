package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// rest is what Redis holds once every worker has stopped.
type rest struct {
	queued int64 // tasks that wait, run, are scheduled or to be retried
	dead   int64
	leases int64 // of nodes, and asynq's of tasks
	open   int64 // batches that are not finished
	keys   int
	odd    []string // keys that an idle yard does not have
}

// idleKeys are those of a yard with nothing to do: what is kept of finished
// tasks and batches, counters, names, and heartbeats and results that expire.
var idleKeys = regexp.MustCompile(`^(?:` +
	`asynq:\{[a-z_]+(:bulk)?\}:(t:(chaos-\d+|[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}|batch-\d+\.b?\d+)|completed|archived|(processed|failed)(:\d{4}-\d\d-\d\d)?)` +
	`|asynq:queues|asynq:servers(:.*)?|asynq:workers(:.*)?` +
	`|jobyard:cache:\{[a-z_0-9]+(:bulk)?\}:.*|jobyard:nodes|jobyard:node:.*|jobyard:batch:\{batch-\d+\}(:map|:done|:alone)?` +
	`)$`)

// awaitCalm waits, but not for ever, until nothing is queued or open any more.
// A batch whose last end was not noted, as its worker died just then, is closed
// by the recovery of another.
func awaitCalm(ctx context.Context, b *broker.Broker, most time.Duration) (time.Duration, error) {
	begun := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		r := readLists(ctx, b)
		if took := time.Since(begun); r.queued == 0 && r.open == 0 && b.Ping(ctx) == nil || took > most {
			return took, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
}

// oddKeys bounds how many are named.
const oddKeys = 20

// readLists counts what is not finished.
func readLists(ctx context.Context, b *broker.Broker) rest {
	var r rest
	c := b.Client()
	for _, q := range tasks.Queues() {
		for _, list := range []string{"pending", "active"} {
			r.queued += c.LLen(ctx, broker.QueueKey(q, list)).Val()
		}
		for _, set := range []string{"scheduled", "retry"} {
			r.queued += c.ZCard(ctx, broker.QueueKey(q, set)).Val()
		}
		r.dead += c.ZCard(ctx, broker.QueueKey(q, "archived")).Val()
		r.leases += c.ZCard(ctx, broker.QueueKey(q, "lease")).Val()
	}
	r.leases += c.ZCard(ctx, "jobyard:leases").Val()
	r.open = c.ZCard(ctx, "jobyard:batches").Val()
	return r
}

func readRest(ctx context.Context, b *broker.Broker) (rest, error) {
	r := readLists(ctx, b)
	keys := b.Client().Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		r.keys++
		if key := keys.Val(); !idleKeys.MatchString(key) && len(r.odd) < oddKeys && !slices.Contains(r.odd, key) {
			r.odd = append(r.odd, key)
		}
	}
	if err := keys.Err(); err != nil {
		return r, fmt.Errorf("read what Redis holds: %w", err)
	}
	return r, nil
}
