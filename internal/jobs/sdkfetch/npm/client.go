package npm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/upstream"
	"github.com/jobyard/jobyard/tasks"
)

// accept asks for the short form of a packument and takes the full one.
const accept = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"

// Client asks registries. It is safe for concurrent use.
type Client struct {
	up       *upstream.Client
	settings Settings
}

// New makes a client.
func New(s Settings, up *upstream.Client) *Client { return &Client{up, s} }

// Validate reports addresses that cannot be read. Absent ones are no fault
// here: a worker may serve Go alone.
func (s Settings) Validate() error {
	var errs []error
	for name, text := range s.Scopes {
		if _, err := parseBase(text); err != nil {
			errs = append(errs, fmt.Errorf("%s:registry: %w", name, err))
		}
	}
	if s.Registry != "" {
		if _, err := parseBase(s.Registry); err != nil {
			errs = append(errs, fmt.Errorf("registry: %w", err))
		}
	}
	return errors.Join(errs...)
}

// parseBase reads a registry's address. The text is not repeated in the error:
// it may hold a password.
func parseBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("must be an http or https address")
	}
	u.Path, u.RawPath, u.RawQuery, u.Fragment = strings.TrimSuffix(u.Path, "/"), "", "", ""
	return u, nil
}

// base is the registry that serves a name.
func (c *Client) base(name string) (*url.URL, error) {
	text := c.settings.Scopes[scopeOf(name)]
	if text == "" {
		text = c.settings.Registry
	}
	if text == "" {
		return nil, fault.PermanentError(tasks.ReasonRejected, "no npm registry is configured; an operator must set NPM_CONFIG_REGISTRY, or registry in .npmrc, for the worker")
	}
	u, err := parseBase(text)
	if err != nil {
		return nil, fault.PermanentError(tasks.ReasonRejected, "the worker's npm registry %v", err)
	}
	return u, nil
}

// Packument fetches what the registry says about a package.
func (c *Client) Packument(ctx context.Context, t *upstream.Trace, name string) (*Packument, error) {
	base, err := c.base(name)
	if err != nil {
		return nil, err
	}
	u := *base
	u.Path += "/" + name
	u.RawPath = base.EscapedPath() + "/" + url.PathEscape(name) // a scope's slash is escaped
	var p *Packument
	err = c.up.Stream(ctx, t, c.request("packument", &u), func(r io.Reader) (err error) {
		p, err = Decode(r)
		if err != nil {
			return fault.RetryableError(tasks.ReasonUpstream, "the registry's answer about %s is not a packument", name).Because(err)
		}
		return nil
	})
	if err == nil && p.Name != name {
		err = fault.PermanentError(tasks.ReasonUpstream, "the registry answers for %.80q when asked for %s", p.Name, name)
	}
	if f := fault.Of(err); f != nil && f.Reason == tasks.ReasonNotFound {
		return nil, fault.PermanentError(tasks.ReasonNotFound, "the registry has no package %s", name).Because(err)
	}
	return p, err
}

func (c *Client) request(source string, u *url.URL) upstream.Request {
	r := upstream.Request{Source: source, URL: u, Authorization: c.authorization(u)}
	if source == "packument" {
		r.Accept = accept
	}
	return r
}

// authorization is the credential whose address is the longest before u's.
func (c *Client) authorization(u *url.URL) string {
	at, best, header := "//"+u.Host+u.EscapedPath(), 0, ""
	for _, cred := range c.settings.Credentials {
		prefix := strings.TrimSuffix(cred.Prefix, "/") + "/"
		if strings.HasPrefix(at, prefix) && len(prefix) > best {
			best, header = len(prefix), cred.header
		}
	}
	return header
}

// Tarball fetches a version's archive and checks it against what is stated.
func (c *Client) Tarball(ctx context.Context, t *upstream.Trace, p *Packument, version string) ([]byte, error) {
	base, err := c.base(p.Name)
	if err != nil {
		return nil, err
	}
	u, err := tarballURL(base, string(p.Versions[version].Dist.Tarball), p.Name, version)
	if err != nil {
		return nil, err
	}
	r := c.request("tarball", u)
	r.Archive = true
	data, err := c.up.Get(ctx, t, r)
	if err != nil {
		return nil, err
	}
	if in := p.Versions[version].Integrity(); in.Stated() {
		return data, in.Verify(data)
	}
	return data, nil
}

// tarballURL puts a tarball's path on the configured registry: a packument may
// name any host, also one inside our own network.
func tarballURL(base *url.URL, stated, name, version string) (*url.URL, error) {
	out := *base
	if stated == "" {
		out.Path += "/" + name + "/-/" + path.Base(name) + "-" + version + ".tgz"
		return &out, nil
	}
	u, err := url.Parse(stated)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Path == "" || u.User != nil ||
		path.Clean(u.Path) != u.Path || strings.ContainsAny(u.Path, "\\\x00") {
		return nil, fault.PermanentError(tasks.ReasonRejected, "the registry names a tarball for %s@%s at a place that is not asked", name, version)
	}
	out.Path, out.RawPath = u.Path, u.RawPath
	if u.Host == base.Host {
		out.RawQuery = u.RawQuery
	} else if !strings.HasPrefix(u.Path, base.Path+"/") {
		out.Path, out.RawPath = base.Path+u.Path, "" // the registry lives below a path
	}
	return &out, nil
}
