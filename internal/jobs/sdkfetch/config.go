package sdkfetch

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpproxy"

	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/archive"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/gomod"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/npm"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/upstream"
)

// Config is where packages come from and how much of them is taken. It names no
// registry by itself: Discover takes the addresses from the ecosystems' own
// settings.
type Config struct {
	Go  gomod.Settings
	NPM npm.Settings
	// HTTPProxy, HTTPSProxy and NoProxy lead to the outside where a network
	// asks for it; they have the meaning of the environment variables.
	HTTPProxy, HTTPSProxy, NoProxy string
	Limits                         upstream.Limits
	Archive                        archive.Limits
}

// DefaultConfig has every limit set and no address.
func DefaultConfig() Config {
	return Config{Limits: upstream.DefaultLimits(), Archive: archive.DefaultLimits()}
}

// Validate reports everything that cannot work. Absent addresses are allowed:
// tasks that need them are refused, and say which setting is missing.
func (c Config) Validate() error {
	errs := []error{c.Go.Validate(), c.NPM.Validate(), c.Limits.Validate()}
	a := c.Archive
	for name, n := range map[string]int64{"files": int64(a.MaxFiles), "unpacked bytes": a.MaxTotalBytes, "kept bytes": a.MaxKeptBytes, "ratio": a.MaxRatio} {
		if n <= 0 {
			errs = append(errs, fmt.Errorf("sdk_fetch archive %s must be over 0, got %d", name, n))
		}
	}
	return errors.Join(errs...)
}

// proxy chooses the way to the outside for a request.
func (c Config) proxy() func(*http.Request) (*url.URL, error) {
	if c.HTTPProxy == "" && c.HTTPSProxy == "" {
		return nil
	}
	choose := (&httpproxy.Config{HTTPProxy: c.HTTPProxy, HTTPSProxy: c.HTTPSProxy, NoProxy: c.NoProxy}).ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }
}
