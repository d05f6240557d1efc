package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	seccomp "github.com/elastic/go-seccomp-bpf"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/datatest"
)

// lockless is the environment variable that names the program which this one
// becomes on a machine without locks.
const lockless = "TEST_WITHOUT_LOCKS"

// init takes the calls away with which a process locks itself in, for good, and
// goes on as the real program: to that, this is a kernel without them.
func init() { //nolint:gochecknoinits // before the tests look at their flags
	path := os.Getenv(lockless)
	if path == "" {
		return
	}
	err := seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{{
			Action: seccomp.ActionErrno, Names: []string{"seccomp", "landlock_create_ruleset", "landlock_restrict_self"},
		}},
	}})
	if err == nil {
		err = syscall.Exec(path, append([]string{path}, os.Args[1:]...), os.Environ())
	}
	panic(err)
}

// A node whose kernel cannot lock runners in does the foreign work only if it
// may, and says so.
func TestIsolation_WithoutLocks(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	worker := filepath.Join(y.bin, "worker")
	bare := *y
	bare.bin, bare.env = t.TempDir(), append(bare.env, lockless+"="+worker)
	if err := os.Symlink(self, filepath.Join(bare.bin, "worker")); err != nil {
		t.Fatal(err)
	}

	out, err := bare.command(t.Context(), "worker", "--admin-listen", "127.0.0.1:0", "--isolation", "required").CombinedOutput()
	for _, says := range []string{"document_parse", "seccomp", "Landlock", "--isolation"} {
		if err == nil || !strings.Contains(string(out), says) {
			t.Fatalf("got %v, want an error with %s: %s", err, says, out)
		}
	}
	// What needs no runner is served all the same.
	admin := address(t)
	p := bare.start("worker", "--admin-listen", admin, "--isolation", "required", "--slots", "search=1")
	brokertest.Until(t, "it serves search", func() bool { return ready(admin) })
	if err := p.stop(t); err != nil {
		t.Error(err)
	}
	bare.start("worker", "--admin-listen", admin, "--isolation", "auto")
	brokertest.Until(t, "it serves every kind", func() bool { return ready(admin) })
	var health struct {
		Sandbox struct {
			Level string
			Kinds map[string]struct{ Open, Missing []string }
		}
	}
	raw, err := get(admin, "/healthz")
	if err != nil || json.Unmarshal(raw, &health) != nil {
		t.Fatalf("got %s, %v", raw, err)
	}
	kind := health.Sandbox.Kinds["document_parse"]
	if health.Sandbox.Level != "none" || len(kind.Missing) != 2 || !slices.Contains(kind.Open, "connect") {
		t.Errorf("got %s, want it to say what is missing", raw)
	}
	if out, err := y.command(t.Context(), "producer", "parse", "--json", filepath.Join(datatest.Root(t), "README.md")).Output(); err != nil || !strings.Contains(string(out), "Jobyard") {
		t.Errorf("got %v: %.200s", err, out)
	}
}

func get(address, path string) ([]byte, error) {
	answer, err := http.Get("http://" + address + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func ready(admin string) bool { _, err := get(admin, "/readyz"); return err == nil }
