package worker

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

func TestWorker_DrainsWhenAskedAndGoesOn(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	release := make(chan struct{})
	jobs := &Registry{Jobs: Jobs{"search": func(ctx context.Context, _ []byte) ([]byte, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return []byte(`{}`), nil
	}}}
	cfg := DefaultConfig()
	cfg.Slots = map[string]int{"search": 1}
	w, err := New(cfg, b, jobs, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	c, err := client.New(b, client.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	enqueue := func() tasks.Task {
		t.Helper()
		r, err := tasks.Search.New(tasks.SearchPayload{Query: "camera"})
		if err != nil {
			t.Fatal(err)
		}
		task, err := c.Enqueue(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return task
	}
	is := func(state string) func() bool {
		return func() bool {
			nodes, err := b.Nodes(t.Context())
			return err == nil && len(nodes) == 1 && nodes[0].State == state
		}
	}
	first := enqueue()
	brokertest.Until(t, "the first task runs", func() bool { return len(w.attempts.Running()) == 1 })
	if err := b.AskDrain(t.Context(), w.ID()); err != nil {
		t.Fatal(err)
	}
	brokertest.Until(t, "the node drains", is("draining"))
	close(release)
	brokertest.Until(t, "the node is drained", is("drained"))
	if got, err := c.Status(t.Context(), first.ID); err != nil || got.State != tasks.Completed {
		t.Errorf("got %+v (%v), want the running task finished", got, err)
	}
	second := enqueue()
	for range 3 {
		w.lanes[0].queue.Waker().AnnounceAll()
	}
	brokertest.Until(t, "a heartbeat later", func() bool {
		nodes, err := b.Nodes(t.Context())
		return err == nil && nodes[0].SeenAt.After(second.EnqueuedAt)
	})
	if got, err := c.Status(t.Context(), second.ID); err != nil || got.State != tasks.Pending {
		t.Errorf("got %+v (%v), want it left to others", got, err)
	}
	if err := b.EndDrain(t.Context(), w.ID()); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Wait(t.Context(), second.ID); err != nil || got.State != tasks.Completed {
		t.Errorf("got %+v (%v), want it done once the node goes on", got, err)
	}
	nodes, err := b.Nodes(t.Context())
	if err != nil || nodes[0].Kinds["search"].Wait.Count() == 0 || nodes[0].Kinds["search"].Run.Count() == 0 {
		brokertest.Until(t, "the heartbeat tells the waits", func() bool {
			nodes, err := b.Nodes(t.Context())
			return err == nil && nodes[0].Kinds["search"].Wait.Count() >= 2 && nodes[0].Kinds["search"].RunSeconds > 0
		})
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
