package results_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/tasks"
)

// take has a node take the next search task, as its asynq server would, and
// then do nothing more: the node is gone.
func take(t *testing.T, s *results.Store, node string) {
	t.Helper()
	keys := []string{
		broker.QueueKey("search", "pending"), broker.QueueKey("search", "paused"),
		broker.QueueKey("search", "active"), broker.QueueKey("search", "lease"),
	}
	a := s.NewAttempts(node, zerolog.Nop())
	if err := a.Client(a.Lane("search", 1)).EvalSha(t.Context(), "", keys).Err(); err != nil {
		t.Fatal(err)
	}
}

// recovering runs the recovery for the time of the test.
func recovering(t *testing.T, s *results.Store) <-chan results.Reclaimed {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reports, done := make(chan results.Reclaimed, 100), make(chan error, 1)
	go func() { done <- s.Recover(ctx, func(_ []string, did results.Reclaimed) { reports <- did }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return reports
}

func report(t *testing.T, reports <-chan results.Reclaimed) results.Reclaimed {
	t.Helper()
	select {
	case did := <-reports:
		return did
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was recovered in 20s")
		return results.Reclaimed{}
	}
}

func admit(t *testing.T, s *results.Store, id string) {
	t.Helper()
	if errs, err := s.Admit(t.Context(), admission(t, id, "q", 1000)); err != nil || errs[0] != nil {
		t.Fatal(errs, err)
	}
}

func TestRecover_TasksOfANodeThatIsGone(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	const running = 50
	for i := range running {
		admit(t, s, fmt.Sprint("lost-", i))
	}
	admit(t, s, "kept")
	for range running {
		take(t, s, "dead")
	}
	take(t, s, "alive")
	if err := b.RenewLease(t.Context(), "dead"); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	stop := renewing(t, b, "alive")
	defer stop()
	// Two at once do no harm.
	recovering(t, s)
	recovering(t, results.New(b))
	brokertest.Until(t, "every task is handed back", func() bool {
		return b.Client().LLen(t.Context(), broker.QueueKey("search", "pending")).Val() == running
	})
	if took := time.Since(killed); took < broker.LeaseFor-time.Second {
		t.Errorf("recovered after %s, before the lease ended", took)
	}
	for _, id := range []string{"lost-0", fmt.Sprint("lost-", running-1)} {
		got, err := s.Get(t.Context(), id)
		if err != nil || got.State != tasks.Pending || got.Attempts != 0 {
			t.Errorf("%s: got %+v, %v, want it pending and no attempt spent", id, got, err)
		}
	}
	if got, err := s.Get(t.Context(), "kept"); err != nil || got.State != tasks.Active {
		t.Errorf("the living node's task: got %+v, %v", got, err)
	}
}

// renewing keeps a node's lease alive.
func renewing(t *testing.T, b *broker.Broker, node string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := b.RenewLease(ctx, node); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(broker.LeaseRenew):
			}
		}
	}()
	return func() { cancel(); <-done }
}

func TestRecover_QuarantinesWhatKillsItsNodes(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	admit(t, s, "poison")
	reports := recovering(t, s)
	for i := range 3 {
		node := fmt.Sprint("node-", i)
		if err := b.Client().ZAdd(t.Context(), "jobyard:leases", past(node)).Err(); err != nil {
			t.Fatal(err)
		}
		take(t, s, node)
		heartbeat := broker.Node{ID: node, SeenAt: time.Now(), Runners: []broker.NodeRunner{{Task: "poison", RSS: int64(100 - i)}}}
		if err := b.PutNode(t.Context(), heartbeat); err != nil {
			t.Fatal(err)
		}
		did := report(t, reports)
		if want := (results.Reclaimed{HandedBack: 1}); i < 2 && did != want {
			t.Errorf("crash %d: got %+v, want %+v", i+1, did, want)
		}
	}
	got, err := s.Get(t.Context(), "poison")
	if err != nil || got.State != tasks.Archived || got.Error == nil || got.Error.Reason != tasks.ReasonCrash || got.Node != "node-2" || got.PeakMemory != 100 {
		t.Errorf("got %+v, %v, want it archived for its crashes, with what it last used at most", got, err)
	}
}

func TestRecover_OrphansOfUnknownNodes(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := results.New(b)
	admit(t, s, "orphan")
	take(t, s, "never seen") // no lease at all
	if did := report(t, recovering(t, s)); did.HandedBack != 1 {
		t.Errorf("got %+v, want one task handed back", did)
	}
}

// past is a lease that has run out.
func past(node string) redis.Z { return redis.Z{Score: 1, Member: node} }
