package broker

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Op names an asynq script by what it does.
type Op string

// The scripts that can be told apart by their keys.
const (
	OpEnqueue  Op = "enqueue"
	OpSchedule Op = "schedule"
	OpDequeue  Op = "dequeue"
	OpDone     Op = "done"
	OpComplete Op = "complete"
	OpRetry    Op = "retry"
	OpArchive  Op = "archive"
	OpRequeue  Op = "requeue"
	OpForward  Op = "forward"
)

// Call is one script call of asynq's.
type Call struct {
	Op    Op
	Queue string
	Keys  []string
	Args  []any
}

// Hook may answer a call in asynq's stead; nil lets it through.
type Hook func(ctx context.Context, call Call) *redis.Cmd

// Intercept wraps a client so that hook sees every script that asynq runs.
// asynq offers no other place to change what a dequeue or an acknowledgement
// does; TestIntercept_KnowsEveryScript fails if its scripts change.
func Intercept(c redis.UniversalClient, hook Hook) redis.UniversalClient {
	return &interceptor{UniversalClient: c, hook: hook}
}

type interceptor struct {
	redis.UniversalClient
	hook Hook
}

// EvalSha implements redis.Scripter.
func (i *interceptor) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	if cmd := i.answer(ctx, keys, args); cmd != nil {
		return cmd
	}
	// asynq cancels the context of an acknowledgement when it hands it to its
	// syncer, so that no repetition could succeed (research: F2).
	return i.UniversalClient.EvalSha(context.WithoutCancel(ctx), sha, keys, args...)
}

// Eval implements redis.Scripter.
func (i *interceptor) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	if cmd := i.answer(ctx, keys, args); cmd != nil {
		return cmd
	}
	return i.UniversalClient.Eval(context.WithoutCancel(ctx), script, keys, args...)
}

// ZAddXX is how asynq extends its leases of running tasks. Were it refused
// because Redis is full, asynq would take its hands off them after 30 s.
func (i *interceptor) ZAddXX(ctx context.Context, key string, members ...redis.Z) *redis.IntCmd {
	args := make([]any, 0, 2*len(members))
	for _, m := range members {
		args = append(args, m.Score, m.Member)
	}
	n, err := extendScript.Run(ctx, i.UniversalClient, []string{key}, args...).Int64()
	cmd := redis.NewIntCmd(ctx)
	cmd.SetVal(n)
	cmd.SetErr(err)
	return cmd
}

var extendScript = redis.NewScript(Spare + `return redis.call("ZADD", KEYS[1], "XX", unpack(ARGV))`)

func (i *interceptor) answer(ctx context.Context, keys []string, args []any) *redis.Cmd {
	op, queue := opOf(keys)
	if op == "" {
		return nil
	}
	return i.hook(ctx, Call{Op: op, Queue: queue, Keys: keys, Args: args})
}

// opOf tells a script by the number and kinds of its keys.
func opOf(keys []string) (Op, string) {
	parts := make([]byte, 0, 10)
	queue := ""
	for _, k := range keys {
		q, part, ok := splitKey(k)
		if !ok {
			return "", ""
		}
		queue = q
		parts = append(parts, initial(part))
	}
	switch string(parts) {
	case "tp":
		return OpEnqueue, queue
	case "ts":
		return OpSchedule, queue
	case "pPal":
		return OpDequeue, queue
	case "altnn":
		return OpDone, queue
	case "alctnn":
		return OpComplete, queue
	case "talrnnnn":
		return OpRetry, queue
	case "talAnnnnt":
		return OpArchive, queue
	case "alpt":
		return OpRequeue, queue
	case "sp", "rp":
		return OpForward, queue
	}
	return "", ""
}

// initial gives each part of a queue's keys a letter of its own.
func initial(part string) byte {
	switch {
	case len(part) >= 2 && part[:2] == "t:":
		return 't'
	case part == "paused":
		return 'P'
	case part == "archived":
		return 'A'
	case len(part) >= 9 && part[:9] == "processed", len(part) >= 6 && part[:6] == "failed":
		return 'n'
	case part == "pending", part == "active", part == "lease", part == "completed", part == "retry", part == "scheduled":
		return part[0]
	}
	return '?'
}
