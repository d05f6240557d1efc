package memwatch

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// machine lays files out as a kernel does.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	limit  = 512 * mb
	half   = "50000"
	always = "100000"
)

// proc is what every machine has.
var proc = map[string]string{
	"proc/meminfo": "MemTotal: 1000000 kB\nMemFree: 100000 kB\nMemAvailable: 400000 kB\n",
	"proc/stat":    "cpu  300 0 100 600 0 0 0 0 0 0\ncpu0 300 0 100 600 0 0 0 0 0 0\n",
}

func TestHost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		files  map[string]string
		memory int64
		busy   float64 // seconds
		cores  float64
	}{
		{"a container with groups of version 2", map[string]string{
			"proc/self/cgroup":             "0::/\n",
			"proc/self/mountinfo":          "31 23 0:28 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n",
			"sys/fs/cgroup/memory.max":     "536870912\n",
			"sys/fs/cgroup/memory.current": "300000000\n",
			"sys/fs/cgroup/memory.stat":    "anon 5\nfile 7\ninactive_file 100000000\n",
			"sys/fs/cgroup/cpu.max":        half + " " + always + "\n",
			"sys/fs/cgroup/cpu.stat":       "usage_usec 2500000\nuser_usec 1\n",
		}, 200000000, 2.5, 0.5},
		{"the limit is of a group above", map[string]string{
			"proc/self/cgroup":                                       "0::/jobs.slice/worker.service\n",
			"proc/self/mountinfo":                                    "31 23 0:28 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
			"sys/fs/cgroup/jobs.slice/memory.max":                    "536870912\n",
			"sys/fs/cgroup/jobs.slice/memory.current":                "77\n",
			"sys/fs/cgroup/jobs.slice/worker.service/memory.max":     "max\n",
			"sys/fs/cgroup/jobs.slice/worker.service/memory.current": "33\n",
			"sys/fs/cgroup/jobs.slice/worker.service/cpu.max":        "max 100000\n",
		}, 77, 4, float64(runtime.NumCPU())},
		{"groups of version 1, mounted as the container's own", map[string]string{
			"proc/self/cgroup": "4:memory:/docker/abc\n2:cpuacct,cpu:/docker/abc\n0::/\n",
			"proc/self/mountinfo": "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
				"36 31 0:33 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n" +
				"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes": "300000000\n",
			"sys/fs/cgroup/memory/memory.stat":           "inactive_file 1\ntotal_inactive_file 50000000\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":         half + "\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us":        always + "\n",
			"sys/fs/cgroup/cpu/cpuacct.usage":            "1500000000\n",
		}, 250000000, 1.5, 0.5},
		{"groups without limits", map[string]string{
			"proc/self/cgroup":             "0::/\n",
			"proc/self/mountinfo":          "31 23 0:28 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
			"sys/fs/cgroup/memory.current": "5\n",
		}, 600000 << 10, 4, float64(runtime.NumCPU())},
		{"no groups", nil, 600000 << 10, 4, float64(runtime.NumCPU())},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			files := maps.Clone(proc)
			maps.Copy(files, c.files)
			h := newHost(machine(t, files), limit)
			if got := h.memory(); got != c.memory {
				t.Errorf("got %d bytes in use, want %d", got, c.memory)
			}
			if got := h.cpu(); math.Abs(got.busy-c.busy) > 1e-9 {
				t.Errorf("got %.3f s of CPU, want %.3f", got.busy, c.busy)
			}
			if h.cores != c.cores {
				t.Errorf("got %.2f cores, want %.2f", h.cores, c.cores)
			}
		})
	}
}

func TestHost_nothingToRead(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"an empty machine": nil,
		"odd files": {
			"proc/self/cgroup": "x\n0::/\n4:memory:/a\n", "proc/self/mountinfo": "a b - c\n\n1 2 3 / /m rw - cgroup x memory\n",
			"m/a/memory.limit_in_bytes": "much\n", "proc/stat": "cpu\n", "proc/meminfo": "MemTotal: x kB\n",
		},
	} {
		h := newHost(machine(t, files), limit)
		if got := h.memory(); got != 0 {
			t.Errorf("%s: got %d bytes, want nothing", name, got)
		}
		if got := h.cpu(); got.busy != 0 {
			t.Errorf("%s: got %+v, want nothing", name, got)
		}
	}
}

func TestNode_Read(t *testing.T) {
	t.Parallel()
	n := NewNode()
	if n.Limit() < 64*mb {
		t.Errorf("got a limit of %d", n.Limit())
	}
	for end := time.Now().Add(20 * time.Second); ; {
		for spin := time.Now().Add(50 * time.Millisecond); time.Now().Before(spin); {
		}
		used, cpu := n.Read()
		if used <= 0 || used > n.Limit() || cpu < 0 || cpu > 1 {
			t.Fatalf("got %d bytes of %d and %.2f of the processors", used, n.Limit(), cpu)
		}
		if cpu > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a busy loop never showed")
		}
	}
}

func BenchmarkNode(b *testing.B) {
	n := NewNode()
	for b.Loop() {
		n.Read()
	}
}
