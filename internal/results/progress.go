package results

import (
	"context"
	_ "embed" // the script
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// progressChannel is where the id of a task is announced whose progress was
// noted. Only processes in which somebody watches a task listen to it.
const progressChannel = "jobyard:progress"

//go:embed lua/progress.lua
var progressSource string

var progressScript = redis.NewScript(progressSource)

// noteProgress is the round trip of a node's reports.
func (s *Store) noteProgress(ctx context.Context, calls []scriptCall) ([]struct{}, error) {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	_, err := runAll(ctx, s.broker.Client(), progressScript, calls)
	return make([]struct{}, len(calls)), err
}

// Progress notes how far the attempt of a task that runs here is, together with
// what other attempts report at the same time. A report that cannot be written
// is lost: the next one says more.
func (a *Attempts) Progress(ctx context.Context, id string, p tasks.Progress) {
	a.mu.Lock()
	t := a.running[id]
	a.mu.Unlock()
	if t == nil {
		return
	}
	p = p.Bounded()
	p.At = a.store.now().UTC().Truncate(time.Millisecond)
	text, err := json.Marshal(p)
	if err != nil {
		return // has only numbers and texts
	}
	call := scriptCall{[]string{broker.TaskKey(t.queue, id)}, []any{id, t.fence, text}}
	if _, err := a.progress.do(ctx, call); err != nil && ctx.Err() == nil {
		a.log.Debug().Err(err).Str("task_id", id).Msg("progress not noted")
	}
}

// parseProgress reads how far the task's newest attempt is: "attempt JSON". What
// an earlier attempt reported, or one that led to a result, says nothing.
func parseProgress(text string, t tasks.Task) *tasks.Progress {
	attempt, raw, ok := strings.Cut(text, " ")
	if !ok || t.State == tasks.Completed || attempt != strconv.Itoa(t.Attempts) {
		return nil
	}
	var p tasks.Progress
	if json.Unmarshal([]byte(raw), &p) != nil {
		return nil
	}
	p = p.Bounded()
	return &p
}

// parseReplayed reads "times milliseconds reason".
func parseReplayed(text string) *tasks.Replayed {
	var r tasks.Replayed
	var ms int64
	if n, _ := fmt.Sscan(text, &r.Times, &ms, &r.Reason); n < 2 {
		return nil
	}
	r.At = time.UnixMilli(ms).UTC()
	return &r
}
