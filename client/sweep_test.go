package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// graveyard is a yard with so many dead letters, every third one of a timeout.
func graveyard(t *testing.T, letters int, cfg Config) (*Client, *broker.Broker) {
	t.Helper()
	b := brokertest.Start(t)
	c, err := New(b, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	died := time.Now().Add(-time.Hour)
	for page := range slices.Chunk(slices.Collect(func(yield func(int) bool) {
		for i := range letters {
			if !yield(i) {
				return
			}
		}
	}), 500) {
		var requests []tasks.Request
		for _, i := range page {
			r, err := tasks.Search.New(tasks.SearchPayload{Query: "q"}, tasks.WithID(fmt.Sprintf("d%05d", i)), tasks.WithQueue("bulk"))
			if err != nil {
				t.Fatal(err)
			}
			requests = append(requests, r)
		}
		if _, err := c.EnqueueAll(t.Context(), requests); err != nil {
			t.Fatal(err)
		}
		bury(t, b, page, died)
	}
	if cfg != (Config{}) {
		c.cfg = cfg
	}
	return c, b
}

func bury(t *testing.T, b *broker.Broker, numbers []int, died time.Time) {
	t.Helper()
	_, err := b.Client().Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for _, i := range numbers {
			id, at, reason := fmt.Sprintf("d%05d", i), died.Add(time.Duration(i)*time.Millisecond), tasks.ReasonUpstream
			if i%3 == 0 {
				reason = tasks.ReasonTimeout
			}
			p.LRem(t.Context(), broker.QueueKey("search:bulk", "pending"), 0, id)
			p.HSet(t.Context(), broker.TaskKey("search:bulk", id), "state", "archived", "y_final", "archived",
				"y_reason", string(reason), "y_msg", "m", "y_fin", at.UnixMilli(), "y_fence", 4)
			p.ZAdd(t.Context(), broker.QueueKey("search:bulk", "archived"), redis.Z{Score: float64(at.Unix()), Member: id})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// everything is all that Redis holds. A dump would not do: it has a hash in the
// order of the moment.
func everything(t *testing.T, b *broker.Broker) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, key := range b.Client().Keys(t.Context(), "*").Val() {
		var value any
		switch b.Client().Type(t.Context(), key).Val() {
		case "hash":
			value = b.Client().HGetAll(t.Context(), key).Val()
		case "list":
			value = b.Client().LRange(t.Context(), key, 0, -1).Val()
		case "zset":
			value = b.Client().ZRangeWithScores(t.Context(), key, 0, -1).Val()
		default:
			value = b.Client().Dump(t.Context(), key).Val()
		}
		all[key] = fmt.Sprint(value)
	}
	return all
}

func waiting(t *testing.T, b *broker.Broker) int {
	t.Helper()
	return int(b.Client().LLen(t.Context(), broker.QueueKey("search:bulk", "pending")).Val())
}

func TestSweep_DryRunTouchesNothing(t *testing.T) {
	t.Parallel()
	c, b := graveyard(t, 300, Config{})
	before := everything(t, b)
	call := tasks.DeadCall{DeadFilter: DeadFilter{Reason: tasks.ReasonTimeout}, DryRun: true, Limit: 90}
	replay, err := c.SweepReplay(t.Context(), call, Sweep{})
	if err != nil || replay.Matched != 90 || replay.Done != 0 || replay.Stopped != "limit" || len(replay.Groups) != 1 || replay.Groups[0].Count != 90 {
		t.Errorf("got %+v, %v", replay, err)
	}
	if deleted, err := c.SweepDelete(t.Context(), call, Sweep{}); err != nil || deleted.Matched != 90 || deleted.Done != 0 {
		t.Errorf("got %+v, %v", deleted, err)
	}
	after := everything(t, b)
	if len(after) != len(before) {
		t.Fatalf("got %d keys, want %d", len(after), len(before))
	}
	for key, dump := range before {
		if after[key] != dump {
			t.Errorf("%s has changed", key)
		}
	}
}

func TestSweep_ReplaysTheOldestFirst(t *testing.T) {
	t.Parallel()
	c, b := graveyard(t, 1200, Config{})
	done, err := c.SweepReplay(t.Context(), tasks.DeadCall{DeadFilter: DeadFilter{Reason: tasks.ReasonTimeout}, Limit: 350}, Sweep{})
	if err != nil || done.Matched != 350 || done.Done != 350 || done.Stopped != "limit" {
		t.Errorf("got %+v, %v", done, err)
	}
	ids := b.Client().LRange(t.Context(), broker.QueueKey("search:bulk", "pending"), 0, -1).Val()
	if len(ids) != 350 || ids[349] != "d00000" || ids[0] != "d01047" {
		t.Errorf("got %d tasks, the first to be taken %s, the last %s", len(ids), ids[len(ids)-1], ids[0])
	}
	if done, err = c.SweepReplay(t.Context(), tasks.DeadCall{DeadFilter: DeadFilter{Reason: tasks.ReasonTimeout}}, Sweep{}); err != nil || done.Done != 50 || done.Stopped != "" {
		t.Errorf("the rest: got %+v, %v", done, err)
	}
	if done, err = c.SweepDelete(t.Context(), tasks.DeadCall{All: true}, Sweep{}); err != nil || done.Done != 800 {
		t.Errorf("delete all: got %+v, %v", done, err)
	}
	if page, err := c.DeadLetters(t.Context(), DeadFilter{}, "", 10); err != nil || page.Total != 0 || len(page.Letters) != 0 {
		t.Errorf("got %+v, %v, want none left", page, err)
	}
	if waiting(t, b) != 400 {
		t.Error("deleting touched what was replayed")
	}
}

// A damaged letter stays, and holds up no other.
func TestSweep_LeavesTheDamaged(t *testing.T) {
	t.Parallel()
	c, b := graveyard(t, 20, Config{})
	if err := b.Client().HSet(t.Context(), broker.TaskKey("search:bulk", "d00000"), "msg", "damaged").Err(); err != nil {
		t.Fatal(err)
	}
	done, err := c.SweepReplay(t.Context(), tasks.DeadCall{All: true}, Sweep{})
	if err != nil || done.Matched != 20 || done.Done != 19 || done.Refused != 1 || waiting(t, b) != 19 {
		t.Errorf("got %+v, %v, want one refused", done, err)
	}
	if done, err = c.SweepDelete(t.Context(), tasks.DeadCall{All: true}, Sweep{}); err != nil || done.Done != 1 {
		t.Errorf("deleted: got %+v, %v", done, err)
	}
}

func TestSweep_ManyAtOnceReplayEachLetterOnce(t *testing.T) {
	t.Parallel()
	c, b := graveyard(t, 1000, Config{})
	var done, gone atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			d, err := c.SweepReplay(t.Context(), tasks.DeadCall{}, Sweep{})
			if err != nil {
				t.Error(err)
			}
			done.Add(int32(d.Done))
			gone.Add(int32(d.Gone))
		})
	}
	all.Wait()
	if done.Load() != 1000 || waiting(t, b) != 1000 {
		t.Errorf("got %d replays and %d pending (%d were gone), want 1000", done.Load(), waiting(t, b), gone.Load())
	}
}

