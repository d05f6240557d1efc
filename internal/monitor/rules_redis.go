package monitor

import (
	"fmt"
	"time"
)

const (
	// redisWarn and redisBad are parts of Redis's memory. From redisBad on the
	// producers refuse new tasks.
	redisWarn, redisBad = 0.70, 0.85
	// evictedFor is how long a key that was dropped is told.
	evictedFor = 10 * time.Minute
)

func redisMemoryReading(s Redis) reading {
	n := reading{rule: ruleRedisMem, warn: redisWarn, bad: redisBad, slack: 0.05, after: patience}
	if s.Max > 0 {
		n.value = float64(s.Used) / float64(s.Max)
		n.text = fmt.Sprintf("Redis's memory is %.0f %% full", 100*n.value)
		n.detail = fmt.Sprintf("%s of %s are used", size(s.Used), size(s.Max))
		if n.value >= redisBad {
			n.detail += "; producers are refused until it drains"
		}
	}
	return n
}

// evicted is when Redis was last seen to drop a key.
type evicted struct {
	known bool
	count int64
	at    time.Time
}

// evictingReading tells of a Redis that drops keys, or would: each could be a
// task.
func (r *rules) evictingReading(o *Overview) reading {
	e := &r.evicted
	if e.known && o.Redis.Evicted > e.count {
		e.at = o.At
	}
	e.known, e.count = true, o.Redis.Evicted
	n := reading{rule: ruleEvicting, warn: 1, bad: 2, after: patience, clear: steady}
	const remedy = "set maxmemory-policy noeviction"
	switch {
	case !e.at.IsZero() && o.At.Sub(e.at) < evictedFor:
		n.value, n.text = 2, "Redis drops keys for want of memory"
		n.detail = fmt.Sprintf("%d so far, tasks may be among them; raise maxmemory and %s", e.count, remedy)
	case o.Redis.mayEvict():
		n.value, n.text = 1, "Redis would drop tasks when it is full"
		n.detail = fmt.Sprintf("its maxmemory-policy is %s; %s", o.Redis.Policy, remedy)
	}
	return n
}

func savingReading(s Redis) reading {
	n := reading{rule: ruleSaving, bad: 1, after: patience, clear: steady}
	if s.SaveFailed != "" {
		n.value, n.text = 1, "Redis cannot write to its disk"
		n.detail = fmt.Sprintf("its last %s failed: what is acknowledged now may be lost; see its log, and whether the disk is full", s.SaveFailed)
	}
	return n
}
