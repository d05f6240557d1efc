package broker

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

var leadScript = redis.NewScript(`
local holder = redis.call("GET", KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1`)

// Lead takes or keeps a role of which there is one in the yard, for so long.
// It reports whether it is ours.
func (b *Broker) Lead(ctx context.Context, role, who string, lasts time.Duration) (bool, error) {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	n, err := leadScript.Run(ctx, b.client, []string{"jobyard:lead:" + role}, who, lasts.Milliseconds()).Int()
	return n == 1, b.Explain(err)
}
