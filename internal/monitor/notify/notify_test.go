package notify

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

func notice(rule, level string) Notice {
	return Notice{ID: NoticeID(rule, ""), Rule: rule, Level: level, Text: rule, Detail: "d", Since: time.Unix(1_800_000_000, 0)}
}

// heard is what a receiver was told, as "rule level" or "rule over".
type heard struct {
	mu    sync.Mutex
	words []string
	fail  bool
}

func (h *heard) send(_ context.Context, changes, _ []Notice) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail {
		return io.ErrUnexpectedEOF
	}
	for _, n := range changes {
		if n.Resolved {
			h.words = append(h.words, n.Rule+" over")
		} else {
			h.words = append(h.words, n.Rule+" "+n.Level)
		}
	}
	return nil
}

func (h *heard) want(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if got := strings.Join(h.words, ", "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	h.words = nil
}

func TestDispatcher(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &heard{}
		d := &Dispatcher{receivers: []*receiver{newReceiver("test", h.send)}, log: zerolog.Nop()}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go d.Run(ctx)
		a, b := notice("a", "warn"), notice("b", "bad")
		d.Update([]Notice{a}, true)
		h.want(t, "a warn")
		d.Update([]Notice{a}, true)
		h.want(t, "")
		a.Level = "bad"
		d.Update([]Notice{a, b}, true)
		h.want(t, "a bad, b bad")
		d.Update([]Notice{b}, true)
		h.want(t, "a over")
		// While the receiver is away things come and go: it hears what lasts.
		h.fail = true
		d.Update([]Notice{a, b}, true)
		<-time.After(5 * time.Second)
		d.Update([]Notice{b}, true)
		d.Update(nil, true)
		h.mu.Lock()
		h.fail = false
		h.mu.Unlock()
		<-time.After(2 * time.Minute)
		h.want(t, "b over")
		// Another monitor leads: we are silent, and repeat what is wrong when we lead again.
		d.Update([]Notice{a}, false)
		h.want(t, "")
		d.Update([]Notice{a, b}, false)
		d.Update([]Notice{a}, true)
		h.want(t, "a bad, b over")
	})
}

func TestWebhook_IsSigned(t *testing.T) {
	t.Parallel()
	const secret = "a secret of some length"
	var got struct {
		Version int
		Alerts  []Notice
	}
	var fault string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if sig := r.Header.Get(SignatureHeader); sig != Signature(secret, time.Unix(1_800_000_000, 0), body) {
			fault = "signature " + sig
		}
		if err := json.Unmarshal(body, &got); err != nil {
			fault = err.Error()
		}
	}))
	defer server.Close()
	w := newWebhook(Config{Webhook: server.URL + "/hook?token=hunter22", WebhookSecret: secret})
	w.now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	if err := w.send(t.Context(), []Notice{notice("a", "bad")}, nil); err != nil || fault != "" || len(got.Alerts) != 1 || got.Version != 1 {
		t.Errorf("got %+v, %v, %s", got, err, fault)
	}
	server.Close()
	err := w.send(t.Context(), []Notice{notice("a", "bad")}, nil)
	if err == nil || strings.Contains(err.Error(), "hunter22") {
		t.Errorf("got %v, want an error without the address's secret", err)
	}
}

func TestAlertmanager(t *testing.T) {
	t.Parallel()
	var got []posted
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = nil
		if r.URL.Path != "/am/api/v2/alerts" || json.NewDecoder(r.Body).Decode(&got) != nil {
			t.Errorf("got %s %v", r.URL, got)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	a := newAlertmanager(Config{Alertmanager: server.URL + "/am/"})
	now := time.Unix(1_800_000_100, 0).UTC()
	a.now = func() time.Time { return now }
	over := notice("b", "warn")
	over.Resolved = true
	if err := a.send(t.Context(), []Notice{over}, []Notice{notice("a", "bad")}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Labels["alertname"] != "jobyard_a" || got[0].Annotations["severity"] != "critical" || !got[0].EndsAt.Equal(now.Add(lapseAfter)) || !got[1].EndsAt.Equal(now) {
		t.Errorf("got %+v", got)
	}
	status = http.StatusBadRequest
	if err := a.send(t.Context(), nil, []Notice{notice("a", "bad")}); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("got %v, want that it answered 400", err)
	}
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{Webhook: "hooks.example/x?token=hunter22"}, {Alertmanager: "ftp://a"}, {Page: "::"}, {Webhook: "https://a", WebhookSecret: "short"},
	} {
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%+v: got %v", c, err)
		}
	}
	if err := (Config{Webhook: "https://hooks.example/x", Alertmanager: "http://am:9093", WebhookSecret: "0123456789abcdef"}).Validate(); err != nil {
		t.Error(err)
	}
}
