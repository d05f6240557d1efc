// Package upstream asks package registries over HTTP.
//
// It promises to go only where it is sent: a redirect to another host is
// refused, so that a registry cannot turn the worker against its own network.
// Every answer is bounded in bytes and time, the requests in flight are bounded
// in number, and each failure is a fault that says whether another attempt may
// help. Credentials go into headers and never into messages.
package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/progress"
	"github.com/jobyard/jobyard/internal/trace"
	"github.com/jobyard/jobyard/tasks"
)

// Limits bound the requests of one Client.
type Limits struct {
	// Timeout bounds a request for metadata, ArchiveTimeout one for an archive,
	// both from the first byte sent to the last received.
	Timeout        time.Duration
	ArchiveTimeout time.Duration
	// MaxMetadataBytes and MaxArchiveBytes bound an answer.
	MaxMetadataBytes int64
	MaxArchiveBytes  int64
	// Concurrency bounds the requests in flight.
	Concurrency int
}

// DefaultLimits are the limits of a worker that shares its node.
func DefaultLimits() Limits {
	return Limits{Timeout: 15 * time.Second, ArchiveTimeout: 60 * time.Second, MaxMetadataBytes: 32 << 20, MaxArchiveBytes: 64 << 20, Concurrency: 8}
}

// Validate reports all limits that cannot work.
func (l Limits) Validate() error {
	var errs []error
	for _, f := range []struct {
		name string
		n    int64
	}{{"timeout", int64(l.Timeout)}, {"archive timeout", int64(l.ArchiveTimeout)}, {"metadata bytes", l.MaxMetadataBytes},
		{"archive bytes", l.MaxArchiveBytes}, {"concurrency", int64(l.Concurrency)}} {
		if f.n <= 0 {
			errs = append(errs, fmt.Errorf("sdk_fetch %s must be over 0, got %d", f.name, f.n))
		}
	}
	return errors.Join(errs...)
}

// maxRedirects is how often a registry may send us on within its own host.
const maxRedirects = 5

// errElsewhere is a redirect away from the host that was configured.
var errElsewhere = errors.New("redirect to another host")

// Client asks registries. It is safe for concurrent use.
type Client struct {
	http   *http.Client
	slots  chan struct{}
	limits Limits
}

// New makes a client. The proxy function is that of http.Transport and may be nil.
func New(l Limits, proxy func(*http.Request) (*url.URL, error)) *Client {
	transport := &http.Transport{
		Proxy:                  proxy,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           16,
		MaxIdleConnsPerHost:    l.Concurrency,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
	return &Client{
		http:   &http.Client{Transport: transport, CheckRedirect: sameHost},
		slots:  make(chan struct{}, max(1, l.Concurrency)),
		limits: l,
	}
}

// sameHost lets a redirect pass that stays on the host, and does not give up TLS.
func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if next.URL.Host != first.Host || next.URL.Scheme != first.Scheme && next.URL.Scheme != "https" {
		return fmt.Errorf("%w: %s", errElsewhere, next.URL.Host)
	}
	if len(via) >= maxRedirects {
		return fmt.Errorf("over %d redirects", maxRedirects)
	}
	return nil
}

// Request is one question.
type Request struct {
	// Source names it in the result's sources.
	Source string
	URL    *url.URL
	Accept string
	// Authorization is the header's value, empty for none.
	Authorization string
	// Archive chooses the limits of archives over those of metadata.
	Archive bool
}

// Get returns the whole body of the answer.
func (c *Client) Get(ctx context.Context, t *Trace, r Request) ([]byte, error) {
	var body []byte
	err := c.Stream(ctx, t, r, func(in io.Reader) (err error) {
		body, err = io.ReadAll(in)
		return err
	})
	return body, err
}

// Stream hands the body to decode while it arrives. Reading past the limit
// fails; an error of decode's own is returned as it is.
func (c *Client) Stream(ctx context.Context, t *Trace, r Request, decode func(io.Reader) error) (err error) {
	timeout, limit := c.limits.Timeout, c.limits.MaxMetadataBytes
	if r.Archive {
		timeout, limit = c.limits.ArchiveTimeout, c.limits.MaxArchiveBytes
	}
	var header http.Header
	defer func() { t.add(r.Source, header, err) }()
	// The registry hears nothing of it: whose trace this is, is not its business.
	ctx, span := trace.Start(ctx, trace.Client, http.MethodGet, "")
	span.Text("jobyard.source", r.Source)
	span.Text("server.address", r.URL.Hostname()) // paths and queries may hold secrets
	defer func() { ended(span, err) }()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	inner, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.do(inner, r)
	if err != nil {
		return c.explain(ctx, r, err, timeout)
	}
	defer resp.Body.Close()
	header = resp.Header
	span.Number("http.response.status_code", int64(resp.StatusCode))
	if resp.StatusCode != http.StatusOK {
		return status(r, resp)
	}
	if resp.ContentLength > limit {
		return tooLarge(r, limit)
	}
	body := &bounded{from: resp.Body, left: limit}
	if r.Archive {
		body.from = progress.Reader(ctx, resp.Body, resp.ContentLength)
	}
	err = decode(body)
	switch {
	case body.over:
		return tooLarge(r, limit)
	case body.err != nil:
		return c.explain(ctx, r, body.err, timeout)
	}
	return err
}

