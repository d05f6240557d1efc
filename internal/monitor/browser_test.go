//go:build browser

// The browser tests open the page in Debian's Chromium:
//
//	go test -tags browser -run Browser ./internal/monitor
//
// They keep their pictures where JOBYARD_PICTURES says. With -update,
// TestBrowser_EveryPage writes those in docs/ anew, of a yard at work.
package monitor

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/jobyard/jobyard/internal/broker"
)

var update = flag.Bool("update", false, "write the pictures in docs/ anew")

// browser is one Chromium and what it complained of.
type browser struct {
	tb  testing.TB
	ctx context.Context //nolint:containedctx // chromedp's handle of the browser

	mu       sync.Mutex
	faults   []string
	requests []string
}

func newBrowser(tb testing.TB) *browser {
	tb.Helper()
	binary, err := exec.LookPath("chromium")
	if err != nil {
		tb.Skip("chromium is not installed")
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(binary), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := context.WithTimeout(tb.Context(), 5*time.Minute)
	tb.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, flags...)
	tb.Cleanup(stop)
	b := &browser{tb: tb}
	ctx, end := chromedp.NewContext(ctx, chromedp.WithListener(b.notice))
	tb.Cleanup(end)
	b.ctx = ctx
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	return b
}

func (b *browser) notice(e any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.faults = append(b.faults, fmt.Sprintf("console %s: %s", e.Type, e.Args[0].Value))
	case *log.EventEntryAdded:
		b.faults = append(b.faults, fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL))
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	}
}

func call[P, R any](b *browser, cmd cdp.Command[P, R], params P) {
	b.tb.Helper()
	if _, err := chromedp.Call(b.ctx, cmd, params); err != nil {
		b.tb.Fatalf("%s: %v", cmd.Method, err)
	}
}

func (b *browser) open(url string) {
	b.tb.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(url)); err != nil {
		b.tb.Fatalf("open %s: %v", url, err)
	}
}

// patient is how long a page may take: the machine may be busy.
const patient = 90 * time.Second

