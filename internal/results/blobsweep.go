package results

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// sweepEvery is how often each process looks for blobs that nobody needs.
const sweepEvery = 5 * time.Second

// tendBlobs sweeps blobs until ctx ends.
func (s *Store) tendBlobs(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// What went wrong with a blob is looked at again the next time.
			_, _ = s.SweepBlobs(ctx)
		}
	}
}

// SweepBlobs deletes some of the blobs that are due and that no record names any
// more, and returns how many. Any number of processes may do so at once.
func (s *Store) SweepBlobs(ctx context.Context) (int, error) { return s.blobs.Clean(ctx, s.judge) }

// judge tells which references to blobs hold no longer.
func (s *Store) judge(ctx context.Context, refs []blob.Held) ([]bool, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	records := make([]*redis.SliceCmd, len(refs))
	_, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, r := range refs {
			role, key, ok := parseRef(r.Name)
			if !ok {
				continue
			}
			// Of the fields only one can be large, and is asked for by its role alone.
			field := "y_payload"
			if role == roleResult {
				field = "result"
			}
			records[i] = p.HMGet(ctx, key, "state", field)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read what refers to blobs: %w", s.broker.Explain(err))
	}
	dead := make([]bool, len(refs))
	for i, r := range refs {
		if records[i] != nil { // else another version's: not ours to judge
			dead[i] = !holding(r, records[i].Val())
		}
	}
	return dead, nil
}

// holding reports whether a reference holds, by state and the field that would
// name the blob.
func holding(r blob.Held, record []any) bool {
	role, _, _ := parseRef(r.Name)
	state, _ := record[0].(string)
	at, _ := record[1].(string)
	patience := heldFor
	switch role {
	case roleSource, roleBatch:
		if state != "" {
			return true
		}
	case roleResult:
		patience = settleWithin
		if open := state != "" && !tasks.State(state).Final(); open || names(at, r.SHA) {
			return true
		}
	case rolePayload:
		if names(at, r.SHA) {
			return true
		}
	}
	return r.Age <= patience
}

// names reports whether a field of a record names a blob.
func names(field, sha string) bool {
	marker, _, _ := strings.Cut(field, "\n")
	m, ok := blob.ParseMarker([]byte(marker))
	return ok && m.SHA == sha
}

// LargePayload reads the payload of a task that runs here. Once the task is
// complete, nobody needs it any more.
func (a *Attempts) LargePayload(ctx context.Context, queue, id string) ([]byte, error) {
	payload, ref, err := a.store.payloadBeside(ctx, queue, id)
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.running[id]; t != nil {
		t.payload = ref
	}
	return payload, err
}

// letPayloadGo takes back the reference of a task whose record names it no
// longer: an attempt that came too late has completed nothing. The sweep would
// do it too, only later: payloads would fill Redis a minute long.
func (a *Attempts) letPayloadGo(ctx context.Context, queue, id string, ref blob.Ref) {
	call, cancel := a.store.broker.CallContext(ctx)
	defer cancel()
	named, err := a.store.broker.Client().HExists(call, broker.TaskKey(queue, id), "y_payload").Result()
	if err == nil && !named {
		a.store.letGo(ctx, []blob.Ref{ref})
	}
}

// KeepResult puts a large result into the blob store, and leaves in the outcome
// what the task's record holds in its place. If that fails, the result stays as
// it is: it then lies compressed in the record.
func (a *Attempts) KeepResult(ctx context.Context, queue, id string, o *Outcome) {
	if o.Mode != Complete || len(o.Result) <= inlineBytes {
		return
	}
	m, err := a.store.blobs.Put(context.WithoutCancel(ctx), o.Result, refName(roleResult, queue, id))
	if err != nil {
		a.log.Warn().Err(err).Str("task_id", id).Int("bytes", len(o.Result)).Msg("result not put into the blob store")
		return
	}
	o.Result = m.Bytes()
}
