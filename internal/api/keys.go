package api

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/keys"
)

// Keys are what tells who is let in.
type Keys struct {
	Ring  *keys.Ring
	Quota *keys.Quota
	Audit *keys.Audit
}

// OpenKeys reads the keys of the yard. Run must run while they are used.
func OpenKeys(ctx context.Context, b *broker.Broker, c *client.Client) (*Keys, error) {
	store := keys.New(b)
	ring, err := store.NewRing(ctx)
	if err != nil {
		return nil, err
	}
	return &Keys{Ring: ring, Audit: store.NewAudit(), Quota: store.NewQuota(func(ctx context.Context, id string) (ended, gone bool, err error) {
		info, err := c.Batch(ctx, id)
		if errors.Is(err, client.ErrNoBatch) {
			return false, true, nil
		}
		return info.Finished(), false, err
	})}, nil
}

// Connections is how many open connections the API needs at most: one for each
// wait, and some beside them.
func (c Config) Connections() int { return c.MaxWaits + 1024 }

// Welcome says at the start who is served.
func Welcome(cfg Config, k *Keys) string {
	required, err := k.Ring.Required()
	switch {
	case required || err != nil:
		return "keys are asked for: whoever has one is served"
	case cfg.AllowRemote:
		return "there are no keys: whoever reaches this address can run tasks"
	}
	return "there are no keys: only this machine is served"
}

// Run keeps the keys fresh and writes the audit log, until ctx ends.
func (k *Keys) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { return k.Ring.Run(ctx) })
	g.Go(func() error { return k.Audit.Run(ctx) })
	return g.Wait()
}
