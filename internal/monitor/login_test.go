package monitor

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
)

const testPassword = "correct horse battery"

func locked(c *Config) { c.Password = testPassword }

// send asks a monitor; the body is a form.
func (y *testYard) send(method, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	y.tb.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	y.monitor.Handler().ServeHTTP(w, r)
	return w
}

// cookies are those that an answer sets.
func cookies(w *httptest.ResponseRecorder) []*http.Cookie {
	return (&http.Response{Header: w.Header()}).Cookies()
}

func with(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func from(address string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = address + ":1234" }
}

// signIn returns a session.
func (y *testYard) signIn() *http.Cookie {
	y.tb.Helper()
	got := y.send("POST", "/login", url.Values{"password": {testPassword}, "next": {"/queues?x=1"}}.Encode())
	if got.Code != http.StatusSeeOther || got.Header().Get("Location") != "/queues?x=1" || len(cookies(got)) != 1 {
		y.tb.Fatalf("got %d to %q with %v, want the page that was asked for", got.Code, got.Header().Get("Location"), cookies(got))
	}
	return cookies(got)[0]
}

func TestLogin_EverythingIsBehindIt(t *testing.T) {
	t.Parallel()
	y := newYard(t, locked)
	y.node("secret-node")
	y.sample(0)
	for _, path := range []string{"/healthz", "/readyz", "/login", "/page/style.css", "/page/icon.svg"} {
		if got := y.send("GET", path, ""); got.Code != 200 {
			t.Errorf("%s: got %d, want it open", path, got.Code)
		}
	}
	closed := []string{"/", "/queues", "/nodes", "/tasks", "/tasks/x", "/leaks", "/dead", "/api/overview", "/api/live", "/api/tasks", "/api/tasks/x", "/api/dead", "/metrics", "/scale", "/asynqmon", "/asynqmon/", "/asynqmon/api/queues", "/asynqmon/static/js/main.js", "/nothing", "/page/frame.html", "/page//../api/overview", "/login/../metrics", "//metrics"}
	for _, path := range closed {
		got := y.send("GET", path, "")
		body := got.Body.String()
		if got.Code != 401 && got.Code != 307 || strings.Contains(body, "secret-node") || strings.Contains(body, "jobyard_queue") {
			t.Errorf("%s: got %d %.80s, want 401", path, got.Code, body)
		}
		if strings.Contains(strings.ToLower(strings.Join(got.Header().Values("WWW-Authenticate"), " ")), "basic") {
			t.Errorf("%s: got a challenge that makes browsers ask by themselves", path)
		}
	}
	for _, path := range []string{"/api/tasks/x/cancel", "/api/nodes/secret-node/drain", "/api/dead/replay", "/asynqmon/api/queues/search:pause", "/healthz", "/metrics"} {
		if got := y.send("POST", path, ""); got.Code != 401 {
			t.Errorf("POST %s: got %d, want 401", path, got.Code)
		}
	}
	got := y.send("GET", "/nodes?a=b", "", with("Accept", "text/html,*/*"))
	if got.Code != 303 || got.Header().Get("Location") != "/login?next=%2Fnodes%3Fa%3Db" {
		t.Errorf("got %d to %q, want the login page", got.Code, got.Header().Get("Location"))
	}
	session := y.signIn()
	if !session.HttpOnly || session.SameSite != http.SameSiteStrictMode || session.MaxAge != 12*3600 || session.Path != "/" || session.Secure {
		t.Errorf("got the cookie %+v", session)
	}
	in := func(r *http.Request) { r.AddCookie(session) }
	for path, want := range map[string]int{"/": 200, "/leaks": 200, "/api/overview": 200, "/metrics": 200, "/scale": 200, "/asynqmon/api/queues": 200, "/login/session": 200, "/nothing": 404} {
		if got := y.send("GET", path, "", in); got.Code != want {
			t.Errorf("%s with a session: got %d, want %d", path, got.Code, want)
		}
	}
	page := y.send("GET", "/", "", in).Body.String()
	if !strings.Contains(page, `action="/logout"`) {
		t.Error("got no way to sign out")
	}
	out := y.send("POST", "/logout", "", in)
	if c := cookies(out); out.Code != 303 || len(c) != 1 || c[0].MaxAge >= 0 || c[0].Value != "" {
		t.Errorf("got %d, %v, want the cookie taken back", out.Code, c)
	}
	if strings.Contains(y.log.String(), testPassword) || strings.Contains(y.log.String(), session.Value) {
		t.Error("the log holds a secret")
	}
}

func TestLogin_Programs(t *testing.T) {
	t.Parallel()
	y := newYard(t, locked)
	y.sample(0)
	basic := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("prometheus:"+password))
	}
	for header, want := range map[string]int{
		"Bearer " + testPassword: 200, "bearer " + testPassword: 200, basic(testPassword): 200,
		"Bearer wrong": 401, "Bearer ": 401, basic(""): 401, "Digest x": 401, "Bearer " + testPassword + "x": 401,
	} {
		if got := y.send("GET", "/metrics", "", with("Authorization", header)); got.Code != want {
			t.Errorf("%s: got %d, want %d", header, got.Code, want)
		}
	}
}

