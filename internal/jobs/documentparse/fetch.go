package documentparse

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// Config is the settings of a Fetcher.
type Config struct {
	// MaxBytes is the largest document that is fetched.
	MaxBytes int64
	// Timeout bounds one fetch with all its redirects.
	Timeout time.Duration
	// AllowPrivate lets addresses of private networks and of this machine pass.
	// It is for tests and for documents inside a company.
	AllowPrivate bool
	// UserAgent is what servers see.
	UserAgent string
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{MaxBytes: maxInput, Timeout: 20 * time.Second, UserAgent: "jobyard-document-parse/1"}
}

// Validate reports all faults of the settings.
func (c Config) Validate() error {
	var errs []error
	if c.MaxBytes < 1 || c.MaxBytes > maxInput {
		errs = append(errs, fmt.Errorf("document_parse max bytes must be from 1 to %d, got %d", maxInput, c.MaxBytes))
	}
	if c.Timeout < time.Second || c.Timeout > 2*time.Minute {
		errs = append(errs, fmt.Errorf("document_parse fetch timeout must be from 1s to 2m, got %s", c.Timeout))
	}
	return errors.Join(errs...)
}

// Fetched is a document from the network.
type Fetched struct {
	Data        []byte
	ContentType string
	// URL is the address after all redirects.
	URL string
}

// maxRedirects is how often a server may send the fetcher on.
const maxRedirects = 5

// Fetcher gets documents by http and https. It connects only to addresses that
// it has checked itself, at the first request and at every redirect, so that a
// name cannot lead it into a private network.
type Fetcher struct {
	cfg     Config
	client  *http.Client
	allowed func(netip.Addr) bool
}

// NewFetcher makes a fetcher. Close frees its idle connections.
func NewFetcher(cfg Config) *Fetcher {
	f := &Fetcher{cfg: cfg, allowed: isPublic}
	if cfg.AllowPrivate {
		f.allowed = func(netip.Addr) bool { return true }
	}
	f.client = &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DialContext: f.dial, ForceAttemptHTTP2: true, MaxIdleConns: 20, MaxIdleConnsPerHost: 2,
			IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
			ResponseHeaderTimeout: 15 * time.Second, MaxResponseHeaderBytes: 256 << 10,
		},
		CheckRedirect: checkRedirect,
	}
	return f
}

// Close frees the idle connections.
func (f *Fetcher) Close() { f.client.CloseIdleConnections() }

// Fetch gets one document. Faults: invalid (no such address), rejected (an
// address that policy forbids), not_found, too_large, upstream (retryable for
// 429, 5xx and trouble of the network).
func (f *Fetcher) Fetch(ctx context.Context, address string) (got Fetched, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return Fetched{}, tasks.Invalid("payload.source.url", "must be an absolute http or https address without a user name")
	}
	// The server hears nothing of it: whose trace this is, is not its business.
	ctx, span := trace.Start(ctx, trace.Client, http.MethodGet, "")
	span.Text("server.address", u.Hostname()) // paths and queries may hold secrets
	defer func() { ended(span, err) }()
	ctx, cancel := context.WithTimeoutCause(ctx, f.cfg.Timeout,
		fault.RetryableError(tasks.ReasonUpstream, "the server did not send the document within %s", f.cfg.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Fetched{}, tasks.Invalid("payload.source.url", "must be an absolute http or https address")
	}
	req.Header.Set("User-Agent", f.cfg.UserAgent)
	req.Header.Set("Accept", "text/markdown, text/html;q=0.9, application/json;q=0.8, text/plain;q=0.8, */*;q=0.5")
	resp, err := f.client.Do(req)
	if err != nil {
		return Fetched{}, networkFault(ctx, err)
	}
	defer resp.Body.Close()
	span.Number("http.response.status_code", int64(resp.StatusCode))
	if err := statusFault(resp); err != nil {
		return Fetched{}, err
	}
	return f.read(ctx, resp)
}