// What fails again while the sweep runs is not met again.
func TestSweep_ComesToAnEndWhereAllFailAgain(t *testing.T) {
	t.Parallel()
	c, b := graveyard(t, 250, Config{})
	shows := 0
	done, err := c.SweepReplay(t.Context(), tasks.DeadCall{}, Sweep{Show: func(d tasks.DeadSweep, _ error) {
		shows++
		var again []int
		for i := range d.Done {
			again = append(again, i)
		}
		bury(t, b, again, time.Now())
	}})
	if err != nil || done.Done != 250 || shows != 3 {
		t.Errorf("got %+v after %d pages, %v, want 250 replays", done, shows, err)
	}
}

func TestSweep_Rate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rate    float64
		letters int
		page    int
	}{{50, 205, 5}, {0.5, 4, 1}, {5000, 500, 100}} {
		t.Run(fmt.Sprint(test.rate), func(t *testing.T) {
			t.Parallel()
			c, _ := graveyard(t, test.letters, Config{})
			w := newSweeper(c, tasks.DeadCall{Rate: test.rate}, Sweep{})
			now := time.Now()
			start := now
			var at []time.Duration // when each letter went
			w.now = func() time.Time { return now }
			w.wait = func(_ context.Context, d time.Duration) error {
				now = now.Add(d)
				return nil
			}
			w.act = func(ctx context.Context, letters []results.Dead) ([]error, error) {
				if len(letters) > test.page {
					t.Errorf("got %d letters at once, want %d at most", len(letters), test.page)
				}
				for range letters {
					at = append(at, now.Sub(start))
				}
				return c.store.ReplayDead(ctx, c.Limit, letters...)
			}
			if done, err := w.run(t.Context()); err != nil || done.Done != test.letters {
				t.Fatalf("got %+v, %v", done, err)
			}
			for i, d := range at {
				most := test.rate*d.Seconds() + float64(test.page)
				if float64(i+1) > most+1e-6 {
					t.Fatalf("%d letters after %s, want %.0f at most", i+1, d, most)
				}
			}
			want := time.Duration(float64(test.letters-test.page) / test.rate * float64(time.Second))
			if last := at[len(at)-1]; last < want-time.Millisecond || last > want+time.Second {
				t.Errorf("the last went after %s, want %s", last, want)
			}
		})
	}
}

