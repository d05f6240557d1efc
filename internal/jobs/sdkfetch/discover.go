package sdkfetch

import (
	"cmp"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"time"

	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/gomod"
	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/npm"
)

// discoverTimeout bounds each of the two tools that Discover may ask.
const discoverTimeout = 5 * time.Second

// World is what Discover sees of the process it runs in.
type World struct {
	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
	// Run runs a program and returns what it prints.
	Run func(ctx context.Context, name string, args ...string) ([]byte, error)
}

// Discover returns DefaultConfig with the addresses that the ecosystems' own
// settings give: the environment first, then .npmrc in the home folder, then
// what the go and npm commands say. What nothing gives stays empty. The key of
// the checksum database that GOSUMDB names is the go command's.
func Discover(ctx context.Context, w World) Config {
	c := DefaultConfig()
	c.Go = w.golang(ctx)
	c.NPM = w.node(ctx)
	c.HTTPProxy = cmp.Or(w.Getenv("HTTP_PROXY"), w.Getenv("http_proxy"))
	c.HTTPSProxy = cmp.Or(w.Getenv("HTTPS_PROXY"), w.Getenv("https_proxy"))
	c.NoProxy = cmp.Or(w.Getenv("NO_PROXY"), w.Getenv("no_proxy"))
	return c
}

func (w World) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	return w.Run(ctx, name, args...)
}

// golang asks the go command even where the environment has the addresses: what
// keeps modules private may stand in the settings that go env -w writes.
func (w World) golang(ctx context.Context) gomod.Settings {
	names := []string{"GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOROOT"}
	var said map[string]string
	if raw, err := w.run(ctx, "go", append([]string{"env", "-json"}, names...)...); err != nil || json.Unmarshal(raw, &said) != nil {
		said = nil
	}
	set := map[string]string{}
	for _, n := range names {
		set[n] = cmp.Or(w.Getenv(n), said[n])
	}
	return gomod.Settings{Proxy: set["GOPROXY"], Private: set["GOPRIVATE"], NoProxy: set["GONOPROXY"], NoSumDB: set["GONOSUMDB"],
		SumDB: w.sumDB(set["GOSUMDB"], set["GOROOT"])}
}

// sumDB completes GOSUMDB, whose default is a name, with the key that the go
// command has for it: this program holds no key of its own.
func (w World) sumDB(setting, root string) string {
	if root == "" || !gomod.NeedsKey(setting) {
		return setting
	}
	var source []byte
	for _, file := range []string{"key.go", "sumdb.go"} {
		if raw, err := w.ReadFile(filepath.Join(root, "src", "cmd", "go", "internal", "modfetch", file)); err == nil {
			source = append(source, raw...)
		}
	}
	return gomod.CompleteSumDB(setting, source)
}

func (w World) node(ctx context.Context) npm.Settings {
	// npm reads its variables in either case.
	file := cmp.Or(w.Getenv("NPM_CONFIG_USERCONFIG"), w.Getenv("npm_config_userconfig"))
	if home := cmp.Or(w.Getenv("HOME"), w.Getenv("USERPROFILE")); file == "" && home != "" {
		file = filepath.Join(home, ".npmrc")
	}
	s := npm.Settings{}
	if file != "" {
		if raw, err := w.ReadFile(file); err == nil {
			s = npm.ParseRC(string(raw), w.Getenv)
		}
	}
	s.Registry = cmp.Or(w.Getenv("NPM_CONFIG_REGISTRY"), w.Getenv("npm_config_registry"), s.Registry)
	if s.Registry == "" {
		if raw, err := w.run(ctx, "npm", "config", "get", "registry"); err == nil {
			if said := strings.TrimSpace(string(raw)); strings.HasPrefix(said, "http") {
				s.Registry = said
			}
		}
	}
	return s
}
