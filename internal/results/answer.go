package results

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/jobyard/jobyard/internal/cache"
	"github.com/jobyard/jobyard/tasks"
)

// ErrAnswered tells that the task was not queued, since it was completed at once
// with the result of an equal one.
var ErrAnswered = errors.New("the task has the result of an equal one")

// Reuse is what is known of the result of an equal task.
type Reuse struct {
	// Key is where it may lie in Redis; empty means that nobody is to look.
	Key string
	// Found is the result itself, if it is known, and From the tier that has it.
	Found []byte
	From  string
}

// usable reports whether there is anything to answer with or to look for.
func (r Reuse) usable() bool { return r.Key != "" || len(r.Found) > 0 }

// args are what the admit script is told.
func (r Reuse) args(p *packer, now time.Time) []any {
	found := r.Found
	if len(found) > inlineBytes {
		found = p.pack(found)
	}
	if len(found) > inlineBytes {
		found = nil // a worker will store it as what is large
	}
	const completedAt = 13                                                                                           // asynq v0.26, TaskMessage
	ended := protowire.AppendVarint(protowire.AppendTag(nil, completedAt, protowire.VarintType), uint64(now.Unix())) //nolint:gosec // after 1970
	return []any{r.Key, found, r.From, ended}
}

// lookUp reads what the admit script could not: in a cluster, values lie in other
// slots than the queue.
func (s *Store) lookUp(ctx context.Context, all []*Admission) error {
	if _, spread := s.broker.Client().(*redis.ClusterClient); !spread {
		return nil
	}
	var asked []*Admission
	var cmds []*redis.StringCmd
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, a := range all {
			if a.Reuse.Key != "" {
				asked, cmds = append(asked, a), append(cmds, p.GetRange(ctx, a.Reuse.Key, 0, cache.HeaderSize+inlineBytes))
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("enqueue: %w", s.broker.Explain(err))
	}
	for i, a := range asked {
		a.Reuse.Key = ""
		if found, err := cmds[i].Bytes(); err == nil && cache.Readable(found) && len(found) <= cache.HeaderSize+inlineBytes {
			a.Reuse.Found, a.Reuse.From = found[cache.HeaderSize:], cache.InRedis
		}
		a.args = nil
	}
	return nil
}

// Answered counts the tasks that were answered as they were handed over, by
// queue and by the tier that had the result, for as long as Redis remembers.
func (s *Store) Answered(ctx context.Context) (map[string]map[string]int64, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	names, tiers := tasks.Queues(), cache.Tiers()
	cmds := make([]*redis.SliceCmd, len(names))
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range names {
			cmds[i] = p.HMGet(ctx, answeredKey(name), tiers...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what was answered from the cache: %w", s.broker.Explain(err))
	}
	all := make(map[string]map[string]int64, len(names))
	for i, name := range names {
		counts := make(map[string]int64, len(tiers))
		for k, v := range cmds[i].Val() {
			text, _ := v.(string)
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
				counts[tiers[k]] = n
			}
		}
		all[name] = counts
	}
	return all, nil
}

// answeredKey is where the admit script counts.
func answeredKey(queue string) string { return "jobyard:cache:{" + queue + "}:answered" }
