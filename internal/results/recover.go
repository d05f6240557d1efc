package results

import (
	"context"
	_ "embed" // the script
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

const (
	// recoverEvery is how often leases are looked at.
	recoverEvery = 500 * time.Millisecond
	// orphansEvery is how often active tasks are compared with the leases, for
	// nodes that left no trace.
	orphansEvery = 5 * time.Second
	// unheardOf is how long nothing was learned of the leases until what was
	// learned before is worth nothing: this process or Redis stood still.
	unheardOf = broker.LeaseFor / 2
	// maxCrashes is how many nodes may die while they run a task before it is
	// put aside.
	maxCrashes = 3
	// maxMissing bounds how many nodes without a lease are remembered.
	maxMissing = 1000
	// maxActive bounds how many active tasks of a queue are looked at.
	maxActive = 10000
)

//go:embed lua/reclaim.lua
var reclaimSource string

var reclaimScript = redis.NewScript(reclaimSource)

// Reclaimed counts what a recovery did.
type Reclaimed struct {
	HandedBack  int // pending again
	Quarantined int // archived: its nodes died too often
	Expired     int // dead letters older than they are kept
}

// LogRecovery reports recoveries to a log.
func LogRecovery(log zerolog.Logger) func(nodes []string, did Reclaimed) {
	return func(nodes []string, did Reclaimed) {
		log.Warn().Strs("gone", nodes).Int("handed_back", did.HandedBack).Int("quarantined", did.Quarantined).
			Int("expired_dead_letters", did.Expired).Msg("tasks recovered")
	}
}

// Recover returns the tasks of nodes that are gone until ctx ends. Any number
// of processes may do so at once. Each recovery that did something is told to
// report.
func (s *Store) Recover(ctx context.Context, report func(nodes []string, did Reclaimed)) error {
	// Apart, because it may take longer than a lease.
	var batches sync.WaitGroup
	batches.Go(func() { s.tendBatches(ctx) })
	batches.Go(func() { s.tendBlobs(ctx) })
	defer batches.Wait()
	tick := time.NewTicker(recoverEvery)
	defer tick.Stop()
	var w watch
	w.begin(s.now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		alive, gone, err := s.broker.Leases(ctx)
		now := s.now()
		if !w.looked(now, err) || len(gone) == 0 && now.Sub(w.swept) < orphansEvery {
			continue
		}
		w.sweep(now, alive)
		did, err := s.reclaim(ctx, func(node string) bool { return slices.Contains(gone, node) || w.missed(node, alive) })
		if err != nil {
			continue
		}
		if did.Expired, err = s.expireDead(ctx); err != nil {
			continue
		}
		if did != (Reclaimed{}) {
			report(gone, did)
		}
		for _, node := range gone {
			// A lease that stays only means another look.
			_ = s.broker.EndLease(ctx, node)
		}
	}
}

// watch is what one process knows of the leases, and since when.
type watch struct {
	judge, last, swept time.Time
	missing            map[string]time.Time // nodes without any lease, since when
}

// begin starts to watch. Living nodes have the time of a lease to show up.
func (w *watch) begin(now time.Time) {
	w.judge, w.last, w.swept, w.missing = now.Add(broker.LeaseFor), now, now, map[string]time.Time{}
}

// looked notes a look at the leases, and reports whether it may be believed.
func (w *watch) looked(now time.Time, err error) bool {
	if err != nil || now.Sub(w.last) > unheardOf {
		// Redis was away, or this process stood still. Living nodes need time to
		// renew what ran out meanwhile; this one may be among them.
		w.judge = now.Add(broker.LeaseFor)
	}
	w.last = now
	return err == nil && !now.Before(w.judge)
}

// sweep begins to compare tasks with leases.
func (w *watch) sweep(now time.Time, alive []string) {
	w.swept = now
	for _, node := range alive {
		delete(w.missing, node)
	}
}

// missed reports whether a node without any lease is gone. It may have been
// taken care of before; or its lease was lost with Redis's data, and it is
// about to renew it: so it is gone only if it stays away.
func (w *watch) missed(node string, alive []string) bool {
	if slices.Contains(alive, node) {
		return false
	}
	since, known := w.missing[node]
	if !known {
		if len(w.missing) >= maxMissing {
			clear(w.missing) // a stranger writes names into tasks
		}
		w.missing[node] = w.swept
		return false
	}
	return w.swept.Sub(since) >= broker.LeaseFor
}

// held is an active task and who holds it.
type held struct {
	id, queue, node, fence, batch string
	started                       time.Time
}

// reclaim hands back every active task whose node is lost.
func (s *Store) reclaim(ctx context.Context, lost func(node string) bool) (Reclaimed, error) {
	var did Reclaimed
	all, err := s.active(ctx)
	if err != nil {
		return did, err
	}
	var memory map[string]int64
	for _, h := range all {
		// A task without a node was taken by a plain asynq server: its own
		// recoverer looks after it.
		if h.node == "" || !lost(h.node) {
			continue
		}
		if memory == nil {
			memory = s.lastMemory(ctx)
		}
		code, err := s.reclaimOne(ctx, h, memory[h.id])
		switch {
		case err != nil:
			return did, err
		case code == 1:
			did.HandedBack++
		case code == 2:
			did.Quarantined++
		}
	}
	return did, nil
}

// lastMemory is what the runners of tasks had in the last heartbeats, in bytes:
// all that is known of a task whose node died. It is only told with a crash, so
// that nothing hangs on its being read.
func (s *Store) lastMemory(ctx context.Context) map[string]int64 {
	nodes, _ := s.broker.Nodes(ctx)
	memory := map[string]int64{}
	for _, n := range nodes {
		for _, r := range n.Runners {
			if r.Task != "" {
				memory[r.Task] = max(memory[r.Task], r.RSS)
			}
		}
	}
	return memory
}

func (s *Store) reclaimOne(ctx context.Context, h held, memory int64) (int, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	keys := []string{
		broker.TaskKey(h.queue, h.id), broker.QueueKey(h.queue, "active"), broker.QueueKey(h.queue, "lease"),
		broker.QueueKey(h.queue, "pending"), broker.QueueKey(h.queue, "archived"), broker.QueueKey(h.queue, "completed"),
	}
	code, err := reclaimScript.Run(ctx, s.broker.Client(), keys, h.id, h.fence, h.queue, maxCrashes, s.now().UnixMilli(), memory).Int()
	if err == nil && code >= 2 && h.batch != "" {
		err = s.unitEnded(ctx, h.queue, h.id)
	}
	if err != nil {
		return 0, fmt.Errorf("take task %s back: %w", h.id, s.broker.Explain(err))
	}
	return code, nil
}

// active lists the active tasks of every queue with their nodes. What is none is
// taken off the lists.
func (s *Store) active(ctx context.Context) ([]held, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	queues := tasks.Queues()
	cmds, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, q := range queues {
			p.LRange(ctx, broker.QueueKey(q, "active"), 0, maxActive-1)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list active tasks: %w", s.broker.Explain(err))
	}
	var all []held
	for i, cmd := range cmds {
		for _, id := range cmd.(*redis.StringSliceCmd).Val() {
			all = append(all, held{id: id, queue: queues[i]})
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	cmds, err = s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, h := range all {
			p.HMGet(ctx, broker.TaskKey(h.queue, h.id), "y_node", "y_fence", "y_batch", "y_start")
		}
		return nil
	})
	if err = broker.Trouble(cmds, err); err != nil {
		return nil, fmt.Errorf("read active tasks: %w", s.broker.Explain(err))
	}
	known := all[:0]
	for i, cmd := range cmds {
		h := all[i]
		if broker.Foreign(cmd.Err()) {
			if err := s.broker.Client().LRem(ctx, broker.QueueKey(h.queue, "active"), 0, h.id).Err(); err != nil {
				return nil, fmt.Errorf("clear active tasks: %w", s.broker.Explain(err))
			}
			continue
		}
		v := cmd.(*redis.SliceCmd).Val()
		h.node, _ = v[0].(string)
		h.fence, _ = v[1].(string)
		h.batch, _ = v[2].(string)
		if started, ok := v[3].(string); ok {
			ms, _ := strconv.ParseInt(started, 10, 64)
			h.started = time.UnixMilli(ms)
		}
		known = append(known, h)
	}
	return known, nil
}
