package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

const password = "hunter22hunter22"

// on is a yard on another Redis.
func (y *yard) on(url string, env ...string) *yard {
	other := *y
	other.redis, other.env = &broker.Embedded{URL: url}, append(append([]string{}, y.env...), env...)
	return &other
}

// passwordFile is how a password is given without being in an address.
func passwordFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "JOBYARD_REDIS_PASSWORD_FILE=" + file
}

// ports are free ones.
func ports(t *testing.T, n int) []int {
	t.Helper()
	all, listeners := make([]int, n), make([]net.Listener, n)
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		all[i], listeners[i] = l.Addr().(*net.TCPAddr).Port, l
	}
	for _, l := range listeners { // only now, so that none comes twice
		l.Close()
	}
	return all
}

func local(port int) string { return fmt.Sprint("127.0.0.1:", port) }

// TestRedis_TheDocumentedUserSuffices runs a yard as the user of docs/redis.md:
// nothing of all it does is denied.
func TestRedis_TheDocumentedUserSuffices(t *testing.T) {
	t.Parallel()
	y := newYard(t, registry(t)...)
	admin := brokertest.Open(t, y.redis.URL).Client()
	documentedUser(t, admin)
	newShift(y.on(strings.Replace(y.redis.URL, "unix://", "unix://jobyard@", 1), passwordFile(t))).all()
	nothingDenied(t, admin)
}

// documentedUser makes the user of docs/redis.md, who may do more as well.
func documentedUser(t *testing.T, admin redis.UniversalClient, more ...string) {
	t.Helper()
	raw, err := os.ReadFile("../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```acl\nuser (.*?)```").FindStringSubmatch(string(raw))
	if m == nil {
		t.Fatal("docs/redis.md holds no acl block")
	}
	words := []any{"ACL", "SETUSER"}
	for _, w := range append(strings.Fields(strings.ReplaceAll(m[1], "PASSWORD", password)), more...) {
		// Commands that this Redis does not have are of newer ones.
		if err := admin.Do(t.Context(), "ACL", "SETUSER", "probe", w).Err(); err != nil && strings.HasPrefix(w, "+") {
			t.Logf("left out %s: %v", w, err)
			continue
		}
		words = append(words, w)
	}
	if err := admin.Do(t.Context(), words...).Err(); err != nil {
		t.Fatal(err)
	}
}

func nothingDenied(t *testing.T, admin redis.UniversalClient) {
	t.Helper()
	denied, err := admin.Do(t.Context(), "ACL", "LOG").Slice()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range denied {
		t.Errorf("denied: %v", d)
	}
}

func TestRedis_TLS(t *testing.T) {
	t.Parallel()
	y := newYard(t, registry(t)...)
	cert, key, _ := certificate(t)
	port := ports(t, 1)[0]
	server := brokertest.Faulty(t, "bind 127.0.0.1", fmt.Sprint("tls-port ", port), "tls-cert-file "+cert, "tls-key-file "+key, "tls-auth-clients no")
	if err := brokertest.Open(t, server.URL).Client().ConfigSet(t.Context(), "requirepass", password).Err(); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("rediss://%s/0", local(port))
	newShift(y.on(address, passwordFile(t), "SSL_CERT_FILE="+cert)).all()
	for name, tt := range map[string]struct {
		url  string
		env  []string
		want string
	}{
		"it does not trust the authority": {address, []string{passwordFile(t)}, "SSL_CERT_FILE"},
		"it does not speak TLS":           {strings.Replace(address, "rediss", "redis", 1), []string{passwordFile(t)}, "rediss://"},
		"it has no password":              {address, []string{"SSL_CERT_FILE=" + cert}, "password"},
	} {
		out, err := y.on(tt.url, tt.env...).command(t.Context(), "producer", "doctor").CombinedOutput()
		if code := exitCode(err); code != 3 || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s: got %d %s, want 3 and %q", name, code, out, tt.want)
		}
	}
}

func exitCode(err error) int {
	if e, is := err.(*exec.ExitError); is { //nolint:errorlint // Run and Output return it as it is
		return e.ExitCode()
	}
	return 0
}

