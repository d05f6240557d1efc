package broker

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// drainKeyPrefix stands before a node's id in the mark that asks it to take no
// more tasks. A living node renews the mark with each look, so that it goes
// away with its node.
const drainKeyPrefix = "jobyard:drain:"

// AskDrain asks a node to take no more tasks, until the mark is taken back.
// The node goes on with those that it has.
func (b *Broker) AskDrain(ctx context.Context, node string) error {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	return b.Explain(b.client.Set(ctx, drainKeyPrefix+node, "1", nodeForget).Err())
}

// EndDrain lets a node take tasks again.
func (b *Broker) EndDrain(ctx context.Context, node string) error {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	return b.Explain(b.client.Del(ctx, drainKeyPrefix+node).Err())
}

// DrainAsked tells a node whether it is asked to take no more tasks.
func (b *Broker) DrainAsked(ctx context.Context, node string) (bool, error) {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	err := b.client.GetEx(ctx, drainKeyPrefix+node, nodeForget).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, b.Explain(err)
}
