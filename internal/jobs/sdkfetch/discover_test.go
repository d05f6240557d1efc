package sdkfetch

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/jobyard/jobyard/internal/jobs/sdkfetch/gomod"
)

// world is a process with these variables, files and programs.
func world(env, files, programs map[string]string) World {
	return World{
		Getenv: func(n string) string { return env[n] },
		ReadFile: func(p string) ([]byte, error) {
			if text, ok := files[p]; ok {
				return []byte(text), nil
			}
			return nil, os.ErrNotExist
		},
		Run: func(_ context.Context, name string, args ...string) ([]byte, error) {
			if text, ok := programs[name+" "+strings.Join(args, " ")]; ok {
				return []byte(text), nil
			}
			return nil, errors.New("not installed")
		},
	}
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	const goEnv = "go env -json GOPROXY GOPRIVATE GONOPROXY GONOSUMDB GOSUMDB GOROOT"
	programs := map[string]string{
		goEnv:                     `{"GOPROXY":"https://proxy.test,direct","GOSUMDB":"sum.test","GOPRIVATE":"corp.test","GONOPROXY":"","GONOSUMDB":""}`,
		"npm config get registry": "https://registry.test/\n",
	}
	home := map[string]string{"HOME": "/home/ann"}
	with := func(more map[string]string) map[string]string {
		out := maps.Clone(home)
		maps.Copy(out, more)
		return out
	}
	for name, c := range map[string]struct {
		w        World
		golang   gomod.Settings
		registry string
	}{
		"nothing is set or installed": {world(nil, nil, nil), gomod.Settings{}, ""},
		"the tools say it":            {world(home, nil, programs), gomod.Settings{Proxy: "https://proxy.test,direct", SumDB: "sum.test", Private: "corp.test"}, "https://registry.test/"},
		"the environment comes first": {
			world(with(map[string]string{"GOPROXY": "https://own.test", "GOSUMDB": "off", "NPM_CONFIG_REGISTRY": "https://own.test/npm"}), map[string]string{"/home/ann/.npmrc": "registry=https://rc.test/"}, programs),
			gomod.Settings{Proxy: "https://own.test", SumDB: "off", Private: "corp.test"}, "https://own.test/npm"},
		"then .npmrc": {world(home, map[string]string{"/home/ann/.npmrc": "registry=https://rc.test/"}, programs),
			gomod.Settings{Proxy: "https://proxy.test,direct", SumDB: "sum.test", Private: "corp.test"}, "https://rc.test/"},
		"another .npmrc":        {world(with(map[string]string{"npm_config_userconfig": "/etc/rc"}), map[string]string{"/etc/rc": "registry=https://etc.test/"}, nil), gomod.Settings{}, "https://etc.test/"},
		"npm without an answer": {world(home, nil, map[string]string{"npm config get registry": "undefined\n"}), gomod.Settings{}, ""},
	} {
		got := Discover(t.Context(), c.w)
		if got.Go != c.golang || got.NPM.Registry != c.registry {
			t.Errorf("%s: got %+v and %q, want %+v and %q", name, got.Go, got.NPM.Registry, c.golang, c.registry)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDiscover_TakesTheKeyFromTheGoCommand uses a toolchain of made-up names:
// the setting holds a name, and only the go command's source has the key.
func TestDiscover_TakesTheKeyFromTheGoCommand(t *testing.T) {
	t.Parallel()
	_, key, err := note.GenerateKey(rand.Reader, "sum.test")
	if err != nil {
		t.Fatal(err)
	}
	const goEnv = "go env -json GOPROXY GOPRIVATE GONOPROXY GONOSUMDB GOSUMDB GOROOT"
	files := map[string]string{filepath.Join(string(filepath.Separator)+"opt", "go", "src", "cmd", "go", "internal", "modfetch", "key.go"): `map[string]string{"sum.test": "` + key + `"}`}
	for name, c := range map[string]struct{ setting, root, want string }{
		"a name":                 {"sum.test", "/opt/go", key},
		"a name and an address":  {"sum.test https://a.test", "/opt/go", key + " https://a.test"},
		"an unknown name":        {"else.test", "/opt/go", "else.test"},
		"a toolchain without it": {"sum.test", "/usr/lib/go", "sum.test"},
		"off":                    {"off", "/opt/go", "off"},
		"a key of one's own":     {"else.test+1+x", "/opt/go", "else.test+1+x"},
	} {
		programs := map[string]string{goEnv: `{"GOPROXY":"https://proxy.test","GOSUMDB":"` + c.setting + `","GOROOT":"` + c.root + `"}`}
		if got := Discover(t.Context(), world(nil, files, programs)).Go.SumDB; got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		env := map[string]string{"GOSUMDB": c.setting, "GOROOT": c.root}
		if got := Discover(t.Context(), world(env, files, nil)).Go.SumDB; got != c.want {
			t.Errorf("%s, from the environment: got %q, want %q", name, got, c.want)
		}
	}
}

// TestDiscover_KnowsThisToolchain reads the source of the Go that runs the test:
// it fails when a release moves its keys, which would silently end verification.
func TestDiscover_KnowsThisToolchain(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "env", "-json", "GOROOT").Output()
	var said struct{ GOROOT string }
	if err != nil || json.Unmarshal(out, &said) != nil || said.GOROOT == "" {
		t.Skip("there is no go command here")
	}
	raw, err := os.ReadFile(filepath.Join(said.GOROOT, "go.env"))
	found := regexp.MustCompile(`(?m)^GOSUMDB=(\S+)$`).FindSubmatch(raw)
	if err != nil || found == nil {
		t.Skip("the toolchain's default is not where it was")
	}
	if _, err := os.Stat(filepath.Join(said.GOROOT, "src", "cmd", "go")); err != nil {
		t.Skip("the go command's source is not installed")
	}
	w := world(map[string]string{"GOSUMDB": string(found[1]), "GOROOT": said.GOROOT}, nil, nil)
	w.ReadFile = os.ReadFile
	if got := Discover(t.Context(), w).Go.SumDB; !strings.HasPrefix(got, string(found[1])+"+") {
		t.Errorf("got %q, want a key behind the default name", got)
	}
}

func TestDiscover_TakesCredentialsAndProxies(t *testing.T) {
	t.Parallel()
	c := Discover(t.Context(), world(map[string]string{"HOME": "/h", "TOKEN": "s3cret", "https_proxy": "http://out.test:3128", "NO_PROXY": "corp.test"},
		map[string]string{"/h/.npmrc": "@corp:registry=https://corp.test/\n//corp.test/:_authToken=${TOKEN}"}, nil))
	if c.NPM.Scopes["@corp"] != "https://corp.test/" || len(c.NPM.Credentials) != 1 || c.HTTPSProxy != "http://out.test:3128" || c.NoProxy != "corp.test" || c.proxy() == nil {
		t.Errorf("got %+v", c)
	}
	if text := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(text, "s3cret") {
		t.Errorf("the token is printed: %s", text)
	}
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	c := Config{}
	c.Go.Proxy, c.NPM.Registry, c.NPM.Scopes = "ftp://x.test", "nonsense", map[string]string{"@a": "file:///x"}
	err := c.Validate()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, part := range []string{"GOPROXY", "registry", "@a", "timeout", "concurrency", "unpacked bytes", "ratio"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %s in it", err, part)
		}
	}
}
