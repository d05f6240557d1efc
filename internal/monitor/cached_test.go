package monitor

import (
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
)

// cachedNode is a node that has counted for document_parse.
func cachedNode(id string, started time.Time, memory, missed int64) broker.Node {
	return broker.Node{ID: id, StartedAt: started, Kinds: map[string]broker.NodeKind{
		"document_parse": {Cached: broker.NodeCached{Memory: memory, Missed: missed}},
	}}
}

func TestCachedCounts_ofOneSpan(t *testing.T) {
	t.Parallel()
	c := newCachedCounts()
	at := time.Now()
	look := func(door int64, fault string, nodes ...broker.Node) CacheSeen {
		at = at.Add(time.Second)
		return c.observe(yard{
			at: at, nodes: nodes, doorFault: fault,
			answered: map[string]map[string]int64{"document_parse": {"redis": door}, "document_parse:bulk": {"memory": door}},
		})
	}
	old := at.Add(-time.Hour)
	seen := look(500, "", cachedNode("a", old, 70, 30))
	if got := c.of("document_parse"); got != (Cached{}) || !seen.Since.Equal(at) {
		t.Errorf("got %+v since %s, want nothing of what was counted before", got, seen.Since)
	}
	look(510, "", cachedNode("a", old, 75, 31), cachedNode("b", at, 4, 2), cachedNode("c", old, 1000, 1000))
	if got, want := c.of("document_parse"), (Cached{Door: 20, Memory: 9, Missed: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := look(0, "wrong type", cachedNode("a", at, 2, 1)); got.DoorFault != "wrong type" {
		t.Errorf("got %+v", got)
	}
	if got, want := c.of("document_parse"), (Cached{Door: 20, Memory: 11, Missed: 4}); got != want {
		t.Errorf("a node that started anew, and no door: got %+v, want %+v", got, want)
	}
	look(515, "")
	look(3, "") // Redis has lost them
	if got := c.of("document_parse").Door; got != 36 {
		t.Errorf("got %d at the door, want 36", got)
	}
	if got := c.of("unknown"); got != (Cached{}) {
		t.Errorf("got %+v of no kind", got)
	}
}

func TestCached_doorThatCannotBeRead(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	ctx, c := t.Context(), y.broker.Client()
	c.HSet(ctx, "jobyard:cache:{config_gen}:answered", "redis", 7, "memory", "many", "tape", 9)
	c.HSet(ctx, "jobyard:cache:{config_gen:bulk}:answered", "redis", 5)
	y.sample(0)
	c.HIncrBy(ctx, "jobyard:cache:{config_gen}:answered", "redis", 3)
	o := y.sample(time.Second)
	if k := kindOf(o, "config_gen"); k.Cached.Door != 3 || o.Cache.DoorFault != "" {
		t.Errorf("got %+v, %+v", k.Cached, o.Cache)
	}
	families := y.scrape()
	if got, ok := value(families, "jobyard_cache_answered_total", "tier=redis"); !ok || got != 15 {
		t.Errorf("got %g (there: %v), want 15", got, ok)
	}
	if got, ok := value(families, "jobyard_cache_answered_total", "tier=memory"); !ok || got != 0 {
		t.Errorf("got %g (there: %v), want 0", got, ok)
	}
	if err := c.Set(ctx, "jobyard:cache:{search}:answered", "a stranger's", 0).Err(); err != nil {
		t.Fatal(err)
	}
	o = y.sample(time.Second)
	if k := kindOf(o, "config_gen"); !o.Redis.Up || o.Cache.DoorFault == "" || k.Cached.Door != 3 || len(o.Queues) != 8 {
		t.Errorf("got %+v, %+v, %d queues; want all but the door", k.Cached, o.Cache, len(o.Queues))
	}
	families = y.scrape()
	if families["jobyard_cache_answered_total"] != nil || families["jobyard_queue_limit"] == nil {
		t.Error("want a scrape without the door's answers")
	}
}
