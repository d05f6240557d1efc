package monitor

import (
	"math"
	"testing"

	"github.com/jobyard/jobyard/internal/broker"
)

func TestCleanLeaks(t *testing.T) {
	t.Parallel()
	got := cleanLeaks([]broker.NodeLeak{
		{Kind: "worker", Live: -5}, {Kind: "search", Suspected: true, PerMinute: 7}, {Kind: "search"}, {Kind: "evil\nlabel"}, {Kind: ""},
	})
	if len(got) != 2 || got[0].Kind != "search" || !got[0].Suspected || got[1].Kind != "worker" || got[1].Live != 0 {
		t.Errorf("got %+v, want the two kinds, each once", got)
	}
}

func TestCleanBudget(t *testing.T) {
	t.Parallel()
	got := cleanBudget(broker.NodeBudget{
		Memory: "full\x1b[31m", Used: -1, CPU: math.NaN(), Rest: 7, Expected: map[string]int64{"search": -4, "other": 1},
	})
	if got.Memory == "full\x1b[31m" || got.Used != 0 || got.CPU != 0 || got.Rest != 1 || len(got.Expected) != 1 || got.Expected["search"] != 0 {
		t.Errorf("got %+v", got)
	}
}
