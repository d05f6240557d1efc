// Package gomod speaks the GOPROXY protocol: it finds the version that a query
// means, fetches a module's files and has them vouched for by the checksum
// database.
//
// It promises to ask only the addresses in GOPROXY (and GOSUMDB, if that names
// one), to honor GOPRIVATE and its kin, and to believe in a checksum database
// only with its key.
package gomod

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/mod/module"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/upstream"
	"github.com/jobyard/jobyard/tasks"
)

// Settings are the go command's own settings, as its environment holds them.
type Settings struct {
	Proxy   string // GOPROXY
	Private string // GOPRIVATE
	NoProxy string // GONOPROXY
	NoSumDB string // GONOSUMDB
	SumDB   string // GOSUMDB
}

// entry is one element of GOPROXY.
type entry struct {
	// word is off or direct, or empty if base is an address.
	word string
	base *url.URL
	// anyError passes every failure on to the next entry, not only "not found".
	anyError bool
}

// parseProxies reads GOPROXY: entries with "," or "|" between.
func parseProxies(list string) ([]entry, error) {
	var out []entry
	for rest := list; rest != ""; {
		var e entry
		text := rest
		if i := strings.IndexAny(rest, ",|"); i >= 0 {
			text, e.anyError, rest = rest[:i], rest[i] == '|', rest[i+1:]
		} else {
			rest = ""
		}
		text = strings.TrimSpace(text)
		switch text {
		case "":
			continue
		case "off", "direct", "noproxy":
			e.word = text
		default:
			base, err := parseBase(text)
			if err != nil {
				return nil, fmt.Errorf("GOPROXY: %w", err)
			}
			e.base = base
		}
		out = append(out, e)
	}
	return out, nil
}

// parseBase reads an address; without a scheme it means https, as for go.
func parseBase(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		// Not the address itself: it may hold a password.
		return nil, fmt.Errorf("an entry is not an http or https address")
	}
	u.Path, u.RawQuery, u.Fragment = strings.TrimSuffix(u.Path, "/"), "", ""
	return u, nil
}

// Client asks the proxies. It is safe for concurrent use.
type Client struct {
	up       *upstream.Client
	settings Settings
	proxies  []entry
	broken   error // a GOPROXY that cannot be read, reported at each use
	sums     *sums
}

// New makes a client.
func New(s Settings, up *upstream.Client) *Client {
	c := &Client{up: up, settings: s}
	c.proxies, c.broken = parseProxies(s.Proxy)
	c.sums = newSums(s.SumDB, c)
	return c
}

// Validate reports settings that cannot be read. Absent ones are no fault here:
// a worker may serve npm alone.
func (s Settings) Validate() error {
	_, err := parseProxies(s.Proxy)
	return err
}

// usable says why no proxy can be asked about a module, if so.
func (c *Client) usable(path string) error {
	refused := func(format string, args ...any) error {
		return fault.PermanentError(tasks.ReasonRejected, format, args...)
	}
	switch {
	case c.broken != nil:
		return refused("the worker's setting cannot be read: %v", c.broken)
	case len(c.proxies) == 0:
		return refused("no Go module proxy is configured; an operator must set GOPROXY for the worker")
	case c.proxies[0].word == "off":
		return refused("GOPROXY=off forbids fetching modules")
	case c.proxies[0].word != "":
		return refused("GOPROXY=%s asks version control directly, which this service does not do; an operator must set a proxy's address", c.proxies[0].word)
	case module.MatchPrefixPatterns(cmp.Or(c.settings.NoProxy, c.settings.Private), path):
		return refused("%s is private by GOPRIVATE or GONOPROXY and must not be asked for at a proxy", path)
	}
	return nil
}

// get asks the proxies in turn, as GOPROXY says.
func (c *Client) get(ctx context.Context, t *upstream.Trace, source, path string, archive bool) ([]byte, error) {
	var last error
	for _, e := range c.proxies {
		if e.word != "" {
			return nil, last
		}
		body, err := c.up.Get(ctx, t, upstream.Request{Source: source, URL: join(e.base, path), Archive: archive})
		if err == nil {
			return body, nil
		}
		// The first refusal says more than what a later proxy does not know.
		if last == nil || isNotFound(last) {
			last = err
		}
		if ctx.Err() != nil || !e.anyError && !isNotFound(err) {
			break
		}
	}
	return nil, last
}

// join appends an escaped path to a base address.
func join(base *url.URL, path string) *url.URL {
	u := *base
	u.Path += "/" + path
	return &u
}

func isNotFound(err error) bool { return err != nil && fault.Of(err).Reason == tasks.ReasonNotFound }
