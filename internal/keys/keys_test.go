package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

func TestStore_KeepsNoSecret(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	k, token, err := s.Add(t.Context(), Key{Name: "shop", Actions: []Action{Enqueue}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := split(token); !ok || k.Hash != "" {
		t.Errorf("got %s, %+v", token, k)
	}
	raw, err := b.Client().HGet(t.Context(), keysKey, k.ID).Result()
	_, secret, _ := split(token)
	if err != nil || strings.Contains(raw, secret) || !strings.Contains(raw, hash(secret)) {
		t.Errorf("got %s, %v, want the hash and not the secret", raw, err)
	}
}

func TestRing_Find(t *testing.T) {
	t.Parallel()
	s := New(brokertest.Start(t))
	clock := atomic.Int64{}
	start := time.Now()
	s.now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
	r, err := s.NewRing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if required, err := r.Required(); required || err != nil {
		t.Errorf("without keys: got %v, %v", required, err)
	}
	_, token, err := s.Add(t.Context(), Key{Name: "a", Actions: []Action{Read}, Expires: start.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	_, gone, err := s.Add(t.Context(), Key{Name: "b", Actions: []Action{Read}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Revoke(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if err := r.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := token[:len(token)-1] + "a"
	if other == token {
		other = token[:len(token)-1] + "b"
	}
	for _, tt := range []struct {
		name, token string
		want        error
	}{
		{"the token", token, nil}, {"another secret", other, ErrUnknown}, {"nothing", "", ErrUnknown}, {"the prefix", "jy_", ErrUnknown},
		{"a longer one", token + "a", ErrUnknown}, {"a revoked one", gone, ErrEnded}, {"capitals", strings.ToUpper(token), ErrUnknown},
	} {
		if k, err := r.Find(tt.token); !errors.Is(err, tt.want) || err == nil && k.Name != "a" {
			t.Errorf("%s: got %v, %v, want %v", tt.name, k.Name, err, tt.want)
		}
	}
	clock.Store(int64(time.Hour))
	if _, err := r.Find(token); !errors.Is(err, ErrStale) {
		t.Errorf("long not read: got %v, want ErrStale", err)
	}
	if err := r.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Find(token); !errors.Is(err, ErrEnded) {
		t.Errorf("after its end: got %v, want ErrEnded", err)
	}
	if required, _ := r.Required(); !required {
		t.Error("keys that ended leave the door open")
	}
}

func TestRing_HearsOfARevocation(t *testing.T) {
	t.Parallel()
	s := New(brokertest.Start(t))
	k, token, err := s.Add(t.Context(), Key{Name: "a", Actions: []Action{Read}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.NewRing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go r.Run(t.Context()) //nolint:errcheck // ends with the test
	if _, err := r.Find(token); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "the use is noted", func() bool {
		all, err := s.List(t.Context())
		return err == nil && !all[0].Used.IsZero()
	})
	if _, err := s.Revoke(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "the revocation is known", func() bool {
		_, err := r.Find(token)
		return errors.Is(err, ErrEnded)
	})
}

func TestStore_Revoke(t *testing.T) {
	t.Parallel()
	s := New(brokertest.Start(t))
	for range 2 {
		if _, _, err := s.Add(t.Context(), Key{Name: "twin", Actions: []Action{Read}}); err != nil {
			t.Fatal(err)
		}
	}
	var missing *NotFoundError
	if _, err := s.Revoke(t.Context(), "nobody"); !errors.As(err, &missing) {
		t.Errorf("got %v", err)
	}
	var twins *AmbiguousError
	if _, err := s.Revoke(t.Context(), "twin"); !errors.As(err, &twins) {
		t.Errorf("got %v", err)
	}
	all, err := s.List(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	if k, err := s.Revoke(t.Context(), all[0].ID); err != nil || k.Revoked.IsZero() {
		t.Errorf("got %+v, %v", k, err)
	}
	if k, err := s.Revoke(t.Context(), "twin"); err != nil || k.ID != all[1].ID {
		t.Errorf("got %+v, %v, want the other twin", k, err)
	}
}

func TestKey_Check(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for path, k := range map[string]Key{
		"name":      {Actions: []Action{Read}},
		"kinds":     {Name: "a", Actions: []Action{Read}, Kinds: []string{"sing"}},
		"actions":   {Name: "a", Actions: []Action{"fly"}},
		"rate":      {Name: "a", Actions: []Action{Read}, Rate: -1},
		"in_flight": {Name: "a", Actions: []Action{Read}, InFlight: -1},
		"expires":   {Name: "a", Actions: []Action{Read}, Expires: now},
	} {
		var in *tasks.InvalidError
		if err := k.Check(now); !errors.As(err, &in) || in.Fields[0].Path != path {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if err := (Key{Name: "a", Actions: []Action{Admin}, Kinds: []string{"search"}}).Check(now); err == nil {
		t.Error("an admin of one kind is allowed")
	}
}

func TestQuota_Rate(t *testing.T) {
	t.Parallel()
	s := New(brokertest.Start(t))
	q := s.NewQuota(nil)
	k := Key{ID: "a", Name: "a", Rate: 0.001}
	if err := q.Pass(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	var full *QuotaError
	if err := q.Pass(t.Context(), k); !errors.As(err, &full) || full.RetryAfter < time.Minute || full.RetryAfter > 1000*time.Second {
		t.Errorf("got %v, want to wait for a thousand seconds", err)
	}
	k = Key{ID: "b", Name: "b", Rate: 50}
	for i := range 50 {
		if err := q.Pass(t.Context(), k); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
}

// TestQuota_InFlightHoldsUnderConcurrency: never more than the limit, whoever
// asks.
func TestQuota_InFlightHoldsUnderConcurrency(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	q := New(b).NewQuota(nil)
	k := Key{ID: "a", Name: "a", InFlight: 10}
	var got atomic.Int64
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if q.Reserve(context.Background(), k, fmt.Sprint("t", i), "search", 1) == nil {
				got.Add(1)
			}
		})
	}
	all.Wait()
	if got.Load() != 10 {
		t.Errorf("got %d, want 10", got.Load())
	}
}

func TestQuota_FreesWhatHasEnded(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	over := false
	q := New(b).NewQuota(func(context.Context, string) (bool, bool, error) { return false, over, nil })
	clock := time.Now()
	q.now = func() time.Time { return clock }
	k := Key{ID: "a", Name: "a", InFlight: 3}
	reserve := func(id, queue string, n int) error {
		clock = clock.Add(sweepEvery)
		return q.Reserve(t.Context(), k, id, queue, n)
	}
	for _, id := range []string{"a", "a"} { // the same task counts once
		if err := reserve(id, "search", 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := reserve("batch", "", 2); err != nil {
		t.Fatal(err)
	}
	var full *QuotaError
	if err := reserve("b", "search", 1); !errors.As(err, &full) {
		t.Errorf("got %v, want a QuotaError", err)
	}
	// Not queued yet is not ended.
	if err := b.Client().HSet(t.Context(), broker.TaskKey("search", "a"), "state", "completed", "y_final", "completed").Err(); err != nil {
		t.Fatal(err)
	}
	if err := reserve("b", "search", 1); err != nil {
		t.Errorf("after a has ended: got %v", err)
	}
	if err := reserve("c", "search", 1); !errors.As(err, &full) {
		t.Errorf("got %v, want a QuotaError", err)
	}
	over, clock = true, clock.Add(2*reserveGrace)
	if err := reserve("c", "search", 3); err != nil {
		t.Errorf("after all have ended or are gone: got %v", err)
	}
	if err := reserve("d", "", 4); !errors.As(err, &full) {
		t.Errorf("more than may ever be: got %v", err)
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	a := New(brokertest.Start(t)).NewAudit()
	for i := range 700 {
		a.Note(Entry{Class: Handed, Action: "enqueue", Object: fmt.Sprint(i), Kind: "search", Key: "k", Name: "shop", Count: 1})
	}
	a.Note(Entry{Class: Changes, Action: "cancel", Object: strings.Repeat("x", 1000), Status: 200})
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := a.Last(t.Context(), 3, Handed)
	if err != nil || len(got) != 3 || got[0].Object != "699" || got[0].Name != "shop" || got[0].Kind != "search" || got[0].At.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = a.Last(t.Context(), 10, Changes)
	if err != nil || len(got) != 1 || len(got[0].Object) != 200 {
		t.Errorf("got %+v, %v, want one, cut", got, err)
	}
	for range 2 * auditBuffer {
		a.Note(Entry{Class: Refusals, Action: "knock"})
	}
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := a.broker.Client().XLen(t.Context(), auditKey(Refusals)).Result(); err != nil || n > AuditKeep+1000 {
		t.Errorf("got %d entries, %v, want them bounded", n, err)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("jy_" + strings.Repeat("a", 13) + "_" + strings.Repeat("b", 52))
	f.Add("")
	r := &Ring{store: &Store{now: time.Now}, keys: map[string]Key{}, read: time.Now(), used: map[string]time.Time{}}
	f.Fuzz(func(t *testing.T, token string) {
		r.read = time.Now()
		if _, err := r.Find(token); !errors.Is(err, ErrUnknown) {
			t.Errorf("got %v", err)
		}
	})
}

// BenchmarkFind is what a key costs a request.
func BenchmarkFind(b *testing.B) {
	secret := random(32)
	r := &Ring{store: &Store{now: time.Now}, used: map[string]time.Time{}, keys: map[string]Key{}}
	id := random(8)
	r.keys[id], r.read = Key{ID: id, Hash: hash(secret)}, time.Now().Add(time.Hour)
	token := tokenPrefix + id + "_" + secret
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Find(token); err != nil {
			b.Fatal(err)
		}
	}
}
