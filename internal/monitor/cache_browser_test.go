//go:build browser

package monitor

import (
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// ofKind is the figure of a kind under a heading of the page's table.
func ofKind(kind, head string) string {
	return `(() => { const cell = [...document.querySelectorAll("#cached tbody tr")].find((r) => r.cells[0].textContent === "` + kind + `");
	  return cell ? parseInt(cell.querySelector("[data-name='` + head + `']").textContent.replace(/,/g, "")) : -1; })()`
}

// TestBrowser_Cache: real work that is not done twice shows, live, by where its
// result was.
func TestBrowser_Cache(t *testing.T) {
	b := newBrowser(t)
	y := openRealYard(t, 1)
	b.look(1440, 900, "light")
	b.open(y.home + "/cache")
	b.await(streaming + ` && document.querySelectorAll("#cached tbody tr").length === 4`)
	b.await(ofKind("config_gen", "At the door") + " > 0 && " + ofKind("document_parse", "Made anew") + " > 0")
	y.handAgain(3)
	b.await(ofKind("document_parse", "From memory") + " > 1")
	if got := read[int](b, ofKind("search", "Made anew")); got != 0 {
		t.Errorf("got %d searches that were looked up, want none", got)
	}
	b.await(`/^[\d,]+ of [\d,]+ tasks had the result of an equal one and were not run, \d+ %\.$/.test(document.querySelector("#cache-verdict .sentence").textContent)`)
	b.await(`[...document.querySelectorAll("#tiers article")].map((e) => e.querySelector("h3").textContent + " " + e.querySelector(".chip").textContent).join() === "Memory working,Redis working,Disk working"`)
	b.await(`+document.querySelector("#tiers article [role=meter]").ariaValueNow > 0`)
	if err := y.broker.Client().Set(t.Context(), "jobyard:cache:{search}:answered", "not a hash", 0).Err(); err != nil {
		t.Fatal(err)
	}
	b.await(`!document.querySelector("#door-fault").hidden`)
	anew := read[int](b, ofKind("document_parse", "Made anew"))
	b.await(ofKind("document_parse", "Made anew") + " > " + strconv.Itoa(anew))
	b.clean(y.home)
}

// handAgain hands equal documents over past the door's own look, so that workers
// find them, and waits for each.
func (y *realYard) handAgain(times int) {
	y.t.Helper()
	cfg := client.DefaultConfig()
	cfg.NoCache, cfg.CacheBytes = true, 0
	blunt, err := client.New(y.broker, cfg)
	if err != nil {
		y.t.Fatal(err)
	}
	defer blunt.Close()
	for range times {
		r, err := tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: "# The same again"}})
		if err == nil {
			_, err = blunt.Do(y.t.Context(), r)
		}
		if err != nil {
			y.t.Fatal(err)
		}
	}
}

// TestBrowser_CacheTrouble: tiers that are broken on one node, and off on another.
func TestBrowser_CacheTrouble(t *testing.T) {
	y := newYard(t)
	y.sample(0)
	y.clock = y.clock.Add(time.Second)
	tiers := func(off string, broken bool) func(*broker.Node) {
		return func(n *broker.Node) {
			n.StartedAt = y.clock
			n.Cache = []broker.NodeTier{
				{Tier: "memory", Bytes: 143 << 20, Bound: 190 << 20, Hits: 48210, Misses: 20931},
				{Tier: "redis", Bytes: 953 << 20, Bound: 954 << 20, Hits: 9120, Misses: 11811},
				{Tier: "disk", Bytes: 12 << 30, Bound: 18 << 30, Hits: 3105, Misses: 8706},
			}
			if broken {
				n.Cache[2].Broken, n.Cache[2].Fault, n.Cache[2].Errors = true, "write /var/lib/jobyard/cache/7/"+strings.Repeat("f", 64)+": no space left on device", 8700
			}
			if off == "redis" {
				n.Cache = []broker.NodeTier{n.Cache[0], n.Cache[2]}
			}
			n.Kinds["document_parse"] = broker.NodeKind{Slots: 2, Cached: broker.NodeCached{Memory: 4000, Redis: 900, Disk: 300, Missed: 8706}}
		}
	}
	y.node("yard-1-48213", tiers("", true))
	y.node("yard-2-49130", tiers("redis", false))
	y.node("yard-"+strings.Repeat("w", 60), tiers("", false))
	y.sample(0)
	server := httptest.NewServer(y.monitor.Handler())
	defer server.Close()
	defer y.monitor.Close()
	b := newBrowser(t)
	b.examine("cache-trouble", server.URL+"/cache", streaming+` && document.querySelector("#cache-verdict").dataset.level === "warn" && document.querySelectorAll("#tiers tbody tr").length === 9`)
	if got := read[string](b, `document.querySelector("#cache-verdict .sentence").textContent`); !strings.HasPrefix(got, "Broken: Disk on 1 of 3 nodes") {
		t.Errorf("got %q", got)
	}
	if got := read[[]string](b, `[...document.querySelectorAll("#tiers .chip")].map((e) => e.textContent)`); strings.Join(got, ", ") != "working, working on 2 of 3, broken on 1 of 3" {
		t.Errorf("got %q", got)
	}
	if got := read[string](b, `document.querySelector("#tiers .fault").innerText`); !strings.HasPrefix(got, "yard-1-48213: write /var") {
		t.Errorf("got the fault %q", got)
	}
	b.clean(server.URL)
}

// TestBrowser_CacheUnused: before any worker, with one that has every tier off,
// and while Redis is away.
func TestBrowser_CacheUnused(t *testing.T) {
	r := startRedis(t)
	y := openYard(t, r.open(t))
	y.sample(0)
	server := httptest.NewServer(y.monitor.Handler())
	defer server.Close()
	defer y.monitor.Close()
	b := newBrowser(t)
	says := func(chip, words string) string {
		return `document.querySelector("#tiers .chip").textContent === "` + chip + `" && document.querySelector("#cache-verdict .sentence").textContent === "` + words + `"`
	}
	b.examine("cache-newcomer", server.URL+"/cache", streaming+" && "+says("not known", "No worker is up."))
	y.node("a")
	y.sample(time.Second)
	b.await(says("off", "Every tier is off: each task is run."))
	y.node("a", func(n *broker.Node) { n.Cache = []broker.NodeTier{{Tier: "memory", Bound: 1 << 20}} })
	y.sample(time.Second)
	b.await(says("working", "No result has been looked for yet."))
	r.stop()
	y.sample(time.Second)
	b.await(says("not known", "Nothing is known while Redis is away."))
	b.clean(server.URL)
}
