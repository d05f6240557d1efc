package webhooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/jobyard/jobyard/internal/trace"
)

const (
	callTimeout = 10 * time.Second
	dialTimeout = 5 * time.Second
	maxAnswer   = 4 << 10
)

// errPrivate tells that an endpoint leads to an address that is not public.
var errPrivate = errors.New("the address is not a public one")

// caller makes one call.
type caller struct{ client *http.Client }

// newCaller looks at every address in the moment it is connected to, whatever
// its name was resolved to before; no proxy stands between, and no redirect is
// followed.
func newCaller(private bool) *caller {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !private && !public(at.Addr()) {
			return errPrivate
		}
		return nil
	}}
	return &caller{&http.Client{
		Timeout: callTimeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
			MaxResponseHeaderBytes: 32 << 10, DisableCompression: true, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// reserved are networks that are not public beside those that netip knows.
func reserved() []netip.Prefix {
	all := []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10", "::/96",
	}
	prefixes := make([]netip.Prefix, len(all))
	for i, text := range all {
		prefixes[i] = netip.MustParsePrefix(text)
	}
	return prefixes
}

func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.Zone() != "" {
		return false
	}
	for _, p := range reserved() {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// call posts a delivery. It returns the status and, unless that is a 2xx, what
// went wrong, without a word of what the endpoint answered.
func (c *caller) call(ctx context.Context, e Endpoint, d Delivery, m Master, now time.Time) (int, string) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(d.Body))
	if err != nil {
		return 0, "the address cannot be used"
	}
	timestamp := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Jobyard-Webhook")
	r.Header.Set("Webhook-Id", d.ID)
	r.Header.Set("Webhook-Timestamp", timestamp)
	r.Header.Set("Webhook-Signature", m.sign(e, d.ID, timestamp, d.Body))
	trace.ToHTTP(ctx, r.Header)
	answer, err := c.client.Do(r)
	if err != nil {
		return 0, plain(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer)) // so that the connection can be used again
	if answer.StatusCode/100 != 2 {
		return answer.StatusCode, fmt.Sprintf("the endpoint answered %d", answer.StatusCode)
	}
	return answer.StatusCode, ""
}

// plain says what went wrong without addresses, which may hold secrets.
func plain(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, errPrivate):
		return errPrivate.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer within " + callTimeout.String()
	case errors.As(err, &dns):
		return "the name cannot be resolved"
	case errors.As(err, &op):
		return "the connection failed: " + op.Op
	}
	return "the call failed"
}