func TestSweep_WaitsForRoomAndSaysSo(t *testing.T) {
	t.Parallel()
	c, b := graveyard(t, 250, Config{QueueLimit: 10, BulkLimit: 60})
	// Without patience it ends, and says why.
	done, err := c.SweepReplay(t.Context(), tasks.DeadCall{}, Sweep{})
	var full *FullError
	if !errors.As(err, &full) || done.Stopped != "full" || done.Done != 60 || done.Matched != 60 {
		t.Errorf("got %+v, %v, want 60 replayed and a full queue", done, err)
	}
	// With it, it goes on as the queue drains.
	w := newSweeper(c, tasks.DeadCall{}, Sweep{Patience: time.Minute})
	waits := 0
	w.sweep.Show = func(_ tasks.DeadSweep, why error) {
		if errors.As(why, &full) {
			waits++
		}
	}
	w.act = func(ctx context.Context, letters []results.Dead) ([]error, error) {
		return c.store.ReplayDead(ctx, c.Limit, letters...)
	}
	w.wait = func(context.Context, time.Duration) error {
		return b.Client().Del(t.Context(), broker.QueueKey("search:bulk", "pending")).Err()
	}
	if done, err = w.run(t.Context()); err != nil || done.Done != 190 || waits == 0 {
		t.Errorf("got %+v with %d waits, %v, want the 190 that were left", done, waits, err)
	}
	// A queue that stands still ends it once its patience is over.
	c, _ = graveyard(t, 20, Config{QueueLimit: 10, BulkLimit: 5})
	w = newSweeper(c, tasks.DeadCall{}, Sweep{Patience: time.Minute})
	var waited time.Duration
	w.act = func(ctx context.Context, letters []results.Dead) ([]error, error) {
		return c.store.ReplayDead(ctx, c.Limit, letters...)
	}
	w.wait = func(_ context.Context, d time.Duration) error { waited += d; return nil }
	if done, err = w.run(t.Context()); !errors.As(err, &full) || done.Done != 5 || waited != time.Minute {
		t.Errorf("got %+v after %s, %v, want 5 replayed and a minute of patience", done, waited, err)
	}
}

func TestSweep_RefusesWhatIsMeantOtherwise(t *testing.T) {
	t.Parallel()
	c, _ := graveyard(t, 1, Config{})
	var in *tasks.InvalidError
	field := func(err error) string {
		if !errors.As(err, &in) {
			return fmt.Sprint(err)
		}
		return in.Fields[0].Path
	}
	_, err := c.SweepDelete(t.Context(), tasks.DeadCall{}, Sweep{})
	if field(err) != "all" {
		t.Errorf("delete without a filter: got %v", err)
	}
	for path, call := range map[string]tasks.DeadCall{
		"kind": {DeadFilter: DeadFilter{Kind: "x"}}, "queue": {DeadFilter: DeadFilter{Queue: "x"}}, "reason": {DeadFilter: DeadFilter{Reason: "x"}},
		"group": {DeadFilter: DeadFilter{Group: "x"}}, "rate": {Rate: -1}, "limit": {Limit: -1}, "all": {All: true, DeadFilter: DeadFilter{Kind: "search"}},
		"before": {DeadFilter: DeadFilter{Since: time.Unix(10, 0), Before: time.Unix(5, 0)}},
	} {
		if _, err := c.SweepReplay(t.Context(), call, Sweep{}); field(err) != path {
			t.Errorf("got %v, want a fault at %s", err, path)
		}
	}
}
