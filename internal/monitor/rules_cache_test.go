package monitor

import (
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/broker"
)

func TestCacheReadings(t *testing.T) {
	t.Parallel()
	broken := cleanTiers([]broker.NodeTier{
		{Tier: "memory"}, {Tier: "disk", Broken: true, Fault: "no space\x00 left"}, {Tier: "disk"}, {Tier: "tape"}, {Tier: "redis", Bytes: -1},
	})
	if len(broken) != 3 || broken[2].Bytes != 0 {
		t.Fatalf("got %+v", broken)
	}
	node := func(up bool) Node { return Node{Node: broker.Node{ID: "a", Cache: broken}, Up: up} }
	for up, want := range map[bool]float64{true: 1, false: 0} {
		for _, r := range cacheReadings(&Overview{Nodes: []Node{node(up)}}) {
			if got := r.value; r.subject == "disk" && got != want || r.subject != "disk" && got != 0 {
				t.Errorf("%s, up %t: got %g", r.subject, up, got)
			}
			if r.value > 0 && (!strings.Contains(r.detail, "no space") || r.after == 0 || r.clear == 0) {
				t.Errorf("got %+v", r)
			}
		}
	}
}
