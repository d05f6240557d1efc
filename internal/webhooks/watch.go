package webhooks

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

//go:embed lua/watch.lua
var watchSource string

//go:embed lua/ended.lua
var endedSource string

//go:embed lua/claim.lua
var claimSource string

var (
	watchScript = redis.NewScript(watchSource)
	endedScript = redis.NewScript(endedSource)
	claimScript = redis.NewScript(claimSource)
)

// Thing is a task or a batch that is watched.
type Thing struct {
	Batch bool
	ID    string
}

// String is how Redis keeps it.
func (t Thing) String() string {
	if t.Batch {
		return "b " + t.ID
	}
	return "t " + t.ID
}

func parseThing(text string) Thing {
	sort, id, _ := strings.Cut(text, " ")
	return Thing{Batch: sort == "b", ID: id}
}

const (
	// lookFirst is when a watched thing is looked at although nothing was
	// announced; each further look comes later, up to lookAtMost.
	lookFirst  = 5 * time.Second
	lookAtMost = time.Minute
	// unqueuedFor is how long something that is not known may still be about to
	// be queued.
	unqueuedFor = time.Minute
)

// Watch notes that the endpoint is to hear of the thing's end. It is called
// before the thing is queued, so that no end is missed. A fault is a
// *tasks.InvalidError at path.
func (s *Store) Watch(ctx context.Context, t Thing, endpoint, path string) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	code, err := watchScript.Run(ctx, s.broker.Client(), []string{endpointsKey, watchKey, openKey},
		t.String(), endpoint, s.now().Add(lookFirst).UnixMilli(), maxOpen, trace.Here(ctx).Parent).Int()
	switch {
	case err != nil:
		return fmt.Errorf("watch for a webhook: %w", s.broker.Explain(err))
	case code == 0:
		return tasks.Invalid(path, "must name an endpoint that is set up (producer webhooks list)")
	case code < 0:
		return tasks.Invalid(path, fmt.Sprintf("cannot be used now: %d tasks are watched already", maxOpen))
	}
	return nil
}

// Unwatch takes back a Watch of what was not queued.
func (s *Store) Unwatch(ctx context.Context, t Thing) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	_, err := s.broker.Client().TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HDel(ctx, watchKey, t.String())
		p.ZRem(ctx, openKey, t.String())
		return nil
	})
	return s.broker.Explain(err)
}

// watched keeps those of the things that somebody watches, with the endpoint
// and, behind a blank, where in a trace they were handed over.
func (s *Store) watched(ctx context.Context, things []string) (map[string]string, error) {
	if len(things) == 0 {
		return nil, nil
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	values, err := s.broker.Client().HMGet(ctx, watchKey, things...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read what is watched: %w", s.broker.Explain(err))
	}
	found := map[string]string{}
	for i, v := range values {
		if endpoint, ok := v.(string); ok {
			found[things[i]] = endpoint
		}
	}
	return found, nil
}

// claim takes what is due of a list, for the length of a lease.
func (s *Store) claim(ctx context.Context, list string, lease time.Duration, count int) ([]string, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	now := s.now()
	ids, err := claimScript.Run(ctx, s.broker.Client(), []string{list}, now.UnixMilli(), now.Add(lease).UnixMilli(), count).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("take what is due: %w", s.broker.Explain(err))
	}
	return ids, nil
}

// dropStale ends the watch of what is not known: it was never queued, or is no
// longer kept. What was noted a moment ago may still be queued.
func (s *Store) dropStale(ctx context.Context, t Thing) error {
	first, err := s.firstMissed(ctx, t)
	if err != nil || s.now().Sub(first) < unqueuedFor {
		return err
	}
	if err := s.Unwatch(ctx, t); err != nil {
		return err
	}
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	return s.broker.Explain(s.broker.Client().ZRem(ctx, missedKey, t.String()).Err())
}

// firstMissed is when a thing was first found missing.
func (s *Store) firstMissed(ctx context.Context, t Thing) (time.Time, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	var score *redis.FloatCmd
	now := s.now()
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAddNX(ctx, missedKey, redis.Z{Score: float64(now.UnixMilli()), Member: t.String()})
		score = p.ZScore(ctx, missedKey, t.String())
		p.ZRemRangeByScore(ctx, missedKey, "-inf", fmt.Sprint(now.Add(-time.Hour).UnixMilli()))
		return nil
	})
	if err != nil {
		return now, fmt.Errorf("read what is watched: %w", s.broker.Explain(err))
	}
	return time.UnixMilli(int64(score.Val())), nil
}
