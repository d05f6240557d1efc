package monitor

import (
	"fmt"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// The rules, in the order in which they are told.
const (
	ruleRedis    = "redis_away"
	ruleNoWorker = "no_worker"
	ruleQueue    = "queue_limit"
	ruleUnserved = "kind_unserved"
	ruleSilent   = "node_silent"
	ruleMemory   = "node_memory"
	ruleFilling  = "node_filling"
	ruleLeak     = "leak"
	ruleWait     = "queue_wait"
	ruleProgress = "no_progress"
	ruleDead     = "dead_growing"
	ruleCache    = "cache_broken"
	ruleRedisMem = "redis_memory"
	ruleEvicting = "redis_evicting"
	ruleSaving   = "redis_saving"
)

// Rules lists the names of all rules, in the order in which alerts are told.
func Rules() []string {
	return []string{
		ruleRedis, ruleSaving, ruleEvicting, ruleNoWorker, ruleProgress, ruleQueue, ruleUnserved, ruleRedisMem,
		ruleWait, ruleSilent, ruleFilling, ruleMemory, ruleLeak, ruleDead, ruleCache,
	}
}

const (
	// queueWarn is the part of its limit from which a queue is reported.
	queueWarn = 0.8
	// slack is how far a figure must fall below the mark that raised it, as a
	// part of the limit, so that one that sways around it is told once.
	slack = 0.1
	// patience is how long something must be wrong before it is told: a burst of
	// tasks, the restart of a worker and that of Redis take less.
	patience = 5 * time.Second
	// steady is how long it must be well again. For a node that is two heartbeats.
	steady = 2 * broker.HeartbeatEvery
)

func (r *rules) redis(o *Overview) reading {
	n := reading{rule: ruleRedis, bad: 1, after: patience, clear: steady, text: "Redis was away", detail: "it answers again"}
	if !o.Redis.Up {
		n.value, n.text, n.detail = 1, redisAway, o.Redis.Error
	}
	return n
}

// readings asks every rule about everything it watches.
func (r *rules) readings(o *Overview) []reading {
	var all []reading
	for _, q := range o.Queues {
		all = append(all, queueReading(q))
	}
	for _, n := range o.Nodes {
		all = append(all, r.memoryReading(n), fillingReading(n))
	}
	// Heartbeats could not be written while Redis was away.
	if r.backAt.IsZero() || o.At.Sub(r.backAt) > broker.NodeSilent {
		for _, n := range o.Nodes {
			all = append(all, silentReading(n))
		}
	} else {
		r.keep(ruleSilent)
	}
	all = append(all, leakReadings(o)...)
	all = append(all, cacheReadings(o)...)
	all = append(all, workReadings(o)...)
	all = append(all, r.waitReadings(o)...)
	all = append(all, r.progressReadings(o)...)
	return append(all, r.deadReading(o), redisMemoryReading(o.Redis), r.evictingReading(o), savingReading(o.Redis))
}

// keep holds a rule's memory although it is not asked in this round.
func (r *rules) keep(rule string) {
	for key, s := range r.states {
		if key.rule == rule {
			s.seen = r.round
		}
	}
}

func queueReading(q Queue) reading {
	n := reading{
		rule: ruleQueue, subject: q.Name, value: float64(q.Waiting) / float64(q.Limit), warn: queueWarn, bad: 1, slack: slack, after: patience,
		text: fmt.Sprintf("queue %s is filling", q.Name), detail: fmt.Sprintf("%d of %d tasks wait", q.Waiting, q.Limit),
	}
	if q.Waiting >= int64(q.Limit) {
		n.text = fmt.Sprintf("queue %s is full", q.Name)
		n.detail += "; producers are refused until it drains"
	}
	return n
}

func (r *rules) memoryReading(n Node) reading {
	m := reading{rule: ruleMemory, subject: n.ID, warn: r.cfg.MemoryWarn, bad: 1, slack: slack, after: patience}
	if n.Up && n.MemoryLimit > 0 {
		m.value = float64(n.RSS) / float64(n.MemoryLimit)
		m.text = fmt.Sprintf("node %s is at %.0f %% of its memory limit", n.ID, 100*m.value)
		m.detail = fmt.Sprintf("%s of %s are resident", size(n.RSS), size(n.MemoryLimit))
	}
	return m
}

func silentReading(n Node) reading {
	// The silence is timed already: one more heartbeat may be on its way.
	s := reading{rule: ruleSilent, subject: n.ID, warn: 1, after: broker.HeartbeatEvery, clear: steady}
	if n.silent() {
		s.value, s.text = 1, fmt.Sprintf("node %s is silent", n.ID)
		s.detail = fmt.Sprintf("last heard of %s ago", span(n.AgeSeconds))
	}
	return s
}

// workReadings tell of work that nobody takes.
func workReadings(o *Overview) []reading {
	pending := map[string]int64{}
	all := int64(0)
	for _, q := range o.Queues {
		if !q.Paused {
			pending[q.Kind] += q.Counts[tasks.Pending]
			all += q.Counts[tasks.Pending]
		}
	}
	none := reading{rule: ruleNoWorker, bad: 1, after: patience, clear: steady}
	if o.Total.NodesUp == 0 && all > 0 {
		none.value, none.text, none.detail = 1, "no worker is up", waits(all)+"; start one with: worker"
	}
	readings := []reading{none}
	for _, k := range o.Kinds {
		n := reading{rule: ruleUnserved, subject: k.Kind, bad: 1, after: patience, clear: steady}
		if waiting := pending[k.Kind]; o.Total.NodesUp > 0 && k.Taking == 0 && waiting > 0 {
			n.value, n.text = 1, "no node takes "+k.Kind
			n.detail = fmt.Sprintf("%s; start a node that does with: worker --slots %s=2", waits(waiting), k.Kind)
			if k.Slots > 0 {
				n.detail = waits(waiting) + "; every node that has slots for it was asked to drain"
			}
		}
		readings = append(readings, n)
	}
	return readings
}
