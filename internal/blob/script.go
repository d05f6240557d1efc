package blob

import (
	"context"
	_ "embed" // the scripts
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
)

//go:embed lua/list.lua
var listSource string

//go:embed lua/refer.lua
var referSource string

//go:embed lua/place.lua
var placeSource string

//go:embed lua/drop.lua
var dropSource string

//go:embed lua/look.lua
var lookSource string

//go:embed lua/claim.lua
var claimSource string

//go:embed lua/settle.lua
var settleSource string

var (
	listScript  = redis.NewScript(listSource)
	referScript = redis.NewScript(referSource)
	placeScript = redis.NewScript(placeSource)
	dropScript  = redis.NewScript(dropSource)
	lookScript  = redis.NewScript(lookSource)
	// What frees memory must go on when Redis has none.
	claimScript  = redis.NewScript(broker.Spare + claimSource)
	settleScript = redis.NewScript(broker.Spare + settleSource)
)

const (
	dueKey   = "jobyard:{blobs}:due"
	yardKey  = "jobyard:{blobs}:yard"
	shardKey = "jobyard:{blobs}:shard"
)

func blobKey(sha string) string { return "jobyard:blob:{" + sha + "}" }
func refsKey(sha string) string { return blobKey(sha) + ":refs" }

func blobKeys(sha string) []string { return []string{blobKey(sha), refsKey(sha)} }

// call is one call of a script.
type call struct {
	script *redis.Script
	keys   []string
	args   []any
}

// run makes the calls in one round trip, or two where Redis does not know a
// script yet. Each call's keys have one slot; the calls may have different ones.
func run(ctx context.Context, b *broker.Broker, calls ...call) ([]*redis.Cmd, error) {
	ctx, cancel := b.CallContext(ctx)
	defer cancel()
	cmds := make([]*redis.Cmd, len(calls))
	send := func(again bool) error {
		_, err := b.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, c := range calls {
				if !again || unknown(cmds[i]) {
					cmds[i] = p.EvalSha(ctx, c.script.Hash(), c.keys, c.args...)
				}
			}
			return nil
		})
		return err
	}
	err := send(false)
	if err == nil {
		return cmds, nil
	}
	loaded := map[*redis.Script]bool{}
	for i, c := range calls {
		if !unknown(cmds[i]) || loaded[c.script] {
			continue
		}
		loaded[c.script] = true
		if err := c.script.Load(ctx, b.Client()).Err(); err != nil {
			return nil, b.Explain(err)
		}
	}
	if len(loaded) > 0 {
		err = send(true)
	}
	for _, cmd := range cmds { // of those that were sent the first time too
		if err == nil {
			err = cmd.Err()
		}
	}
	return cmds, b.Explain(err)
}

func unknown(cmd *redis.Cmd) bool { return redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") }

// answer reads what a script returned: all of ours have two values at least.
func answer(cmd *redis.Cmd) ([]any, error) {
	list, err := cmd.Slice()
	if err == nil && len(list) < 2 {
		err = fmt.Errorf("got %d values from a script, want two or more", len(list))
	}
	return list, err
}
