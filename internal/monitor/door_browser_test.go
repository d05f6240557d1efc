//go:build browser

package monitor

import (
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/jobyard/jobyard/internal/broker"
)

// examine looks at what is open on a wide and a narrow screen, in light and
// dark: nothing may reach over the edge, be hard to read, or have no name.
func (b *browser) examine(name, url, drawn string) {
	b.tb.Helper()
	for _, scheme := range []string{"light", "dark"} {
		for size, px := range screens {
			b.look(px[0], px[1], scheme)
			b.open(url)
			b.await(drawn)
			b.picture(name + "-" + size + "-" + scheme)
			b.fits(px[0])
			for _, fault := range append(read[[]string](b, contrast), read[[]string](b, accessible)...) {
				b.tb.Errorf("%s %s %s: %s", name, size, scheme, fault)
			}
		}
	}
}

// leaking plays an hour in which config_gen leaks on one of two nodes.
func leaking(t *testing.T) (y *testYard, home string) {
	t.Helper()
	y = newYard(t)
	y.clock = time.Now().Add(-time.Hour)
	began := y.clock.Add(20 * time.Minute)
	const perMinute = 1.3 * (1 << 20)
	for i := range 360 {
		y.clock = y.clock.Add(10 * time.Second)
		minutes := float64(i) / 6
		for _, id := range []string{"yard-1-48213", "yard-2-49130"} {
			y.node(id, func(n *broker.Node) {
				wave := 1 + 0.04*math.Sin(minutes)
				n.Leaks = []broker.NodeLeak{
					{Kind: "config_gen", Live: int64(14 * wave * (1 << 20)), Ceiling: 256 << 20},
					{Kind: "document_parse", Live: int64(31 * wave * (1 << 20)), Ceiling: 256 << 20},
					{Kind: "worker", Live: int64(88 * wave * (1 << 20)), Ceiling: 4 << 30},
				}
				if id == "yard-2-49130" {
					l := &n.Leaks[0]
					l.Live += int64(minutes * perMinute)
					if y.clock.After(began.Add(15 * time.Minute)) {
						l.Suspected, l.Since, l.PerMinute, l.Low, l.High = true, began.Add(15*time.Minute), perMinute, 0.9*perMinute, 1.15*perMinute
						l.PerTask, l.CeilingSeconds = 20<<10, int64(float64(l.Ceiling-l.Live)/perMinute*60)
					}
				}
			})
		}
		y.sample(0)
	}
	server := httptest.NewServer(y.monitor.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(func() { y.monitor.Close() })
	return y, server.URL
}

func TestBrowser_Leaks(t *testing.T) {
	y, home := leaking(t)
	b := newBrowser(t)
	b.examine("leaking", home+"/leaks", streaming+` && document.querySelectorAll("#leaks article").length === 6 && document.querySelectorAll("#incidents tbody tr").length === 1`)
	first := read[string](b, `document.querySelector("#leaks article").innerText`)
	for _, want := range []string{"config_gen", "yard-2-49130", "leak suspected", "+1.3 MiB", "+1.2 MiB to +1.5 MiB", "+20.0 KiB", "2 h"} {
		if !strings.Contains(first, want) {
			t.Errorf("got the first card %q, want %q in it", first, want)
		}
	}
	if got := read[string](b, `document.querySelector("#leaks-verdict").innerText`); !strings.Contains(got, "config_gen is suspected of a leak, on 1 of 2 nodes.") {
		t.Errorf("got the sentence %q", got)
	}
	words := read[string](b, `document.querySelector("#leaks svg").getAttribute("aria-label")`)
	for _, want := range []string{"config_gen on yard-2-49130, live memory", "a leak of 1.3 MiB a minute is suspected, at least 1.2 MiB, at most 1.5 MiB", "at its ceiling in", " ago"} {
		if !strings.Contains(words, want) {
			t.Errorf("got the words %q, want %q in them", words, want)
		}
	}
	for name, want := range map[string]bool{"first": true, "last": false} {
		pick := map[string]string{"first": "0", "last": "5"}[name]
		if got := read[bool](b, `["band", "slope"].every((c) => document.querySelectorAll("#leaks article")[`+pick+`].querySelector("path." + c).getAttribute("d").length > 20)`); got != want {
			t.Errorf("%s card: got a slope with its band %v, want %v", name, got, want)
		}
	}
	// Live: it gets better, and the page says so by itself.
	for _, id := range []string{"yard-1-48213", "yard-2-49130"} {
		y.clock = time.Now()
		y.node(id, func(n *broker.Node) {
			n.Leaks = []broker.NodeLeak{{Kind: "config_gen", Live: 14 << 20, Ceiling: 256 << 20}}
		})
	}
	y.sample(0)
	b.await(`document.querySelector("#leaks-verdict").dataset.level === "ok" && document.querySelector("#incidents tbody").innerText.includes("ended")`)
	b.clean(home)
}

func TestBrowser_Login(t *testing.T) {
	y := newYard(t, locked)
	y.node("yard-1")
	y.sample(0)
	server := httptest.NewServer(y.monitor.Handler())
	defer server.Close()
	defer y.monitor.Close()
	b := newBrowser(t)
	asked := `location.pathname === "/login" && document.activeElement.id === "password"`
	b.examine("login", server.URL+"/queues", asked)
	b.look(1440, 900, "light")
	b.open(server.URL + "/nodes")
	b.await(asked)
	// By keyboard alone, with the session's cookie out of every script's reach.
	b.press(testPassword)
	b.press(kb.Enter)
	b.await(`location.pathname === "/nodes" && ` + streaming + ` && document.querySelectorAll("#nodes article").length === 1`)
	if got := read[string](b, `document.cookie`); got != "" {
		t.Errorf("got %q, want a cookie that no script can read", got)
	}
	b.picture("signed-in-wide-light")
	b.look(360, 740, "dark")
	b.fits(360)
	for _, fault := range append(read[[]string](b, contrast), read[[]string](b, accessible)...) {
		t.Errorf("signed in: %s", fault)
	}
	b.open(server.URL + "/login?next=/queues") // as from a link on another site
	b.await(`location.pathname === "/queues" && ` + streaming)
	b.clean(server.URL)
	// The session ends while a page is open: the page asks again.
	y.clock = y.clock.Add(sessionFor + time.Minute)
	y.monitor.live.close()
	y.monitor.live.mu.Lock()
	y.monitor.live.closed = false
	y.monitor.live.mu.Unlock()
	b.await(asked + ` && document.querySelector("[name=next]").value === "/queues"`)
	b.press("wrong password")
	b.press(kb.Enter)
	b.await(`document.readyState === "complete" && document.querySelector("[role=alert]")?.textContent === "That is not the password."`)
	b.picture("login-wrong-narrow-dark")
	for _, fault := range append(read[[]string](b, contrast), read[[]string](b, accessible)...) {
		t.Errorf("a wrong password: %s", fault)
	}
	b.press(testPassword)
	b.press(kb.Enter)
	b.await(`location.pathname === "/queues" && ` + streaming)
	b.click("#sign-out button")
	b.await(asked)
	b.open(server.URL + "/queues")
	b.await(asked)
}
