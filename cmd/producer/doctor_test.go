package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

func TestDoctor(t *testing.T) {
	t.Parallel()
	url, b := yard(t)
	deadline := time.Now().Add(5 * time.Second)
	for { // the worker's first heartbeat
		if nodes, err := b.Nodes(t.Context()); err == nil && len(nodes) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no worker came up")
		}
	}
	a := command(t, url, "", "doctor")
	a.want(t, 0, "append-only file, appendfsync everysec", "")
	for _, want := range []string{"ok    version", "ok    eviction", "ok    queues       8 of 8 known", "ok    workers      1 alive, 0 gone", "lose about the last second"} {
		if !strings.Contains(a.out, want) {
			t.Errorf("lacks %q:\n%s", want, a.out)
		}
	}
	var d diagnosis
	if err := json.Unmarshal([]byte(command(t, url, "", "doctor", "--json").out), &d); err != nil || len(d.Findings) != 9 || len(d.Promise) == 0 {
		t.Errorf("got %+v, %v", d, err)
	}
	always := brokertest.Server(t, "always")
	command(t, always.URL, "", "doctor").want(t, 0, "appendfsync always", "")
	b = brokertest.Open(t, always.URL)
	if err := b.Client().ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	command(t, always.URL, "", "doctor").want(t, 1, "fail  eviction     maxmemory-policy allkeys-lru; Redis may drop tasks", "")
}

func TestDiagnose(t *testing.T) {
	t.Parallel()
	good := facts{
		Version: "7.0.15", Policy: "noeviction", ConfigKnown: true, AOF: true, Fsync: "everysec", Role: "master", Used: 1 << 20,
		MaxMemory: 1 << 30, QueuesKnown: 8, QueuesAll: 8, NodesUp: 1, Slots: 4,
	}
	for _, f := range diagnose(good).Findings {
		if f.Grade != ok {
			t.Errorf("a healthy yard: got %+v", f)
		}
	}
	for name, tt := range map[string]struct {
		change func(*facts)
		check  string
		grade  grade
		says   string
	}{
		"old":                 {func(f *facts) { f.Version = "6.0.9" }, "version", fail, "6.2"},
		"unknown version":     {func(f *facts) { f.Version = "" }, "version", warn, "6.2"},
		"new enough":          {func(f *facts) { f.Version = "6.2.0" }, "version", ok, ""},
		"evicts":              {func(f *facts) { f.Policy = "volatile-lru" }, "eviction", fail, "noeviction"},
		"untold policy":       {func(f *facts) { f.Policy = "" }, "eviction", warn, ""},
		"no disk":             {func(f *facts) { f.AOF = false }, "persistence", fail, "appendonly"},
		"snapshots":           {func(f *facts) { f.AOF, f.Save = false, "60 1" }, "persistence", warn, "appendonly"},
		"forbidden settings":  {func(f *facts) { f.AOF, f.ConfigKnown = false, false }, "persistence", warn, ""},
		"kernel's choice":     {func(f *facts) { f.Fsync = "no" }, "persistence", warn, "everysec"},
		"disk full":           {func(f *facts) { f.AOFError = true }, "persistence", fail, "disk full"},
		"snapshot failed":     {func(f *facts) { f.AOF, f.Save, f.RDBError = false, "60 1", true }, "persistence", fail, "disk full"},
		"no snapshot either":  {func(f *facts) { f.Save, f.RDBError = "60 1", true }, "persistence", fail, "disk full"},
		"an old attempt":      {func(f *facts) { f.RDBError = true }, "persistence", ok, ""},
		"a replica":           {func(f *facts) { f.Role = "slave" }, "replication", fail, "master"},
		"memory full":         {func(f *facts) { f.Used = f.MaxMemory }, "memory", fail, "maxmemory"},
		"memory nearly full":  {func(f *facts) { f.Used = f.MaxMemory * 9 / 10 }, "memory", warn, "maxmemory"},
		"no memory limit":     {func(f *facts) { f.MaxMemory = 0 }, "memory", warn, "maxmemory"},
		"far away":            {func(f *facts) { f.PingP50 = 20 * time.Millisecond }, "latency", warn, "nearer"},
		"very far away":       {func(f *facts) { f.PingP50 = time.Second }, "latency", fail, ""},
		"clock off":           {func(f *facts) { f.Skew = -2 * time.Second }, "clock", warn, "NTP"},
		"clock far off":       {func(f *facts) { f.Skew = time.Minute }, "clock", fail, "NTP"},
		"paused":              {func(f *facts) { f.Paused = []string{"search"} }, "queues", warn, "search"},
		"full":                {func(f *facts) { f.Full = []string{"search"} }, "queues", warn, "search"},
		"no workers":          {func(f *facts) { f.NodesUp = 0 }, "workers", warn, "start a worker"},
		"a kind is forgotten": {func(f *facts) { f.Unserved = []string{"search"} }, "workers", warn, "search"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := good
			tt.change(&f)
			for _, got := range diagnose(f).Findings {
				if got.Check == tt.check {
					if got.Grade != tt.grade || !strings.Contains(got.Detail+got.Remedy, tt.says) {
						t.Errorf("got %+v, want %s, %q", got, tt.grade, tt.says)
					}
				} else if got.Grade != ok {
					t.Errorf("unrelated: got %+v", got)
				}
			}
		})
	}
}

func TestPromise(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]facts{
		"power failure: every write": {AOF: true, Fsync: "always"}, "about the last second": {AOF: true, Fsync: "everysec"},
		"often 30 s": {AOF: true, Fsync: "no"}, "since the last snapshot": {ConfigKnown: true, Save: "60 1"},
		"any restart of Redis": {ConfigKnown: true}, "not received yet": {AOF: true, Replicas: 1}, "bounds it": {AOF: true, Replicas: 2, MinReplicas: 1},
	} {
		if got := strings.Join(promise(f), " "); !strings.Contains(got, want) {
			t.Errorf("%+v: got %s, want %q", f, got, want)
		}
	}
}