// ended ends the span of a question.
func ended(span trace.Span, err error) {
	if err != nil && span.On() {
		f := fault.Of(err)
		span.Fail(string(f.Reason), fault.Clean(f.Message, fault.MaxMessage))
	}
	span.End()
}

func (c *Client) do(ctx context.Context, r Request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "jobyard")
	if r.Accept != "" {
		req.Header.Set("Accept", r.Accept)
	}
	if r.Archive {
		// The bytes are hashed as they are; nothing may unpack them on the way.
		req.Header.Set("Accept-Encoding", "identity")
	}
	if r.Authorization != "" {
		req.Header.Set("Authorization", r.Authorization)
	}
	return c.http.Do(req)
}

// bounded fails once more than left bytes were read, and keeps the error of the
// connection apart from those of a decoder.
type bounded struct {
	from io.Reader
	left int64
	over bool
	err  error
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.over {
		return 0, errors.New("answer over its limit")
	}
	n, err := b.from.Read(p)
	if b.left -= int64(n); b.left < 0 {
		b.over = true
		return 0, errors.New("answer over its limit")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

func tooLarge(r Request, limit int64) error {
	return fault.PermanentError(tasks.ReasonTooLarge, "the %s from %s is over %d bytes", r.Source, r.URL.Host, limit)
}

// explain turns an error of the connection into a fault.
func (c *Client) explain(ctx context.Context, r Request, err error, timeout time.Duration) error {
	if ctx.Err() != nil {
		return fmt.Errorf("fetch %s: %w", r.Source, context.Cause(ctx))
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, errElsewhere):
		return fault.PermanentError(tasks.ReasonRejected,
			"%s sends the %s on to another host; only configured addresses are asked: configure the address that serves it", r.URL.Host, r.Source).Because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return fault.RetryableError(tasks.ReasonUpstream, "%s did not answer with the %s within %s", r.URL.Host, r.Source, timeout).Because(err)
	case errors.As(err, &dns):
		return fault.RetryableError(tasks.ReasonUpstream, "the name of %s could not be resolved", r.URL.Host).Because(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.RetryableError(tasks.ReasonUpstream, "the %s from %s broke off", r.Source, r.URL.Host).Because(err)
	case isCertificate(err):
		return fault.PermanentError(tasks.ReasonUpstream, "the certificate of %s is not trusted; an operator must add its authority", r.URL.Host).Because(err)
	}
	return fault.RetryableError(tasks.ReasonUpstream, "%s could not be reached for the %s", r.URL.Host, r.Source).Because(err)
}

// status turns an answer other than 200 into a fault.
func status(r Request, resp *http.Response) error {
	host, code := r.URL.Host, resp.StatusCode
	switch {
	case code == http.StatusNotFound || code == http.StatusGone:
		return fault.PermanentError(tasks.ReasonNotFound, "%s has no such %s", host, r.Source)
	case code == http.StatusUnauthorized:
		return fault.PermanentError(tasks.ReasonUpstream, "%s asks for credentials (401); an operator must configure them", host)
	case code == http.StatusForbidden:
		return fault.PermanentError(tasks.ReasonUpstream, "%s refuses the %s (403); it may be withheld or unknown there, an operator can tell", host, r.Source)
	case code == http.StatusRequestTimeout || code == http.StatusTooEarly || code == http.StatusTooManyRequests || code >= 500:
		hint := ""
		if after := retryAfter(resp.Header.Get("Retry-After")); after != "" {
			hint = "; it asks to wait " + after
		}
		return fault.RetryableError(tasks.ReasonUpstream, "%s answered %d for the %s%s", host, code, r.Source, hint)
	}
	return fault.PermanentError(tasks.ReasonUpstream, "%s answered %d for the %s", host, code, cmp.Or(r.Source, "request"))
}
