package client

import (
	"context"
	"iter"

	"github.com/jobyard/jobyard/tasks"
)

// Watch yields a task as it is, and again whenever its state, its attempts or
// its progress has changed, until it is final: the last one has the result or
// the error. Changes that follow each other closely may be seen as one. An error
// ends it; if ctx ends first, its error comes with the task as it was last seen.
func (c *Client) Watch(ctx context.Context, id string) iter.Seq2[tasks.Task, error] {
	return c.events.Watch(ctx, id)
}