func TestLogin_SessionsEnd(t *testing.T) {
	t.Parallel()
	y := newYard(t, locked)
	y.sample(0)
	session := y.signIn()
	in := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: sessionCookie, Value: value}) }
	}
	other, err := newSigner("another password")
	if err != nil {
		t.Fatal(err)
	}
	forged := []byte(session.Value)
	forged[3] ^= 1
	for name, value := range map[string]string{"forged": string(forged), "of another password": other.sign(y.clock.Add(time.Hour)), "empty": "", "short": "AAAA", "no base64": "%%%"} {
		if got := y.send("GET", "/api/overview", "", in(value)); got.Code != 401 {
			t.Errorf("%s: got %d, want 401", name, got.Code)
		}
	}
	same := openYard(t, y.broker, locked) // a second monitor with the same password
	same.sample(0)
	if got := same.send("GET", "/api/overview", "", in(session.Value)); got.Code != 200 {
		t.Errorf("at another monitor: got %d, want 200", got.Code)
	}
	y.clock = y.clock.Add(sessionFor - time.Second)
	if got := y.send("GET", "/api/overview", "", in(session.Value)); got.Code != 200 {
		t.Errorf("before its end: got %d, want 200", got.Code)
	}
	y.clock = y.clock.Add(2 * time.Second)
	if got := y.send("GET", "/api/overview", "", in(session.Value)); got.Code != 401 {
		t.Errorf("after its end: got %d, want 401", got.Code)
	}
}

// TestLogin_StreamEndsWithTheSession: who is signed out must not look on.
func TestLogin_StreamEndsWithTheSession(t *testing.T) {
	t.Parallel()
	y := newYard(t, locked)
	y.sample(0)
	session := y.monitor.login.sessions.sign(y.clock.Add(2 * time.Second))
	server := httptest.NewServer(y.monitor.Handler())
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: session})
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if raw, err := io.ReadAll(got.Body); err != nil || !strings.Contains(string(raw), "event: sample") {
		t.Errorf("got %.80s, %v, want samples and then the end", raw, err)
	}
}

func TestLogin_GuessesAreBounded(t *testing.T) {
	t.Parallel()
	y := newYard(t, locked)
	y.sample(0)
	guess := func(password, address string) *httptest.ResponseRecorder {
		return y.send("POST", "/login", url.Values{"password": {password}}.Encode(), from(address))
	}
	session := y.signIn()
	for i := range guessBurst {
		if got := guess("wrong", "192.0.2.1"); got.Code != 401 {
			t.Fatalf("guess %d: got %d, want 401", i, got.Code)
		}
	}
	got := guess(testPassword, "192.0.2.1")
	if got.Code != 429 || got.Header().Get("Retry-After") != "6" {
		t.Errorf("got %d, Retry-After %q: the right one must not be looked at either", got.Code, got.Header().Get("Retry-After"))
	}
	if got := y.send("GET", "/metrics", "", from("192.0.2.1"), with("Authorization", "Bearer "+testPassword)); got.Code != 429 {
		t.Errorf("by header: got %d, want 429", got.Code)
	}
	if got := y.send("GET", "/metrics", "", from("192.0.2.1"), func(r *http.Request) { r.AddCookie(session) }); got.Code != 200 {
		t.Errorf("who is signed in: got %d, want 200", got.Code)
	}
	if got := guess(testPassword, "192.0.2.2"); got.Code != 303 {
		t.Errorf("from elsewhere: got %d, want 303", got.Code)
	}
	y.clock = y.clock.Add(guessEvery)
	if got := guess(testPassword, "192.0.2.1"); got.Code != 303 {
		t.Errorf("later: got %d, want 303", got.Code)
	}
	for range 5 * guessBurst { // right ones cost nothing
		if got := guess(testPassword, "192.0.2.3"); got.Code != 303 {
			t.Fatalf("got %d, want 303", got.Code)
		}
	}
}

func TestGuesses_AreBoundedInAllAndInMemory(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	g := newGuesses()
	let := 0
	for i := range 1000 { // each from an address of its own
		if _, wait := g.take("[2001:db8:"+string("0123456789abcdef"[i/64])+":"+string("0123456789abcdef"[i/4%16])+string("048c"[i%4])+"::1]:99", now); wait == 0 {
			let++
		}
	}
	if let != allBurst {
		t.Errorf("got %d guesses of 1000 addresses, want %d", let, allBurst)
	}
	for i := range 2 * maxGuessers {
		g.take(netAddress(i), now)
	}
	if len(g.by) > maxGuessers+1 {
		t.Errorf("got %d addresses remembered, want %d at most", len(g.by), maxGuessers+1)
	}
	if guesser("[2001:db8::1]:1") != guesser("[2001:db8::2]:7") || guesser("192.0.2.1:1") == guesser("192.0.2.2:1") {
		t.Error("a guesser has a network of IPv6, and one address of IPv4")
	}
}

