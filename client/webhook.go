package client

import (
	"context"
	"errors"

	"github.com/jobyard/jobyard/internal/results"
	"github.com/jobyard/jobyard/internal/webhooks"
)

// watch notes whom to call when the task has ended. It comes before the
// admission: so no end is missed.
func (c *Client) watch(ctx context.Context, a *results.Admission) error {
	if a.Request.Options.Webhook == "" {
		return nil
	}
	return c.hooks.Watch(ctx, webhooks.Thing{ID: a.ID}, a.Request.Options.Webhook, "options.webhook")
}

// unwatch takes it back for a task that was refused. If that fails the
// deliverer does it: it finds no such task.
func (c *Client) unwatch(ctx context.Context, a *results.Admission, err error) {
	if a.Request.Options.Webhook == "" || err == nil || errors.Is(err, results.ErrKnown) || errors.Is(err, results.ErrAnswered) {
		return
	}
	if _, away := errors.AsType[*UnavailableError](err); away {
		return
	}
	if _, taken := errors.AsType[*ConflictError](err); taken {
		return // the task of that id may be watched for itself
	}
	_ = c.hooks.Unwatch(context.WithoutCancel(ctx), webhooks.Thing{ID: a.ID})
}