// await waits until an expression of the page is true. It is asked anew each
// time, because the page may go elsewhere meanwhile.
func (b *browser) await(expression string) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patient)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if err == nil && is {
			return
		}
		if ctx.Err() == nil {
			<-tick.C
			continue
		}
		said, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + ": " + [...document.querySelectorAll("#problem, #announce, #ask, #link")].map((e) => e.id + (e.open ? " open: " : ": ") + e.innerText).join("; ")`))
		b.mu.Lock() // not before: what the browser says meanwhile takes it, too
		defer b.mu.Unlock()
		b.tb.Fatalf("await %s: %v; complaints: %q; it says %q", expression, err, b.faults, said)
	}
}

func read[T any](b *browser, expression string) T {
	b.tb.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.tb.Fatalf("read %s: %v", expression, err)
	}
	return v
}

// clean fails if the page complained or asked another host for something.
func (b *browser) clean(home string) {
	b.tb.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		b.tb.Errorf("the browser complained: %s", f)
	}
	at, err := url.Parse(home)
	if err != nil {
		b.tb.Fatal(err)
	}
	if len(b.requests) == 0 {
		b.tb.Error("no request was seen: the listener is deaf")
	}
	for _, r := range b.requests {
		if u, err := url.Parse(r); err != nil || u.Scheme != "data" && u.Scheme != "about" && u.Host != at.Host {
			b.tb.Errorf("it asked another host: %s", r)
		}
	}
}

func (b *browser) look(width, height int64, scheme string) {
	b.tb.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600,
	})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// fits fails if something reaches over the screen's edge. (A phone would zoom
// out then, so its own idea of the width does not tell.)
func (b *browser) fits(width int64) {
	b.tb.Helper()
	if got := read[int64](b, `document.documentElement.scrollWidth`); got > width {
		b.tb.Errorf("the page is %d px wide, and the screen %d", got, width)
	}
}

// picture keeps a screenshot of the whole page.
func (b *browser) picture(name string) {
	b.tb.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.tb.Fatal(err)
	}
	dir := os.Getenv("JOBYARD_PICTURES")
	if dir == "" {
		dir = b.tb.TempDir()
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.tb.Fatal(err)
	}
}

// playedHour is a yard with an hour behind it, served.
func playedHour(t *testing.T, nodes int, minutes int) (*load, string) {
	t.Helper()
	y := newYard(t)
	y.clock = time.Now().Add(-time.Duration(minutes) * time.Minute)
	l := newLoad(y, nodes)
	const step = 10 * time.Second
	for range minutes * 6 {
		l.clock = l.clock.Add(step)
		l.step(step)
		l.sample(0)
	}
	server := httptest.NewServer(y.monitor.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(func() { y.monitor.Close() })
	return l, server.URL
}

const settled = `document.querySelector("#link").dataset.state === "live" && document.querySelectorAll("#kinds article").length === 4`

func TestBrowser_Page(t *testing.T) {
	l, home := playedHour(t, 4, 20)
	b := newBrowser(t)
	for _, scheme := range []string{"light", "dark"} {
		for name, size := range map[string][2]int64{"wide": {1440, 900}, "narrow": {360, 740}, "middle": {820, 1180}} {
			b.look(size[0], size[1], scheme)
			b.open(home)
			b.await(settled)
			l.step(2 * time.Second)
			l.sample(2 * time.Second)
			b.await(`document.querySelectorAll("#nodes article").length === 4`)
			b.picture("page-" + name + "-" + scheme)
			b.fits(size[0])
			for _, p := range read[[]string](b, contrast) {
				t.Errorf("%s %s: contrast under 4.5: %s", name, scheme, p)
			}
		}
	}
	b.clean(home)
}

// contrast lists the texts whose color is too near to what is behind them.
const contrast = `(() => {
  const numbers = (c) => c.match(/[\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
  const bad = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !e.offsetParent || e.closest("noscript, .skip")) continue;
    const a = light(numbers(getComputedStyle(e).color)), z = light(behind(e));
    const ratio = (Math.max(a, z) + 0.05) / (Math.min(a, z) + 0.05);
    if (ratio < 4.5) bad.add(e.tagName + "." + e.className + " " + ratio.toFixed(2) + " " + walk.currentNode.data.trim().slice(0, 30));
  }
  return [...bad];
})()`

func TestBrowser_Trouble(t *testing.T) {
	l, home := playedHour(t, 4, 10)
	b := newBrowser(t)
	b.look(1440, 900, "light")
	b.open(home)
	b.await(settled)
	waiting, err := l.client.Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.enqueue("search", 500-int(waiting[0].Waiting()))
	l.nodes[1].RSS, l.nodes[1].Budget.Rest, l.nodes[1].SeenAt = 470<<20, 0.3, l.clock.Add(20*time.Second)
	if err := l.broker.PutNode(t.Context(), *l.nodes[1]); err != nil {
		t.Fatal(err)
	}
	l.nodes[0].State, l.nodes[0].SeenAt = "draining", l.clock.Add(20*time.Second)
	if err := l.broker.PutNode(t.Context(), *l.nodes[0]); err != nil {
		t.Fatal(err)
	}
	l.sample(20 * time.Second)
	l.sample(patience) // it has lasted
	b.await(`document.querySelector("#verdict").dataset.level === "bad"`)
	b.await(`[...document.querySelectorAll("#nodes .chip.warn")].some((e) => e.textContent === "slowed by its processors")`)
	b.picture("trouble-wide-light")
	b.look(360, 740, "dark")
	b.picture("trouble-narrow-dark")
	for _, p := range read[[]string](b, contrast) {
		t.Errorf("contrast under 4.5: %s", p)
	}
	b.clean(home)
}

func TestBrowser_HostileNames(t *testing.T) {
	y := newYard(t)
	evil := `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>` + strings.Repeat("W", 60)
	y.node(evil)
	y.node("__proto__", func(n *broker.Node) { n.Host, n.State, n.Isolation = evil, evil, evil })
	y.node("silent", func(n *broker.Node) { n.SeenAt = n.SeenAt.Add(-time.Minute) })
	y.node(strings.Repeat("n", 79), func(n *broker.Node) { n.SeenAt = n.SeenAt.Add(-time.Minute) })
	y.sample(0)
	server := httptest.NewServer(y.monitor.Handler())
	defer server.Close()
	defer y.monitor.Close()
	b := newBrowser(t)
	for _, width := range []int64{360, 1440} {
		b.look(width, 900, "light")
		b.open(server.URL)
		b.await(settled)
		b.picture(fmt.Sprintf("hostile-%d", width))
		b.fits(width)
	}
	if got := read[string](b, `document.querySelector("#nodes h3").textContent`); !strings.HasPrefix(got, "<img src=x") {
		t.Errorf("got the name %q, want it as text", got)
	}
	if read[int](b, `document.querySelectorAll("main img, main script").length`) > 0 || read[string](b, `document.title`) == "owned" {
		t.Error("a name became markup")
	}
	b.clean(server.URL)
}

func TestBrowser_RedisAway(t *testing.T) {
	r := startRedis(t)
	y := openYard(t, r.open(t))
	y.enqueue("search", 40)
	y.node("a")
	y.sample(0)
	r.stop()
	y.sample(2 * time.Second)
	server := httptest.NewServer(y.monitor.Handler())
	defer server.Close()
	defer y.monitor.Close()
	b := newBrowser(t)
	b.look(1440, 900, "light")
	b.open(server.URL)
	b.await(`document.querySelector("#link").dataset.state === "Redis is away" && document.querySelectorAll("#nodes article").length === 1`)
	b.picture("redis-away-wide-light")
	for _, p := range read[[]string](b, contrast) {
		t.Errorf("contrast under 4.5: %s", p)
	}
	b.clean(server.URL)
}

func TestBrowser_ManyNodes(t *testing.T) {
	_, home := playedHour(t, 14, 30)
	b := newBrowser(t)
	b.look(1920, 1080, "dark")
	b.open(home)
	b.await(settled)
	b.picture("many-wide-dark")
	b.fits(1920)
	b.clean(home)
}

func TestBrowser_ComesBackByItself(t *testing.T) {
	l, home := playedHour(t, 2, 5)
	b := newBrowser(t)
	b.look(1440, 900, "dark")
	b.open(home)
	b.await(settled)
	l.monitor.live.close() // every stream ends, and new ones are refused
	b.await(`document.querySelector("#link").dataset.state === "reconnecting"`)
	b.picture("reconnecting-wide-dark")
	if got := read[string](b, `document.querySelector("#link").innerText`); !strings.Contains(got, "last sample") {
		t.Errorf("got %q, want the time of the last sample", got)
	}
	l.monitor.live.mu.Lock()
	l.monitor.live.closed = false
	l.monitor.live.mu.Unlock()
	b.await(settled)
}

func TestBrowser_TellsTheFigureUnderThePointer(t *testing.T) {
	_, home := playedHour(t, 2, 5)
	b := newBrowser(t)
	b.look(1440, 900, "light")
	b.open(home)
	b.await(settled)
	where := read[[]float64](b, `(() => { const r = document.querySelector(".chart.tall svg").getBoundingClientRect(); return [r.left + r.width - 20, r.top + 30]; })()`)
	if err := chromedp.Do(b.ctx, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, where[0], where[1])); err != nil {
		t.Fatal(err)
	}
	b.await(`/^\d\d:\d\d:\d\d · .* MiB · .* MiB$/.test(document.querySelector(".chart.tall .readout").textContent)`)
	b.picture("pointer-wide-light")
	b.clean(home)
}

func TestBrowser_Newcomer(t *testing.T) {
	y := newYard(t)
	y.sample(0)
	server := httptest.NewServer(y.monitor.Handler())
	defer server.Close()
	defer y.monitor.Close()
	b := newBrowser(t)
	b.look(1440, 900, "light")
	b.open(server.URL)
	b.await(settled)
	b.picture("newcomer-wide-light")
	hint := read[string](b, `document.querySelector("#no-nodes").innerText`)
	if !strings.Contains(hint, "No worker has reported yet") {
		t.Errorf("got hint %q, want one for a newcomer", hint)
	}
	b.clean(server.URL)
}

func TestBrowser_Asynqmon(t *testing.T) {
	y := newYard(t)
	y.enqueue("search", 30)
	y.sample(0)
	server := httptest.NewServer(y.monitor.Handler())
	defer server.Close()
	defer y.monitor.Close()
	b := newBrowser(t)
	b.look(1440, 900, "light")
	b.open(server.URL + "/asynqmon/")
	b.await(`document.body.innerText.includes("document_parse:bulk")`)
	b.picture("asynqmon-queues")
	b.open(server.URL + "/asynqmon/queues/search?status=pending")
	b.await(`document.body.innerText.includes("camera permission")`)
	b.picture("asynqmon-tasks")
	b.clean(server.URL)
}