func netAddress(i int) string {
	return "10." + strings.Join([]string{digit(i >> 16), digit(i >> 8), digit(i)}, ".") + ":80"
}

func digit(i int) string {
	return string([]byte{byte('0' + i%256/100), byte('0' + i%256/10%10), byte('0' + i%10)})
}

// TestLogin_OtherSites: no page of another origin signs anybody in or out.
func TestLogin_OtherSites(t *testing.T) {
	t.Parallel()
	y := newYard(t, locked)
	y.sample(0)
	body := url.Values{"password": {testPassword}}.Encode()
	for _, path := range []string{"/login", "/logout"} {
		if got := y.send("POST", path, body, with("Origin", "https://evil.example")); got.Code != 403 {
			t.Errorf("%s: got %d, want 403", path, got.Code)
		}
	}
	session := y.signIn()
	got := y.send("POST", "/api/dead/delete", "{}", with("Sec-Fetch-Site", "cross-site"), func(r *http.Request) { r.AddCookie(session) })
	if got.Code != 403 {
		t.Errorf("an action: got %d, want 403", got.Code)
	}
	secure := cookies(y.send("POST", "/login", body, with("X-Forwarded-Proto", "https")))
	if len(secure) != 1 || !secure[0].Secure {
		t.Errorf("behind TLS: got %v, want a cookie that keeps to it", secure)
	}
}

func TestLogin_WaysBack(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/queues": "/queues", "/tasks?state=retry&kind=search": "/tasks?state=retry&kind=search", "": "/", "queues": "/",
		"//evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/", "/%2fevil.example": "/", "///evil.example": "/",
		"javascript:alert(1)": "/", "/a\nb": "/", "/login": "/", "/tasks/a%20b": "/tasks/a%20b",
	} {
		if got := within(next); got != want {
			t.Errorf("within(%q): got %q, want %q", next, got, want)
		}
	}
}

func FuzzWithin(f *testing.F) {
	for _, s := range []string{"/", "//x", `/\x`, "/%2f", "/a?b#c", "http:/x", "/\x00", "/.//x"} {
		f.Add(s)
	}
	base, err := url.Parse("http://monitor.example/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, next string) {
		got := within(next)
		u, err := base.Parse(got)
		if err != nil || u.Host != "monitor.example" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.HasPrefix(got, `/\`) {
			t.Errorf("within(%q): got %q", next, got)
		}
	})
}

func FuzzSession(f *testing.F) {
	s, err := newSigner(testPassword)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	own := s.sign(now.Add(time.Hour))
	f.Add(own)
	f.Add("")
	f.Fuzz(func(t *testing.T, session string) {
		if session != own && !s.until(session, now).IsZero() {
			t.Errorf("%q was let in", session)
		}
	})
}

func TestWelcome(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		listen, password string
		remote           bool
		want             string // empty: refused
	}{
		{"127.0.0.1:9090", "", false, "whoever is on this machine may look"},
		{"0.0.0.0:9090", "", false, ""},
		{"monitor.example:9090", "", false, ""},
		{"0.0.0.0:9090", "", true, "whoever reaches the address may look"},
		{"0.0.0.0:9090", testPassword, false, "who has the password may look"},
	} {
		c := DefaultConfig()
		c.Password, c.AllowRemote = tt.password, tt.remote
		got, err := c.Welcome(tt.listen)
		if (err != nil) != (tt.want == "") || !strings.HasSuffix(got, tt.want) || strings.Contains(got, testPassword) {
			t.Errorf("%+v: got %q, %v", tt, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), "--page-password-file") {
			t.Errorf("got %v, want what to do", err)
		}
	}
	c := DefaultConfig()
	c.Password = "short"
	if err := c.Validate(); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a short password: got %v, want a refusal that does not name it", err)
	}
}

func TestHistory_KeepsWhatStaysAlive(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.node("a@b", func(n *broker.Node) {
		n.Leaks = []broker.NodeLeak{{Kind: "search", Live: 3 << 20}, {Kind: "worker", Live: 7 << 20}}
	})
	y.sample(0)
	if got := line(t, y.monitor.history, "live", "search@a@b") + line(t, y.monitor.history, "live", "worker@a@b"); got != "[3][7]" {
		t.Errorf("got %s, want a curve for each kind", got)
	}
	var names []string
	for _, c := range y.monitor.history.past("live", "rss").Curves {
		names = append(names, c.What)
	}
	slices.Sort(names)
	if got := strings.Join(slices.Compact(names), " "); got != "live rss" {
		t.Errorf("got the curves %s, want those that were asked for", got)
	}
	if err := y.broker.Client().FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	y.sample(time.Minute)
	if got := line(t, y.monitor.history, "live", "search@a@b"); got != "" {
		t.Errorf("got %s of a node that is forgotten", got)
	}
}
