package broker

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	leasesKey = "jobyard:leases" // sorted set: node id by the end of its lease in ms of Redis's clock
	// LeaseRenew is how often a node renews its lease.
	LeaseRenew = time.Second
	// LeaseFor is how long a lease lasts: what a killed node's tasks wait for.
	LeaseFor = 4 * time.Second
)

// Redis's own clock decides, so that no node's clock matters.
var (
	renewScript = redis.NewScript(`
local t = redis.call("TIME")
local till = t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2]
local answer = redis.pcall("ZADD", KEYS[1], till, ARGV[1])
if type(answer) == "number" then return answer end
redis.call("ZREM", KEYS[1], "") -- Redis may be full: as Spare
return redis.call("ZADD", KEYS[1], till, ARGV[1])`)
	leasesScript = redis.NewScript(`
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local leases, alive, gone = redis.call("ZRANGE", KEYS[1], 0, -1, "WITHSCORES"), {}, {}
for i = 1, #leases, 2 do
  local list = tonumber(leases[i + 1]) > now and alive or gone
  list[#list + 1] = leases[i]
end
return {alive, gone}`)
)

// RenewLease tells that a node is alive.
func (b *Broker) RenewLease(ctx context.Context, node string) error {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	return b.Explain(renewScript.Run(ctx, b.client, []string{leasesKey}, node, LeaseFor.Milliseconds()).Err())
}

// EndLease gives a node's lease up, after it has handed its tasks back, or
// after they were taken back from it.
func (b *Broker) EndLease(ctx context.Context, node string) error {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	return b.Explain(b.client.ZRem(ctx, leasesKey, node).Err())
}

// Leases lists the nodes whose lease runs, and those whose lease ended without
// their having given it up.
func (b *Broker) Leases(ctx context.Context) (alive, gone []string, err error) {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	lists, err := leasesScript.Run(ctx, b.client, []string{leasesKey}).Slice()
	if err != nil {
		return nil, nil, b.Explain(err)
	}
	return texts(lists[0]), texts(lists[1]), nil
}

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
