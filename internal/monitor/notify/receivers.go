package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config says who is told.
type Config struct {
	// Webhook is an address that gets a POST for each change; empty for none.
	Webhook string
	// WebhookSecret signs what is sent there; empty for no signature.
	WebhookSecret string
	// Alertmanager is the base address of an Alertmanager; empty for none.
	Alertmanager string
	// Page is where the monitor's page is, for those who are told; may be empty.
	Page string
}

// Validate reports every address that cannot be one.
func (c Config) Validate() error {
	check := func(name, address string) error {
		if address == "" {
			return nil
		}
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			// The address may hold a secret: it is not repeated.
			return fmt.Errorf("alerts: %s must be an address as https://host/path", name)
		}
		return nil
	}
	secret := error(nil)
	if c.WebhookSecret != "" && len(c.WebhookSecret) < 16 {
		secret = errors.New("alerts: the webhook's secret must have 16 characters or more")
	}
	return errors.Join(check("webhook", c.Webhook), check("alertmanager", c.Alertmanager), check("page", c.Page), secret)
}

// poster posts JSON to one address.
type poster struct {
	client  *http.Client
	address string
}

func newPoster(address string) poster {
	return poster{address: address, client: &http.Client{
		Timeout:       sendTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (p poster) post(ctx context.Context, body []byte, header http.Header) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.address, bytes.NewReader(body))
	if err != nil {
		return errors.New("the address cannot be called")
	}
	maps.Copy(r.Header, header)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "jobyard-monitor")
	answer, err := p.client.Do(r)
	if err != nil {
		// The library's error repeats the address, which may hold a secret.
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("post to %s: %w", r.URL.Host, err)
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 300)) // what it says is only for the log
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("post to %s: it answered %d: %s", r.URL.Host, answer.StatusCode, strings.ToValidUTF8(strings.TrimSpace(string(said)), "?"))
	}
	return nil
}

// SignatureHeader carries "t=<unix seconds>,v1=<hex>", the HMAC-SHA256 of the
// seconds, a dot and the body under the webhook's secret.
const SignatureHeader = "Jobyard-Signature"

// Signature signs a body at a time.
func Signature(secret string, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

type webhook struct {
	poster
	secret, page string
	now          func() time.Time
}

func newWebhook(cfg Config) *webhook {
	return &webhook{poster: newPoster(cfg.Webhook), secret: cfg.WebhookSecret, page: cfg.Page, now: time.Now}
}

// send posts the changes.
func (w *webhook) send(ctx context.Context, changes, _ []Notice) error {
	if len(changes) == 0 {
		return nil
	}
	body, err := json.Marshal(struct {
		Version int      `json:"version"`
		Page    string   `json:"page,omitempty"`
		Alerts  []Notice `json:"alerts"`
	}{1, w.page, changes})
	if err != nil {
		return fmt.Errorf("encode alerts: %w", err)
	}
	header := http.Header{}
	if w.secret != "" {
		header.Set(SignatureHeader, Signature(w.secret, w.now(), body))
	}
	return w.post(ctx, body, header)
}

const (
	// resendEvery is how often Alertmanager hears what is wrong, and lapseAfter
	// how long it believes that without hearing it again.
	resendEvery = time.Minute
	lapseAfter  = 4 * time.Minute
)

// alertmanager speaks Alertmanager's API, version 2.
type alertmanager struct {
	poster
	page string
	now  func() time.Time
}

func newAlertmanager(cfg Config) *alertmanager {
	return &alertmanager{poster: newPoster(strings.TrimSuffix(cfg.Alertmanager, "/") + "/api/v2/alerts"), page: cfg.Page, now: time.Now}
}

// posted is one alert as Alertmanager takes it.
type posted struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

var severities = map[string]string{"warn": "warning", "bad": "critical"}

// send posts all that is wrong, and what is over.
func (a *alertmanager) send(ctx context.Context, changes, all []Notice) error {
	now := a.now()
	list := make([]posted, 0, len(all)+len(changes))
	add := func(n Notice, ends time.Time) {
		list = append(list, posted{
			// The severity is no label: one that rises would be another alert.
			Labels:      map[string]string{"alertname": "jobyard_" + n.Rule, "service": "jobyard", "subject": n.Subject},
			Annotations: map[string]string{"summary": n.Text, "description": n.Detail, "severity": severities[n.Level], "runbook": n.Runbook},
			StartsAt:    n.Since, EndsAt: ends, GeneratorURL: a.page,
		})
	}
	for _, n := range all {
		add(n, now.Add(lapseAfter))
	}
	for _, n := range changes {
		if n.Resolved {
			add(n, now)
		}
	}
	body, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode alerts: %w", err)
	}
	return a.post(ctx, body, nil)
}
