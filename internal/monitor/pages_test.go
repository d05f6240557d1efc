//go:build browser

package monitor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// shownPage is a page of the monitor and what is there once it has drawn itself.
type shownPage struct{ name, path, drawn string }

func shownPages(y *realYard) []shownPage {
	dead := y.dead()
	return []shownPage{
		{"overview", "/", `document.querySelectorAll("#kinds article").length === 4 && document.querySelectorAll("#nodes article").length >= 2`},
		{"queues", "/queues", `document.querySelectorAll("#queues tbody tr").length === 8 && document.querySelectorAll("#plan tbody tr").length === 4`},
		{"nodes", "/nodes", `document.querySelectorAll("#nodes article .runners td").length > 0`},
		{"tasks", "/tasks", `document.querySelectorAll("#tasks tbody tr").length > 10`},
		{"task", "/tasks/" + dead, `document.querySelector("#state").textContent === "archived" && document.querySelectorAll("#timeline li").length >= 3`},
		{"leaks", "/leaks", `document.querySelectorAll("#leaks article").length >= 2`},
		{"cache", "/cache", `document.querySelectorAll("#tiers article tbody td").length >= 12 && document.querySelectorAll("#cached tbody tr").length === 4`},
		{"dead", "/dead", `document.querySelectorAll("#dead tbody tr").length > 0`},
	}
}

// screens are those that every page must fit: a desk's, and a small phone's.
var screens = map[string][2]int64{"wide": {1440, 900}, "narrow": {360, 740}}

const streaming = `document.querySelector("#link").dataset.state === "live"`

// TestBrowser_EveryPage walks all pages of a yard that works, on a wide and a
// narrow screen, in light and dark. With -update its pictures go to docs/.
func TestBrowser_EveryPage(t *testing.T) {
	b := newBrowser(t)
	y := openRealYard(t, 2, mayChange)
	pages := shownPages(y)
	for _, p := range pages {
		b.examine(p.name, y.home+p.path, streaming+" && "+p.drawn)
	}
	b.clean(y.home)
	if *update {
		b.look(1440, 900, "light")
		y.handAgain(20)
		for i := range 300 { // so that something waits: none has the result of another
			y.hand(tasks.DocumentParse.New(tasks.DocumentParsePayload{Source: tasks.DocumentSource{Text: fmt.Sprintf("# Guide %d\n\n", i) + strings.Repeat("# A\n\nmany words here\n\n", 20_000)}}))
		}
		for _, p := range pages {
			b.open(y.home + p.path)
			b.await(streaming + " && " + p.drawn)
			b.keep(p.name)
		}
	}
}

// keep writes what is on the screen into docs/.
func (b *browser) keep(name string) {
	b.tb.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join("..", "..", "docs", "monitor-"+name+".png"), png, 0o644)
	}
	if err != nil {
		b.tb.Fatal(err)
	}
}

// accessible lists what a screen reader or a keyboard would stumble over.
const accessible = `(() => {
  const bad = [];
  const shown = (e) => e.checkVisibility({ visibilityProperty: true });
  const name = (e) => {
    const by = (e.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
    const label = e.labels?.[0]?.innerText.trim();
    return by || e.getAttribute("aria-label") || label || e.innerText?.trim() || e.title || e.querySelector?.("img")?.alt;
  };
  const what = (e) => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + "." + e.className;
  if (!document.documentElement.lang) bad.push("the document names no language");
  if (!document.title) bad.push("the document has no title");
  if (document.querySelectorAll("h1").length !== 1) bad.push("there is not one h1");
  if (document.querySelectorAll("main").length !== 1) bad.push("there is not one main");
  let last = 0;
  for (const h of document.querySelectorAll("main :is(h1,h2,h3,h4)")) {
    const n = +h.tagName[1];
    if (shown(h) && n > last + 1) bad.push("a heading is skipped before " + what(h) + " " + h.textContent.slice(0, 20));
    if (shown(h)) last = n;
  }
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) bad.push("two elements have the id " + id);
  for (const e of document.querySelectorAll("a, button, input, select, textarea, [role=img], [role=meter], [tabindex]:not(main)"))
    if (shown(e) && !name(e)) bad.push("no name: " + what(e));
  for (const e of document.querySelectorAll("img:not([alt])")) bad.push("no alt: " + what(e));
  for (const a of ["aria-labelledby", "aria-describedby", "aria-controls"])
    for (const e of document.querySelectorAll("[" + a + "]"))
      for (const id of e.getAttribute(a).split(" ")) if (!document.getElementById(id)) bad.push(a + " names nothing: " + id);
  for (const e of document.querySelectorAll("[role=meter]"))
    if (!e.hasAttribute("aria-valuenow") || +e.ariaValueNow > +e.ariaValueMax) bad.push("a meter without a fitting value: " + what(e));
  for (const e of document.querySelectorAll("table")) if (!name(e) && !e.caption) bad.push("a table without a name: " + what(e));
  for (const e of document.querySelectorAll("th")) if (!e.scope) bad.push("a heading cell without a scope: " + e.textContent);
  for (const e of document.querySelectorAll("[tabindex]")) if (e.tabIndex > 0) bad.push("a tab order of its own: " + what(e));
  const parts = document.querySelectorAll("body > :not(header, main, a.skip, dialog, [role=status], script)");
  for (const e of parts) if (shown(e) && e.innerText.trim()) bad.push("outside every landmark: " + what(e));
  if (innerWidth < 600)
    for (const e of document.querySelectorAll("button, select, .menu a")) {
      const r = e.getBoundingClientRect();
      if (shown(e) && (r.height < 24 || r.width < 24)) bad.push("too small for a finger: " + what(e));
    }
  return bad;
})()`

