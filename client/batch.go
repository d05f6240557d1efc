package client

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/internal/webhooks"
	"github.com/jobyard/jobyard/tasks"
)

type (
	// Batch is many requests to hand over as one.
	Batch = tasks.Batch
	// BatchInfo is how far a batch is.
	BatchInfo = tasks.BatchInfo
)

// ErrNoBatch tells that no batch has the id, or that it is no longer kept.
var ErrNoBatch = results.ErrNoBatch

// EnqueueBatch hands over a whole batch, or nothing of it; from then on it
// runs, whatever becomes of this process. With an id that is known, the batch
// of that id comes back; a *ConflictError tells that its content is another.
// Other errors: *tasks.InvalidError, *FullError if a bulk queue has no room for
// all of its tasks, *MemoryError, *UnavailableError.
//
// The tasks have the ids "<batch>.<n>" and are tasks like all others. Small
// ones travel many at once, which shows only in their speed.
func (c *Client) EnqueueBatch(ctx context.Context, b Batch) (BatchInfo, error) {
	now := time.Now()
	b, err := b.Check(now)
	if err != nil {
		return BatchInfo{}, err
	}
	if b.ID == "" {
		b.ID = uuid.Must(uuid.NewV7()).String()
	}
	ctx, span := trace.Start(ctx, trace.Producer, "enqueue", "batch")
	info, err := c.enqueueBatch(ctx, b, now)
	if span.On() {
		handedOver(span, "", len(b.Requests), err)
		span.Text("jobyard.batch.id", b.ID)
	}
	span.End()
	return info, err
}

func (c *Client) enqueueBatch(ctx context.Context, b Batch, now time.Time) (BatchInfo, error) {
	if b.Webhook != "" {
		if err := c.hooks.Watch(ctx, webhooks.Thing{Batch: true, ID: b.ID}, b.Webhook, "webhook"); err != nil {
			return BatchInfo{}, err
		}
	}
	// If it is refused the deliverer finds that there is no such batch.
	err := c.store.CreateBatch(ctx, b, c.Limit)
	if errors.Is(err, results.ErrKnown) {
		return c.store.BatchInfo(ctx, b.ID)
	}
	if err != nil {
		return BatchInfo{}, err
	}
	info := BatchInfo{
		ID: b.ID, Total: len(b.Requests), CreatedAt: now.UTC().Truncate(time.Millisecond), Counts: map[tasks.State]int{},
	}
	for _, r := range b.Requests {
		if !slices.Contains(info.Kinds, r.Kind) {
			info.Kinds = append(info.Kinds, r.Kind)
		}
		if r.Options.Start(now).IsZero() {
			info.Counts[tasks.Pending]++
		} else {
			info.Counts[tasks.Scheduled]++
		}
	}
	if b.Callback != nil {
		info.Callback = results.CallbackID(b.ID)
	}
	return info, nil
}

// Batch tells how far a batch is.
func (c *Client) Batch(ctx context.Context, id string) (BatchInfo, error) {
	return c.store.BatchInfo(ctx, id)
}

// WaitBatch returns the batch once every task of it is final. If ctx ends
// first it returns how far it was, and the context's error.
func (c *Client) WaitBatch(ctx context.Context, id string) (BatchInfo, error) {
	return c.events.WaitBatch(ctx, id)
}

// BatchResults streams the tasks of a batch in their order, each once it is
// final. A task that is no longer kept comes with ErrNotFound; any other error
// ends the stream.
func (c *Client) BatchResults(ctx context.Context, id string) iter.Seq2[tasks.Task, error] {
	return c.events.BatchResults(ctx, id, 0)
}

// BatchResultsFrom is BatchResults from the task of that number on, for whoever
// has read the first ones.
func (c *Client) BatchResultsFrom(ctx context.Context, id string, from int) iter.Seq2[tasks.Task, error] {
	return c.events.BatchResults(ctx, id, max(0, from))
}

// CancelBatch withdraws a batch: its tasks that wait are canceled at once,
// those that run are asked to stop. ErrFinal tells that it had ended.
func (c *Client) CancelBatch(ctx context.Context, id string) error {
	return c.store.CancelBatch(ctx, id)
}
