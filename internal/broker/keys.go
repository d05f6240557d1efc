package broker

import "strings"

// Keys of a queue in asynq's layout (v0.26), which our scripts share. All keys
// of a queue have the hash tag {queue} and so the same cluster slot.

// QueuesKey is asynq's set of all queue names.
const QueuesKey = "asynq:queues"

// QueueKey returns asynq's key of a queue: pending, active, lease, scheduled,
// retry, archived, completed, paused, processed, failed.
func QueueKey(queue, part string) string { return "asynq:{" + queue + "}:" + part }

// TaskKeyPrefix is what stands before a task's id in its key.
func TaskKeyPrefix(queue string) string { return "asynq:{" + queue + "}:t:" }

// TaskKey returns the key of a task's hash.
func TaskKey(queue, id string) string { return TaskKeyPrefix(queue) + id }

// Spare begins a script that must go on when Redis has reached its maxmemory,
// because it leads to the end of work that is there already. Of a script Redis
// judges only the first write, and to remove what never was takes no memory.
// The script's first key must have a hash tag.
const Spare = `redis.call("UNLINK", KEYS[1] .. "!")
`

// splitKey takes a queue's key apart.
func splitKey(key string) (queue, part string, ok bool) {
	rest, ok := strings.CutPrefix(key, "asynq:{")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "}:")
}