func (b *browser) press(keys string) {
	b.tb.Helper()
	if err := chromedp.Do(b.ctx, chromedp.KeyEvent(keys)); err != nil {
		b.tb.Fatal(err)
	}
}

// TestBrowser_ByKeyboard goes through each page with the tab key: the first
// stop skips the menu, and each shows where it is.
func TestBrowser_ByKeyboard(t *testing.T) {
	b := newBrowser(t)
	y := openRealYard(t, 2, mayChange)
	b.look(1440, 900, "light")
	for _, p := range shownPages(y) {
		b.open(y.home + p.path)
		b.await(streaming + " && " + p.drawn)
		b.press(kb.Tab)
		if got := read[string](b, `document.activeElement.className`); got != "skip" {
			t.Errorf("%s: the first stop is %q, want the link that skips the menu", p.name, got)
		}
		for range 12 {
			b.press(kb.Tab)
			if got := read[string](b, `(() => { const e = document.activeElement, s = getComputedStyle(e);
			  return e === document.body || (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2) ? "" : e.tagName + "." + e.className; })()`); got != "" {
				t.Errorf("%s: %s does not show that it has the focus", p.name, got)
			}
		}
	}
	b.clean(y.home)
}

// TestBrowser_Actions does everything that changes something, with no mouse.
func TestBrowser_Actions(t *testing.T) {
	b := newBrowser(t)
	y := openRealYard(t, 1, mayChange)
	b.look(1440, 900, "light")
	later, err := tasks.Search.New(tasks.SearchPayload{Query: "much later"}, tasks.WithDelay(time.Hour), tasks.WithID("much-later"))
	y.hand(later, err)

	b.open(y.home + "/tasks/much-later")
	b.await(`document.querySelector("#state").textContent === "scheduled" && !document.querySelector("#cancel").hidden`)
	b.byKey("#cancel")
	b.await(`document.querySelector("#ask").open && document.activeElement.value === "no"`)
	b.press(kb.Escape)
	b.await(`!document.querySelector("#ask").open && document.querySelector("#state").textContent === "scheduled"`)
	b.byKey("#cancel")
	b.await(`document.querySelector("#ask").open`)
	b.picture("ask-wide-light")
	b.byKey("#ask-yes")
	b.await(`document.querySelector("#state").textContent === "canceled"`)

	b.open(y.home + "/nodes")
	b.await(streaming + ` && document.querySelector("#nodes article button")`)
	b.byKey("#nodes article button")
	b.await(`document.querySelector("#ask").open`)
	b.byKey("#ask-yes")
	b.await(`["draining", "drained"].includes(document.querySelector("#nodes .chip").textContent)`)
	b.await(`document.querySelector("#nodes article button").textContent === "Let it go on"`)
	b.picture("drained-wide-light")
	y.hand(tasks.Search.New(tasks.SearchPayload{Query: "who takes this"}, tasks.WithID("waits")))
	b.open(y.home + "/tasks/waits")
	b.await(`document.querySelector("#blocks").textContent.includes("asked to drain")`)
	b.picture("why-wide-light")
	b.open(y.home + "/nodes")
	b.await(streaming + ` && document.querySelector("#nodes article button")?.textContent === "Let it go on"`)
	b.byKey("#nodes article button")
	b.await(`document.querySelector("#nodes .chip").textContent === "up"`)

	lost := y.dead()
	b.open(y.home + "/tasks/" + lost)
	b.await(`document.querySelector("#retry").textContent === "Replay" && !document.querySelector("#retry").hidden`)
	b.byKey("#retry")
	b.await(`document.querySelector("#announce").textContent === "The task is back in its queue."`)
	b.await(`document.querySelector("#state").textContent === "archived" && !document.querySelector("#edit").hidden`) // it fails again
	b.byKey("#edit")
	b.await(`document.activeElement.id === "edited" && document.activeElement.value.startsWith("{")`)
	b.picture("edit-wide-light")
	for _, fault := range append(read[[]string](b, contrast), read[[]string](b, accessible)...) {
		t.Errorf("the editor: %s", fault)
	}
	read[bool](b, `(() => { const e = document.querySelector("#edited"); e.value = "{"; return true; })()`)
	b.byKey("#editor button.strong")
	b.await(`document.querySelector("#edited-problem").innerText.startsWith("That is no JSON")`)
	b.byKey("#edit-no")
	b.await(`document.querySelector("#editor").hidden && document.activeElement.id === "edit"`)
	b.byKey("#edit")
	mended := read[bool](b, `(() => {
	  if (document.querySelector("#where").textContent !== "config_gen") return false; // it is tried again as it is
	  document.querySelector("#edited").value = '{"template": "dotenv", "parameters": {"variables": [{"name": "PORT", "value": "8080"}]}}';
	  return true; })()`)
	b.byKey("#editor button.strong")
	b.await(`document.querySelector("#announce").textContent.includes("with the new payload") && document.querySelector("#editor").hidden`)
	if mended {
		b.await(`document.querySelector("#state").textContent === "completed"`)
	}

	b.open(y.home + "/dead")
	b.await(`document.querySelectorAll("#dead tbody button").length > 1`)
	b.byKey(`#dead tbody button[aria-label^="Replay"]`)
	b.await(`document.querySelector("#ask").open && document.activeElement.value === "no"`)
	b.byKey("#ask-yes")
	b.await(`/^[1-9][0-9,]* replayed/.test(document.querySelector("#announce").textContent)`)
	b.await(`document.querySelectorAll("#dead tbody button").length > 1`) // they fail again
	before := read[int](b, `document.querySelectorAll("#dead tbody tr").length`)
	b.byKey(`#dead tbody button[aria-label^="Delete"]`)
	b.await(`document.querySelector("#ask").open`)
	b.byKey("#ask-yes")
	b.await(`document.querySelector("#announce").textContent.includes("deleted")`)
	if before < 1 {
		t.Errorf("got %d groups, want some", before)
	}
	brokertest.Until(t, "the task is taken after all", func() bool {
		got, err := y.client.Status(t.Context(), "waits")
		return err == nil && got.State == tasks.Completed
	})
	b.clean(y.home)
}