// TestRedis_Sentinel kills the master under a yard at work: it goes on with the
// replica, and what was handed over before is still there.
func TestRedis_Sentinel(t *testing.T) {
	t.Parallel()
	y := newYard(t, registry(t)...)
	at := ports(t, 5)
	both := []string{"bind 127.0.0.1", "repl-diskless-sync-delay 0"}
	master := brokertest.Faulty(t, append([]string{fmt.Sprint("port ", at[0])}, both...)...)
	replica := brokertest.Faulty(t, append([]string{fmt.Sprint("port ", at[1]), fmt.Sprint("replicaof 127.0.0.1 ", at[0])}, both...)...)
	var hosts []string
	for _, port := range at[2:] {
		sentinel(t, port, at[0])
		hosts = append(hosts, local(port))
	}
	one := redis.NewSentinelClient(&redis.Options{Addr: hosts[0]})
	defer one.Close()
	brokertest.Until(t, "the sentinels know each other and the replica", func() bool {
		m, err := one.Master(t.Context(), "yard").Result()
		return err == nil && m["num-other-sentinels"] == "2" && m["num-slaves"] == "1"
	})
	s := newShift(y.on("redis-sentinel://" + strings.Join(hosts, ",") + "/yard/0"))
	s.tasks()
	s.must("POST", s.api+"/v1/tasks", `{"kind":"search","payload":{"query":"kept"},"options":{"in":"1h","id":"kept"}}`, `"scheduled"`)
	if n, err := brokertest.Open(t, master.URL).Client().Do(t.Context(), "WAIT", 1, 10_000).Int(); n != 1 {
		t.Fatalf("the replica does not have all of it: %d, %v", n, err)
	}
	next := brokertest.Open(t, replica.URL).Client()
	master.Kill()
	s.until("the replica is the master", func() bool {
		return strings.Contains(next.Info(t.Context(), "replication").Val(), "role:master")
	})
	s.until("the API goes on", func() bool { return s.get(s.api+"/v1/tasks/kept") != "" })
	s.failures()
	s.watching()
	s.lostWorker()
	s.keys()
}

// sentinel starts one that watches the master at a port.
func sentinel(t *testing.T, port, master int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %q\nsentinel monitor yard 127.0.0.1 %d 2\nsentinel down-after-milliseconds yard 1000\nsentinel failover-timeout yard 5000\n",
		port, t.TempDir(), master)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", file, "--sentinel")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if _ = cmd.Wait(); t.Failed() {
			t.Logf("the sentinel at %d said:\n%s", port, out.String())
		}
	})
}

// TestRedis_Cluster runs a yard on three masters: no script asks for keys of
// two slots, and the queues lie on more than one of them.
func TestRedis_Cluster(t *testing.T) {
	t.Parallel()
	y := newYard(t, registry(t)...)
	const masters, slots = 3, 16384
	at := ports(t, 2*masters)
	var hosts []string
	var all []redis.UniversalClient
	for i, port := range at[:masters] {
		r := brokertest.Faulty(t, "bind 127.0.0.1", fmt.Sprint("port ", port), "cluster-enabled yes", fmt.Sprint("cluster-port ", at[masters+i]))
		c := redis.NewClient(&redis.Options{Network: "unix", Addr: strings.TrimPrefix(r.URL, "unix://")})
		t.Cleanup(func() { c.Close() })
		hosts, all = append(hosts, local(port)), append(all, c)
	}
	for i, c := range all {
		err := c.ClusterAddSlotsRange(t.Context(), i*slots/masters, (i+1)*slots/masters-1).Err()
		if err == nil {
			err = c.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err()
		}
		if err == nil && i > 0 {
			err = c.Do(t.Context(), "CLUSTER", "MEET", "127.0.0.1", at[0], at[masters]).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range all {
		brokertest.Until(t, "the cluster is formed", func() bool {
			info := c.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprint("cluster_known_nodes:", masters))
		})
	}
	raw, err := os.ReadFile("../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	more := regexp.MustCompile(`\+cluster\|[a-z]+`).FindAllString(string(raw), -1)
	for _, c := range all {
		documentedUser(t, c, more...)
	}
	y = y.on("redis://jobyard@"+strings.Join(hosts, ","), passwordFile(t))
	newShift(y).all()
	for i, c := range all {
		nothingDenied(t, c)
		if n := c.DBSize(t.Context()).Val(); n == 0 {
			t.Errorf("master %d holds nothing", i)
		}
	}
	// One master that may forget is one too many.
	if err := all[2].ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	out, err := y.command(t.Context(), "producer", "doctor").CombinedOutput()
	if exitCode(err) != 1 || !strings.Contains(string(out), "allkeys-lru") || !strings.Contains(string(out), "3 masters") {
		t.Errorf("got %v\n%s", err, out)
	}
}
