package httpclient

import (
	"context"

	"github.com/jobyard/jobyard/tasks"
)

// Enqueue hands over one task of a kind with its typed payload.
func Enqueue[P tasks.Payload, R any](ctx context.Context, c *Client, k tasks.Kind[P, R], payload P, opts ...tasks.Option) (tasks.Task, error) {
	r, err := k.New(payload, opts...)
	if err != nil {
		return tasks.Task{}, err
	}
	return c.Enqueue(ctx, r)
}

// Wait returns the typed result of a task once it is final. A task that failed
// gives its *tasks.Error.
func Wait[P tasks.Payload, R any](ctx context.Context, c *Client, k tasks.Kind[P, R], id string) (R, error) {
	t, err := c.Wait(ctx, id)
	if err != nil {
		var none R
		return none, err
	}
	return k.Result(t)
}

// Do enqueues a task and waits for its typed result. A task that failed gives
// its *tasks.Error.
func Do[P tasks.Payload, R any](ctx context.Context, c *Client, k tasks.Kind[P, R], payload P, opts ...tasks.Option) (R, error) {
	t, err := Enqueue(ctx, c, k, payload, opts...)
	if err != nil {
		var none R
		return none, err
	}
	return Wait(ctx, c, k, t.ID)
}