// byKey goes to an element with the tab key, and presses it.
func (b *browser) byKey(selector string) {
	b.tb.Helper()
	for range 200 {
		if read[bool](b, "document.activeElement.matches(`"+selector+"`)") {
			b.press(kb.Enter)
			return
		}
		b.press(kb.Tab)
	}
	b.tb.Fatalf("%s cannot be reached with the tab key", selector)
}

func (b *browser) click(selector string) {
	b.tb.Helper()
	read[bool](b, `(() => { document.querySelector(`+"`"+selector+"`"+`).click(); return true; })()`)
}

// TestBrowser_ReadOnly: without leave no page has a button that changes things.
func TestBrowser_ReadOnly(t *testing.T) {
	b := newBrowser(t)
	y := openRealYard(t, 2)
	b.look(1440, 900, "light")
	for _, p := range shownPages(y) {
		b.open(y.home + p.path)
		b.await(streaming + " && " + p.drawn)
		got := read[[]string](b, `[...document.querySelectorAll("main button")].filter((e) => e.checkVisibility() && !e.closest("form") && !["next", "previous"].includes(e.id)).map((e) => e.innerText)`)
		if len(got) > 0 {
			t.Errorf("%s: got buttons %q, want none", p.name, got)
		}
	}
	b.clean(y.home)
}
