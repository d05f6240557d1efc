package memwatch

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// host is where the node's figures are.
type host struct {
	root  string
	cores float64
	// The directory of the control group that has the limit, and of the one that
	// has the quota; empty is the machine.
	memoryGroup, cpuGroup string
	unified               bool // version 2
	fs                    procfs.FS
}

func newHost(root string, limit int64) host {
	h := host{root: root, cores: cores()}
	h.fs, _ = procfs.NewFS(filepath.Join(root, "proc")) // an unusable one has no files
	memory, v2 := h.group("memory")
	h.unified = v2
	h.memoryGroup = ascend(memory, func(dir string) bool {
		own, ok := number(dir, map[bool]string{true: "memory.max", false: "memory.limit_in_bytes"}[v2])
		return ok && own == limit
	})
	account, _ := h.group("cpuacct")
	quota, v2 := h.group("cpu")
	if v2 {
		account = quota
	}
	limited := ascend(quota, func(dir string) bool {
		cores, ok := quotaOf(dir, v2)
		if ok = ok && cores < h.cores; ok {
			h.cores = cores
		}
		return ok
	})
	switch {
	case limited == "":
	case v2:
		h.cpuGroup = limited
	default: // usually the same directory in another mount
		h.cpuGroup = account
	}
	return h
}

// group is the directory of this process's control group for a controller, in
// version 1 where that has it, else in version 2. The mount's root is cut off
// the group's path, as in a container without a namespace for groups.
func (h host) group(controller string) (dir string, v2 bool) {
	paths := map[string]string{} // by controller; "" is version 2
	h.lines("proc/self/cgroup", func(line string) {
		if f := strings.SplitN(line, ":", 3); len(f) == 3 {
			for c := range strings.SplitSeq(f[1], ",") {
				paths[c] = f[2]
			}
		}
	})
	var old, unified string
	h.lines("proc/self/mountinfo", func(line string) {
		before, after, _ := strings.Cut(line, " - ")
		f, kind := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 || len(kind) < 3 {
			return
		}
		at := func(path string) string {
			if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(f[3], "/")); ok {
				path = rest
			} else {
				path = ""
			}
			return filepath.Join(h.root, f[4], path)
		}
		path, has := paths[controller]
		switch {
		case kind[0] == "cgroup" && has && contains(kind[2], controller):
			old = at(path)
		case kind[0] == "cgroup2":
			unified = at(paths[""])
		}
	})
	if old != "" {
		return old, false
	}
	return unified, true
}

func contains(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

func (h host) lines(path string, each func(string)) {
	b, err := os.ReadFile(filepath.Join(h.root, path))
	if err != nil {
		return
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		each(s.Text())
	}
}

// ascend is the nearest directory, from dir upwards, that is what is looked for;
// "" if none is.
func ascend(dir string, is func(dir string) bool) string {
	for range 32 { // no group lies deeper
		if dir == "" || dir == "/" || dir == "." {
			return ""
		}
		if is(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return ""
}

// quotaOf is how many processors' time a group may use.
func quotaOf(dir string, v2 bool) (cores float64, ok bool) {
	if !v2 {
		quota, ok1 := number(dir, "cpu.cfs_quota_us")
		period, ok2 := number(dir, "cpu.cfs_period_us")
		return float64(quota) / float64(max(period, 1)), ok1 && ok2 && quota > 0
	}
	b, err := os.ReadFile(filepath.Join(dir, "cpu.max"))
	f := strings.Fields(string(b))
	if err != nil || len(f) != 2 {
		return 0, false
	}
	quota, err1 := strconv.ParseFloat(f[0], 64) // fails on "max"
	period, err2 := strconv.ParseFloat(f[1], 64)
	return quota / max(period, 1), err1 == nil && err2 == nil && quota > 0
}

// number reads a file that holds one number.
func number(dir, name string) (int64, bool) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	return n, err == nil
}

// field reads a line "name number" of a file; 0 if there is none.
func field(dir, file, name string) (n int64) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ = strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return n
		}
	}
	return 0
}

// memory is what is in use. Files that the kernel keeps but does not need are
// not: they go before anything is killed.
func (h host) memory() int64 {
	if h.memoryGroup == "" {
		return h.machineMemory()
	}
	current, inactive := "memory.usage_in_bytes", "total_inactive_file"
	if h.unified {
		current, inactive = "memory.current", "inactive_file"
	}
	used, _ := number(h.memoryGroup, current)
	cached := field(h.memoryGroup, "memory.stat", inactive)
	return max(used-cached, 0)
}

func (h host) machineMemory() int64 {
	m, err := h.fs.Meminfo()
	if err != nil || m.MemTotalBytes == nil || m.MemAvailableBytes == nil {
		return 0
	}
	return int64(*m.MemTotalBytes) - int64(*m.MemAvailableBytes)
}

// cpu is the processor time so far: of the group, or of those processors of the
// machine that this process may run on.
func (h host) cpu() cpuTime {
	if h.cpuGroup != "" {
		if ns, ok := number(h.cpuGroup, "cpuacct.usage"); ok {
			return cpuTime{busy: float64(ns) / 1e9}
		}
		us := field(h.cpuGroup, "cpu.stat", "usage_usec")
		return cpuTime{busy: float64(us) / 1e6}
	}
	stat, err := h.fs.Stat()
	if err != nil {
		return cpuTime{}
	}
	var ours unix.CPUSet
	err = unix.SchedGetaffinity(0, &ours)
	var t cpuTime
	for i, c := range stat.CPU {
		if err == nil && !ours.IsSet(int(i)) {
			continue
		}
		busy := c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ // guests are within User
		t.busy += busy
		t.all += busy + c.Idle + c.Iowait + c.Steal
	}
	return t
}
