package monitor

import (
	"fmt"
	"slices"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/cache"
)

const (
	// cacheFor is how long a tier must be broken before it is told: a Redis that
	// is restarted is away for less.
	cacheFor = 30 * time.Second
	// cacheClear is how long it must be whole again. A node tries a broken one at
	// least every half minute.
	cacheClear = time.Minute
)

// cacheReadings tell of tiers that nodes pass over. One tier is one alert, on
// however many nodes.
func cacheReadings(o *Overview) []reading {
	var all []reading
	for _, tier := range cache.Tiers() {
		r := reading{rule: ruleCache, subject: tier, warn: 1, after: cacheFor, clear: cacheClear}
		nodes, fault := 0, ""
		for n := range o.living() {
			for _, t := range n.Cache {
				if t.Tier == tier && t.Broken {
					nodes, fault = nodes+1, n.ID+": "+t.Fault
				}
			}
		}
		if nodes > 0 {
			r.value, r.text = 1, "the cache tier "+tier+" is broken"
			r.detail = fmt.Sprintf("passed over by %d nodes, as by %s; tasks whose results lie there are run again", nodes, fault)
		}
		all = append(all, r)
	}
	return all
}

// cleanTiers keeps what is known of the tiers, each once.
func cleanTiers(all []broker.NodeTier) []broker.NodeTier {
	var list []broker.NodeTier
	for _, t := range all {
		twice := slices.ContainsFunc(list, func(x broker.NodeTier) bool { return x.Tier == t.Tier })
		if twice || !slices.Contains(cache.Tiers(), t.Tier) {
			continue
		}
		t.Bytes, t.Bound, t.Fault = max(0, t.Bytes), max(0, t.Bound), clean(t.Fault, 300)
		t.Hits, t.Misses, t.Errors = max(0, t.Hits), max(0, t.Misses), max(0, t.Errors)
		list = append(list, t)
	}
	return list
}
