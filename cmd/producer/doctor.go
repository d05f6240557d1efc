package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/report"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "check this Redis and say what it promises", Category: "Yard", Flags: flags(),
		Description: "Exit code 1 if a check fails; warnings do not count.",
		Action: func(c *cli.Context) error {
			return talk(c, func(ctx context.Context, s *session) error {
				f, err := examine(ctx, s.broker, s.client, time.Now)
				if err != nil {
					return err
				}
				d := diagnose(f)
				if s.json {
					err = s.encode(d)
				} else {
					err = s.print(layDiagnosis(s.style, s.broker.Place(), d))
				}
				if err == nil && d.failed() > 0 {
					err = &config.FailedError{Count: d.failed()}
				}
				return err
			})
		},
	}
}

// grade is how a check ended.
type grade string

const (
	ok   grade = "ok"
	warn grade = "warn"
	fail grade = "fail"
)

func (g grade) rank() int { return slices.Index([]grade{ok, warn, fail}, g) }

// finding is one check.
type finding struct {
	Check  string `json:"check"`
	Grade  grade  `json:"grade"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// diagnosis is all that doctor found.
type diagnosis struct {
	Findings []finding `json:"findings"`
	Promise  []string  `json:"promise"`
}

func (d diagnosis) failed() int {
	n := 0
	for _, f := range d.Findings {
		if f.Grade == fail {
			n++
		}
	}
	return n
}

// diagnose judges the facts. It asks nobody.
func diagnose(f facts) diagnosis {
	return diagnosis{
		Findings: []finding{
			f.worst(judgeVersion), f.worst(judgeEviction), f.worst(judgePersistence), f.worst(judgeReplicas), f.worst(judgeMemory),
			judgeLatency(f), judgeClock(f), judgeQueues(f), judgeNodes(f),
		},
		Promise: promise(f.weakest()),
	}
}

// worst is the worst that is found of any master.
func (f facts) worst(judge func(facts) finding) finding {
	worst, place := judge(f), f.Place
	for _, other := range f.Others {
		if g := judge(other); g.Grade.rank() > worst.Grade.rank() {
			worst, place = g, other.Place
		}
	}
	switch {
	case len(f.Others) == 0:
	case worst.Grade != ok:
		worst.Detail = place + ": " + worst.Detail
	case worst.Check == "replication":
		replicas := f.Replicas
		for _, other := range f.Others {
			replicas += other.Replicas
		}
		worst.Detail = fmt.Sprintf("a cluster of %s, %s", report.Count(1+len(f.Others), "master"), report.Count(replicas, "replica"))
	}
	return worst
}

// weakest is what all masters promise at least.
func (f facts) weakest() facts {
	weakest := f
	for _, other := range f.Others {
		least, writes := min(weakest.Replicas, other.Replicas), min(weakest.MinReplicas, other.MinReplicas)
		if other.durable() < weakest.durable() {
			weakest = other
		}
		weakest.Replicas, weakest.MinReplicas = least, writes
	}
	return weakest
}

// durable orders how much of its tasks a Redis keeps on disk.
func (f facts) durable() int {
	switch {
	case f.AOF && f.Fsync == "always":
		return 4
	case f.AOF && f.Fsync != "no":
		return 3
	case f.AOF:
		return 2
	case f.Save != "" || !f.ConfigKnown:
		return 1
	}
	return 0
}

func judgeVersion(f facts) finding {
	var major, minor int
	if n, _ := fmt.Sscanf(f.Version, "%d.%d", &major, &minor); n < 2 {
		return finding{"version", warn, "Redis does not tell its version", "6.2 or newer is needed"}
	}
	if major < 6 || (major == 6 && minor < 2) {
		return finding{"version", fail, f.Version, "6.2 or newer is needed: the queue's scripts use commands that this one lacks"}
	}
	return finding{"version", ok, f.Version, ""}
}

func judgeEviction(f facts) finding {
	switch f.Policy {
	case "noeviction":
		return finding{"eviction", ok, "maxmemory-policy noeviction", ""}
	case "":
		return finding{"eviction", warn, "Redis does not tell its maxmemory-policy", "it must be noeviction"}
	}
	return finding{"eviction", fail, "maxmemory-policy " + f.Policy, "Redis may drop tasks when its memory is full: set maxmemory-policy noeviction"}
}

func judgePersistence(f facts) finding {
	switch {
	case !f.AOF && f.Save == "" && f.ConfigKnown:
		return finding{"persistence", fail, "none", "a restart loses every task: set appendonly yes"}
	case f.RDBError && (f.Save != "" || !f.ConfigKnown):
		return finding{"persistence", fail, "the last snapshot failed", "see the log of Redis; is its disk full?"}
	case f.AOF && f.AOFError:
		return finding{"persistence", fail, "the last write to the append-only file failed", "see the log of Redis; is its disk full?"}
	case f.AOF:
		detail, remedy := "append-only file, appendfsync "+orUnknown(f.Fsync), ""
		if f.Fsync == "no" {
			return finding{"persistence", warn, detail, "set appendfsync everysec, or always"}
		}
		return finding{"persistence", ok, detail, remedy}
	}
	return finding{"persistence", warn, "snapshots only (save " + orUnknown(f.Save) + ")", "a crash loses what came after the last one: set appendonly yes"}
}

func orUnknown(s string) string {
	if s == "" {
		return "(not told)"
	}
	return s
}

func judgeReplicas(f facts) finding {
	if f.Role == "slave" {
		return finding{"replication", fail, "this is a replica", "give the address of the master"}
	}
	if f.Replicas < f.MinReplicas {
		return finding{"replication", fail, fmt.Sprintf("%s, writes need %d", report.Count(f.Replicas, "replica"), f.MinReplicas),
			"Redis refuses every task until enough replicas are connected"}
	}
	if f.Replicas == 0 {
		return finding{"replication", ok, "no replica", ""}
	}
	detail := report.Count(f.Replicas, "replica")
	if f.MinReplicas > 0 {
		detail += fmt.Sprintf(", writes need %d", f.MinReplicas)
	}
	return finding{"replication", ok, detail, ""}
}

func judgeMemory(f facts) finding {
	used := report.Bytes(f.Used) + " used"
	if f.MaxMemory == 0 {
		return finding{"memory", warn, used + ", no limit", "set maxmemory below the machine's, or the kernel may end Redis"}
	}
	share := 100 * float64(f.Used) / float64(f.MaxMemory)
	detail := fmt.Sprintf("%s of %s (%.0f %%)", used, report.Bytes(f.MaxMemory), share)
	switch {
	case share >= 95:
		return finding{"memory", fail, detail, "Redis soon refuses tasks: raise maxmemory or let the workers drain the queues"}
	case share >= 80:
		return finding{"memory", warn, detail, "raise maxmemory or keep results for less time"}
	}
	return finding{"memory", ok, detail, ""}
}

func judgeLatency(f facts) finding {
	detail := fmt.Sprintf("p50 %s, slowest %s of %d pings", report.Span(f.PingP50), report.Span(f.PingMax), pings)
	switch {
	case f.PingP50 > 100*time.Millisecond:
		return finding{"latency", fail, detail, "Redis is too far away or overloaded"}
	case f.PingP50 > 5*time.Millisecond:
		return finding{"latency", warn, detail, "every task takes several round trips: bring Redis nearer"}
	}
	return finding{"latency", ok, detail, ""}
}

func judgeClock(f facts) finding {
	skew := f.Skew.Abs()
	detail := report.Span(skew) + " apart"
	switch {
	case skew > 5*time.Second:
		return finding{"clock", fail, detail, "heartbeats and due times go wrong: synchronize the clocks (NTP)"}
	case skew > time.Second:
		return finding{"clock", warn, detail, "synchronize the clocks (NTP)"}
	}
	return finding{"clock", ok, detail, ""}
}

func judgeQueues(f facts) finding {
	detail := fmt.Sprintf("%d of %d known, %s wait", f.QueuesKnown, f.QueuesAll, report.Count(int(f.Waiting), "task"))
	if f.Dead > 0 {
		detail += fmt.Sprintf(", %s", report.Count(int(f.Dead), "dead letter"))
	}
	switch {
	case len(f.Paused) > 0:
		return finding{"queues", warn, detail, "paused: " + strings.Join(f.Paused, ", ")}
	case len(f.Full) > 0:
		return finding{"queues", warn, detail, "near their limit: " + strings.Join(f.Full, ", ")}
	case f.QueuesKnown == 0 && f.Waiting == 0:
		return finding{"queues", ok, "none yet: no worker has run here", ""}
	}
	return finding{"queues", ok, detail, ""}
}

func judgeNodes(f facts) finding {
	if f.NodesUp == 0 {
		return finding{"workers", warn, fmt.Sprintf("none alive, %d gone", f.NodesDown), "start a worker with this REDIS_URL"}
	}
	detail := fmt.Sprintf("%d alive, %d gone, %d of %s busy", f.NodesUp, f.NodesDown, f.Busy, report.Count(f.Slots, "slot"))
	if len(f.Unserved) > 0 {
		return finding{"workers", warn, detail, "no worker serves " + strings.Join(f.Unserved, ", ")}
	}
	return finding{"workers", ok, detail, ""}
}

// promise says what an acknowledged task survives on this Redis.
func promise(f facts) []string {
	var lines []string
	switch {
	case f.AOF && f.Fsync == "always":
		lines = append(lines, "An acknowledged task survives a crash of Redis and a power failure: every write is on disk before it is answered.")
	case f.AOF && f.Fsync == "no":
		lines = append(lines, "An acknowledged task survives a crash of redis-server. A power failure may lose what the kernel had not written, often 30 s.")
	case f.AOF:
		lines = append(lines, "An acknowledged task survives a crash of redis-server. A power failure may lose about the last second of tasks (appendfsync everysec).")
	case f.Save != "" || !f.ConfigKnown:
		lines = append(lines, "A crash of Redis or a power failure loses every task since the last snapshot.")
	default:
		lines = append(lines, "Nothing is kept on disk: any restart of Redis loses every task.")
	}
	switch {
	case f.Replicas > 0 && f.MinReplicas > 0:
		lines = append(lines, "A fail-over may lose writes that the replicas had not received yet; replication is asynchronous, and min-replicas-to-write bounds it.")
	case f.Replicas > 0:
		lines = append(lines, "A fail-over may lose writes that the replica had not received yet: replication is asynchronous.")
	case f.AOF || f.Save != "":
		lines = append(lines, "Without a replica the tasks are as safe as this one disk.")
	}
	return append(lines, "As long as Redis keeps its data, no acknowledged task is lost, and each has one result.")
}

func layDiagnosis(style report.Style, place string, d diagnosis) string {
	rows := make([][]string, 0, len(d.Findings))
	for _, f := range d.Findings {
		detail := f.Detail
		if f.Remedy != "" {
			detail += "; " + f.Remedy
		}
		rows = append(rows, []string{style.Grade(string(f.Grade)), f.Check, detail})
	}
	return style.Title("redis at "+place) + "\n\n" + report.Table(rows) + "\n" +
		style.Title("What this Redis promises") + "\n" + style.List(d.Promise)
}
