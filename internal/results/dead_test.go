package results_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// death is how a task of a test died.
type death struct {
	queue, id string
	reason    tasks.Reason
	message   string
	at        time.Time
}

// bury makes pending tasks dead letters, as the settle script would.
func bury(t *testing.T, b *broker.Broker, deaths ...death) {
	t.Helper()
	for page := range slices.Chunk(deaths, 1000) {
		_, err := b.Client().Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for _, d := range page {
				p.LRem(t.Context(), broker.QueueKey(d.queue, "pending"), 0, d.id)
				p.HSet(t.Context(), broker.TaskKey(d.queue, d.id), "state", "archived", "y_final", "archived", "y_reason", string(d.reason),
					"y_msg", d.message, "y_att", 4, "y_fin", d.at.UnixMilli(), "y_node", "n")
				p.ZAdd(t.Context(), broker.QueueKey(d.queue, "archived"), redis.Z{Score: float64(d.at.Unix()), Member: d.id})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// every reads a list page by page, and calls between after each page.
func every(t *testing.T, s *results.Store, f tasks.DeadFilter, page int, between func(seen int)) []string {
	t.Helper()
	var ids []string
	for after := ""; ; {
		p, err := s.DeadPage(t.Context(), f, after, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range p.Letters {
			ids = append(ids, d.ID)
		}
		if after = p.Next; after == "" {
			return ids
		}
		if between != nil {
			between(len(ids))
		}
	}
}

func TestDeadPage_ChoosesAndOrders(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	now := time.Now().Truncate(time.Second)
	var deaths []death
	for i := range 450 { // more than a round trip reads
		d := death{"search", fmt.Sprintf("t%03d", i), tasks.ReasonTimeout, "m", now.Add(time.Duration(i-450) * time.Minute)}
		if i%10 == 0 {
			d.reason, d.queue = tasks.ReasonUpstream, "search:bulk"
		}
		deaths = append(deaths, d)
	}
	bury(t, b, deaths...)
	tests := map[string]struct {
		filter tasks.DeadFilter
		count  int
		first  string
	}{
		"all, the latest of all queues first": {tasks.DeadFilter{}, 450, "t449"},
		"by reason":                           {tasks.DeadFilter{Reason: tasks.ReasonUpstream}, 45, "t440"},
		"by queue":                            {tasks.DeadFilter{Queue: "search"}, 405, "t449"},
		"by kind":                             {tasks.DeadFilter{Kind: "search"}, 450, "t449"},
		"of another kind":                     {tasks.DeadFilter{Kind: "sdk_fetch"}, 0, ""},
		"before a time, which is not in it":   {tasks.DeadFilter{Before: now.Add(-449 * time.Minute)}, 1, "t000"},
		"since a time, which is in it":        {tasks.DeadFilter{Since: now.Add(-2 * time.Minute)}, 2, "t449"},
		"between two times":                   {tasks.DeadFilter{Since: now.Add(-9 * time.Minute), Before: now.Add(-5 * time.Minute)}, 4, "t444"},
		"that no letter has":                  {tasks.DeadFilter{Group: "000000000000"}, 0, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := every(t, s, test.filter, 70, nil)
			if len(got) != test.count || test.count > 0 && got[0] != test.first {
				t.Errorf("got %d letters %.3v, want %d from %s on", len(got), got, test.count, test.first)
			}
			if !slices.IsSortedFunc(got, func(a, b string) int { return strings.Compare(b, a) }) {
				t.Error("they do not come the latest first")
			}
		})
	}
}

func TestDeadPage_TwelveThousandOfOneSecond(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	at := time.Now().Truncate(time.Second)
	var deaths []death
	for i := range 12_000 { // asynq would keep 10,000 of a queue
		deaths = append(deaths, death{tasks.Queues()[4*(i%2)], fmt.Sprintf("T-%x.%d", i*7919%12_000, i), tasks.ReasonUpstream, "m", at})
	}
	bury(t, b, deaths...)
	// Letters that go away meanwhile, also that of the cursor, hide no others.
	gone := map[string]bool{}
	var seen []string
	for after := ""; ; {
		p, err := s.DeadPage(t.Context(), tasks.DeadFilter{}, after, 999)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range p.Letters {
			seen = append(seen, d.ID)
		}
		if after = p.Next; after == "" {
			break
		}
		last := p.Letters[len(p.Letters)-1]
		d, err := s.FindDead(t.Context(), last.ID)
		if err != nil {
			t.Fatal(err)
		}
		if answers, err := s.DeleteDead(t.Context(), d); err != nil || answers[0] != nil {
			t.Fatal(answers, err)
		}
		gone[last.ID] = true
	}
	if len(gone) == 0 || len(seen) != 12_000 {
		t.Errorf("got %d letters of 12000 on %d pages", len(seen), len(gone)+1)
	}
	slices.Sort(seen)
	if n := len(slices.Compact(seen)); n != 12_000 {
		t.Errorf("got %d different letters", n)
	}
	if p, err := s.DeadPage(t.Context(), tasks.DeadFilter{}, "", 1); err != nil || p.Total != int64(12_000-len(gone)) {
		t.Errorf("got a total of %d, %v", p.Total, err)
	}
}

func TestDeadPage_RefusesAStrangersCursor(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	for _, after := range []string{"x", "1~search", "nan~search~a", "inf~search~a", "1~nobody~a", "~~", "1~search~" + strings.Repeat("a", 2000)} {
		var in *tasks.InvalidError
		if _, err := s.DeadPage(t.Context(), tasks.DeadFilter{}, after, 1); !errors.As(err, &in) || in.Fields[0].Path != "after" {
			t.Errorf("%.20s: got %v, want a fault at after", after, err)
		}
	}
}

func TestDeadGroups(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	at := time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	var deaths []death
	for i := range 30 {
		deaths = append(deaths, death{"search", fmt.Sprint("a", i), tasks.ReasonUpstream,
			fmt.Sprintf("example.com answered 50%d for the archive of pkg@1.%d.0; it asks to wait %ds", i%4, i, i), at.Add(time.Duration(i) * time.Second)})
	}
	for i := range 20 {
		deaths = append(deaths, death{"search:bulk", fmt.Sprint("b", i), tasks.ReasonTimeout, "the task ran over its time limit", at})
	}
	deaths = append(deaths, death{"search", "c", tasks.ReasonUpstream, "the name of example.com could not be resolved", at})
	bury(t, b, deaths...)
	got, err := s.DeadGroups(t.Context(), tasks.DeadFilter{})
	if err != nil || len(got.Groups) != 3 || got.Letters != 51 || got.Partial {
		t.Fatalf("got %+v, %v", got, err)
	}
	g := got.Groups[0]
	if g.Count != 30 || g.Reason != tasks.ReasonUpstream || g.Kind != "search" || g.Example != "a29" ||
		!g.FirstAt.Equal(at) || !g.LastAt.Equal(at.Add(29*time.Second)) || !strings.Contains(g.Message, "pkg@1.29.0") {
		t.Errorf("got %+v", g)
	}
	if ids := every(t, s, tasks.DeadFilter{Group: g.Fingerprint}, 7, nil); len(ids) != 30 {
		t.Errorf("by fingerprint: got %d", len(ids))
	}
}

func everyone(string) int { return 1000 }

func find(t *testing.T, s *results.Store, id string) results.Dead {
	t.Helper()
	d, err := s.FindDead(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFindDead_ShowsWhatItWas(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	for id, size := range map[string]int{"small": 10, "large": 100_000} {
		query := strings.Repeat("q", min(size, 900))
		a := admission(t, id, query, 1000, tasks.WithTimeout(1500*time.Millisecond), tasks.WithMaxRetry(7), tasks.WithRetention(2*time.Hour))
		a.Request.Payload = json.RawMessage(`{"query":"` + strings.Repeat("q", size) + `"}`)
		if errs, err := s.Admit(t.Context(), a); err != nil || errs[0] != nil {
			t.Fatal(errs, err)
		}
		bury(t, b, death{"search", id, tasks.ReasonOOM, "m", time.Now()})
		d := find(t, s, id)
		if !bytes.Equal(d.Payload, a.Request.Payload) || d.Options.Timeout.String() != "1.5s" || *d.Options.MaxRetry != 7 ||
			d.Options.Retention.String() != "2h0m0s" || d.Options.Queue != "search" || d.Attempts != 4 || d.Node != "n" {
			t.Errorf("%s: got %.300v", id, d.DeadLetter)
		}
	}
	admit(t, s, "alive")
	if _, err := s.FindDead(t.Context(), "alive"); !errors.Is(err, results.ErrNotDead) {
		t.Errorf("a pending task: got %v, want ErrNotDead", err)
	}
	for _, id := range []string{"nobody", "", "a b"} {
		if _, err := s.FindDead(t.Context(), id); !errors.Is(err, results.ErrNotFound) {
			t.Errorf("%q: got %v, want ErrNotFound", id, err)
		}
	}
}

func TestReplayDead_OnceUnderSixteenReplayers(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	const letters = 50
	var dead []results.Dead
	for i := range letters {
		id := fmt.Sprint("d", i)
		admit(t, s, id)
		bury(t, b, death{"search", id, tasks.ReasonUpstream, "m", time.Now()})
		dead = append(dead, find(t, s, id))
	}
	var done, late atomic.Int32
	var all sync.WaitGroup
	for r := range 16 {
		all.Go(func() {
			own := results.New(b)
			for i := range letters {
				d := dead[(i+r*3)%letters]
				var answer error
				if r%4 == 0 { // some with a change
					answer = own.ReplayChanged(t.Context(), everyone, d, tasks.Replay{Payload: json.RawMessage(`{"query":"new"}`)})
				} else if answers, err := own.ReplayDead(t.Context(), everyone, d); err != nil {
					answer = err
				} else {
					answer = answers[0]
				}
				switch {
				case answer == nil:
					done.Add(1)
				case errors.Is(answer, results.ErrNotDead):
					late.Add(1)
				default:
					t.Error(answer)
				}
			}
		})
	}
	all.Wait()
	if done.Load() != letters || late.Load() != 15*letters {
		t.Errorf("got %d replays and %d refusals, want %d and %d", done.Load(), late.Load(), letters, 15*letters)
	}
	if n := b.Client().LLen(t.Context(), broker.QueueKey("search", "pending")).Val(); n != letters {
		t.Errorf("got %d pending, want %d", n, letters)
	}
}

func TestReplayDead_StartsAnew(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	admit(t, s, "d")
	key := broker.TaskKey("search", "d")
	tired := func() {
		t.Helper()
		bury(t, b, death{"search", "d", tasks.ReasonCrash, "m", time.Now()})
		if err := b.Client().HSet(t.Context(), key, "y_fence", 4, "y_crash", 3, "y_peak", 5).Err(); err != nil {
			t.Fatal(err)
		}
	}
	tired()
	before := find(t, s, "d")
	if answers, err := s.ReplayDead(t.Context(), everyone, before); err != nil || answers[0] != nil {
		t.Fatal(answers, err)
	}
	got, err := s.Get(t.Context(), "d")
	if err != nil || got.State != tasks.Pending || got.Error != nil || got.Attempts != 0 || got.Node != "" || got.PeakMemory != 0 ||
		!got.FinishedAt.IsZero() || got.Replayed == nil || got.Replayed.Times != 1 || got.Replayed.Reason != tasks.ReasonCrash ||
		time.Since(got.Replayed.At) > time.Minute {
		t.Errorf("got %+v, %+v, %v", got, got.Replayed, err)
	}
	fields := b.Client().HGetAll(t.Context(), key).Val()
	if fields["y_fence"] != "4" || fields["y_crash"] != "" {
		t.Errorf("got fence %q and %q crashes, want 4 and none", fields["y_fence"], fields["y_crash"])
	}
	// The letter of an earlier death is not that of a later one.
	tired()
	if err := b.Client().HSet(t.Context(), key, "y_fence", 5).Err(); err != nil {
		t.Fatal(err)
	}
	if answers, err := s.ReplayDead(t.Context(), everyone, before); err != nil || !errors.Is(answers[0], results.ErrNotDead) {
		t.Errorf("an old letter: got %v, %v, want ErrNotDead", answers, err)
	}
	if answers, err := s.DeleteDead(t.Context(), before); err != nil || !errors.Is(answers[0], results.ErrNotDead) {
		t.Errorf("an old letter: got %v, %v, want ErrNotDead", answers, err)
	}
	if answers, err := s.ReplayDead(t.Context(), everyone, find(t, s, "d")); err != nil || answers[0] != nil {
		t.Fatal(answers, err)
	}
	if got, _ := s.Get(t.Context(), "d"); got.Replayed == nil || got.Replayed.Times != 2 {
		t.Errorf("got %+v, want two replays", got.Replayed)
	}
}

func TestReplayDead_AsynqCountsAnew(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	admit(t, s, "d")
	// asynq's own tools put it aside and count: the message says so.
	if err := s.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	inspector := asynq.NewInspectorFromRedisClient(b.Client())
	if err := inspector.ArchiveTask("search", "d"); err != nil {
		t.Fatal(err)
	}
	raw := b.Client().HGet(t.Context(), broker.TaskKey("search", "d"), "msg").Val()
	// retried (6) = 3, error_msg (7) = "boom", last_failed_at (11) = 99
	raw += "\x30\x03" + "\x3a\x04boom" + "\x58\x63"
	if err := b.Client().HSet(t.Context(), broker.TaskKey("search", "d"), "msg", raw).Err(); err != nil {
		t.Fatal(err)
	}
	if info, err := inspector.GetTaskInfo("search", "d"); err != nil || info.Retried != 3 || info.LastErr != "boom" {
		t.Fatalf("got %+v, %v", info, err)
	}
	d := find(t, s, "d")
	if d.Error.Reason != tasks.ReasonUnknown || d.FinishedAt.IsZero() {
		t.Errorf("got %+v", d.DeadLetter)
	}
	if answers, err := s.ReplayDead(t.Context(), everyone, d); err != nil || answers[0] != nil {
		t.Fatal(answers, err)
	}
	info, err := inspector.GetTaskInfo("search", "d")
	if err != nil || info.Retried != 0 || info.LastErr != "" || !info.LastFailedAt.IsZero() || info.MaxRetry != 3 ||
		string(info.Payload) != `{"query":"q"}` || info.State != asynq.TaskStatePending {
		t.Errorf("got %+v, %v", info, err)
	}
}

func TestReplayDead_QueueLimit(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	var dead []results.Dead
	for i := range 5 {
		id := fmt.Sprint("d", i)
		admit(t, s, id)
		bury(t, b, death{"search", id, tasks.ReasonUpstream, "m", time.Now()})
		dead = append(dead, find(t, s, id))
	}
	answers, err := s.ReplayDead(t.Context(), func(string) int { return 3 }, dead...)
	if err != nil {
		t.Fatal(err)
	}
	for i, answer := range answers {
		var full *results.FullError
		if i < 3 && answer != nil || i >= 3 && (!errors.As(answer, &full) || full.Waiting != 3 || full.Limit != 3 || full.RetryAfter <= 0) {
			t.Errorf("letter %d: got %v", i, answer)
		}
	}
	if d := find(t, s, "d4"); d.State != tasks.Archived {
		t.Errorf("got %s, want it untouched", d.State)
	}
}

func TestReplayChanged(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	retries := 9
	other := `{"query":"x","filters":{"collection":["` + strings.Repeat("y", 100) + `"]}}`
	change := tasks.Replay{Payload: json.RawMessage(other), Options: tasks.ReplayOptions{Timeout: tasks.Duration(2 * time.Second), MaxRetry: &retries}}
	admit(t, s, "d")
	bury(t, b, death{"search", "d", tasks.ReasonInvalid, "m", time.Now()})
	d := find(t, s, "d")
	var in *tasks.InvalidError
	for path, bad := range map[string]tasks.Replay{
		"payload.query":   {Payload: json.RawMessage(`{"query":""}`)},
		"payload.size":    {Payload: json.RawMessage(`{"query":"a","size":1}`)},
		"options.timeout": {Options: tasks.ReplayOptions{Timeout: tasks.Duration(time.Hour)}},
	} {
		if err := s.ReplayChanged(t.Context(), everyone, d, bad); !errors.As(err, &in) || in.Fields[0].Path != path {
			t.Errorf("got %v, want a fault at %s", err, path)
		}
	}
	if err := s.ReplayChanged(t.Context(), everyone, d, change); err != nil {
		t.Fatal(err)
	}
	// The id belongs to the new payload now.
	again := admission(t, "d", "q", 1000)
	var conflict *results.ConflictError
	if errs, err := s.Admit(t.Context(), again); err != nil || !errors.As(errs[0], &conflict) {
		t.Errorf("the old payload: got %v, %v, want a conflict", errs, err)
	}
	bury(t, b, death{"search", "d", tasks.ReasonInvalid, "m", time.Now()})
	d = find(t, s, "d")
	if string(d.Payload) != other || d.Options.Timeout.String() != "2s" || *d.Options.MaxRetry != 9 || d.Options.Retention.String() != "24h0m0s" {
		t.Errorf("got %s %+v", d.Payload, d.Options)
	}
}