// ended ends the span of a fetch.
func ended(span trace.Span, err error) {
	if err != nil && span.On() {
		f := fault.Of(err)
		span.Fail(string(f.Reason), fault.Clean(f.Message, fault.MaxMessage))
	}
	span.End()
}

// read streams the body up to the limit, which counts unpacked bytes.
func (f *Fetcher) read(ctx context.Context, resp *http.Response) (Fetched, error) {
	tooLarge := func() error {
		return fault.PermanentError(tasks.ReasonTooLarge, "the document is over %d bytes", f.cfg.MaxBytes)
	}
	if resp.ContentLength > f.cfg.MaxBytes {
		return Fetched{}, tooLarge()
	}
	data, err := io.ReadAll(progress.Reader(ctx, io.LimitReader(resp.Body, f.cfg.MaxBytes+1), resp.ContentLength))
	if err != nil {
		return Fetched{}, networkFault(ctx, err)
	}
	if int64(len(data)) > f.cfg.MaxBytes {
		return Fetched{}, tooLarge()
	}
	return Fetched{Data: data, ContentType: resp.Header.Get("Content-Type"), URL: resp.Request.URL.String()}, nil
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fault.PermanentError(tasks.ReasonRejected, "the server redirects over %d times", maxRedirects)
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return fault.PermanentError(tasks.ReasonRejected, "the server redirects to an address that is not http or https")
	case req.URL.User != nil:
		return fault.PermanentError(tasks.ReasonRejected, "the server redirects to an address with a user name")
	}
	return nil
}

// dial resolves the host itself and connects to an address it has checked; the
// name is not resolved again, so it cannot change in between.
func (f *Fetcher) dial(ctx context.Context, network, hostPort string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, fmt.Errorf("split %q: %w", hostPort, err)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", host, err)
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	last := error(fault.PermanentError(tasks.ReasonRejected,
		"the address leads to a private network, which is not allowed: use a public address, or send the text"))
	for _, a := range addrs {
		if a = a.Unmap(); !f.allowed(a) {
			continue
		}
		conn, err := dialer.DialContext(ctx, network, netip.AddrPortFrom(a, portNumber(ctx, port)).String())
		if err == nil {
			return conn, nil
		}
		last = fmt.Errorf("connect to %s: %w", host, err)
	}
	return nil, last
}

func portNumber(ctx context.Context, s string) uint16 {
	n, err := net.DefaultResolver.LookupPort(ctx, "tcp", s)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// notPublic are the networks that the methods of netip.Addr do not name: shared
// and reserved space, documentation and test networks, and the ranges that
// carry an IPv4 address inside.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
	netip.MustParsePrefix("::/96"),
}

// isPublic reports addresses of the public internet.
func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// networkFault tells what happened on the way to an answer.
func networkFault(ctx context.Context, err error) error {
	if whole, ok := errors.AsType[*url.Error](err); ok {
		err = whole.Err // without the address, whose query may hold a secret
	}
	var known *fault.Error
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &known):
		return known
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault.PermanentError(tasks.ReasonNotFound, "the host of the address does not exist").Because(err)
	case errors.As(err, &cert), errors.As(err, &unknown):
		return fault.PermanentError(tasks.ReasonUpstream, "the server's certificate is not valid").Because(err)
	}
	return fault.RetryableError(tasks.ReasonUpstream, "the document could not be fetched").Because(err)
}

// statusFault turns an answer that is no document into a fault.
func statusFault(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusNotFound || code == http.StatusGone:
		return fault.PermanentError(tasks.ReasonNotFound, "the server has no document at this address (%d)", code)
	case code == http.StatusTooManyRequests || code >= 500 || code == http.StatusRequestTimeout:
		return fault.RetryableError(tasks.ReasonUpstream, "the server answered %d", code)
	default:
		return fault.PermanentError(tasks.ReasonUpstream, "the server answered %d", code)
	}
}
