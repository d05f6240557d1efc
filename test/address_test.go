package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

// redisServer starts redis-server with settings of its own on a free port of
// loopback, and waits until it answers.
func redisServer(t *testing.T, settings ...string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(l.Addr().String())
	l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "redis.conf")
	text := "bind 127.0.0.1\nsave \"\"\ndir " + dir + "\n"
	for _, line := range settings {
		text += strings.ReplaceAll(line, "PORT", port) + "\n"
	}
	if !strings.Contains(text, "-port ") {
		text += "port " + port + "\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{file}
	if strings.Contains(text, "sentinel monitor") {
		args = append(args, "--sentinel")
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(context.Background(), "redis-server", args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	brokertest.Until(t, "redis-server listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return port
}

// clusterAddress starts a cluster of two masters and returns its address.
func clusterAddress(t *testing.T) string {
	t.Helper()
	// The bus's own port would be 10000 more, which may be no port.
	bus := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return "cluster-port " + port
	}
	ports := []string{redisServer(t, "cluster-enabled yes", bus(), "port PORT"), redisServer(t, "cluster-enabled yes", bus(), "port PORT")}
	slots := [][2]int{{0, 8000}, {8001, 16383}}
	nodes := make([]*redis.Client, len(ports))
	for i, port := range ports {
		nodes[i] = redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
		t.Cleanup(func() { nodes[i].Close() })
		if err := nodes[i].ClusterAddSlotsRange(t.Context(), slots[i][0], slots[i][1]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	shards := nodes[1].ConfigGet(t.Context(), "cluster-port").Val()
	if err := nodes[0].Do(t.Context(), "cluster", "meet", "127.0.0.1", ports[1], shards["cluster-port"]).Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		brokertest.Until(t, "the cluster is formed", func() bool {
			info := n.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_size:2")
		})
	}
	return fmt.Sprintf("redis://127.0.0.1:%s,127.0.0.1:%s", ports[0], ports[1])
}

// sentinelAddress starts a master and a sentinel that knows it.
func sentinelAddress(t *testing.T) string {
	t.Helper()
	master := redisServer(t)
	sentinel := redisServer(t, "sentinel monitor yard 127.0.0.1 "+master+" 1")
	return "redis-sentinel://127.0.0.1:" + sentinel + "/yard"
}

// A whole yard works on every form that the address of Redis can have.
func TestYard_WorksOnEveryFormOfAddress(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH: apt-get install redis-server")
	}
	cert, key, _ := certificate(t)
	encrypted := func(t *testing.T) string {
		port := redisServer(t, "tls-port PORT", "port 0", "tls-cert-file "+cert, "tls-key-file "+key, "tls-auth-clients no", "requirepass hunter2")
		return "rediss://:hunter2@127.0.0.1:" + port
	}
	for name, address := range map[string]func(*testing.T) string{
		"a cluster":  clusterAddress,
		"sentinels":  sentinelAddress,
		"TLS":        encrypted,
		"a database": func(t *testing.T) string { return "redis://127.0.0.1:" + redisServer(t) + "/3" },
		"a user and ACL": func(t *testing.T) string {
			return "redis://yard:p%40ss@127.0.0.1:" + redisServer(t, "user yard on >p@ss ~* &* +@all", "user default off")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t, "SSL_CERT_FILE="+cert)
			y.t, y.redis = t, &broker.Embedded{URL: address(t)}
			y.start("worker", "--admin-listen", "127.0.0.1:0", "--slots", "search=1,document_parse=1", "--isolation", "off")
			ctx := patience(t)
			for _, step := range []struct {
				args []string
				want string
			}{
				{[]string{"parse", "--index", "--uri", "a.md", "--filename", "a.md", "-"}, "Camera"},
				{[]string{"search", "camera", "--filter", "document=a.md"}, "1 hit"},
				{[]string{"dead", "list"}, "no dead letters"},
				{[]string{"doctor", "--json"}, `"promise"`},
			} {
				cmd := y.command(ctx, "producer", step.args...)
				cmd.Stdin = strings.NewReader("# Camera\n\nAsk for the permission first.\n")
				if out, err := cmd.CombinedOutput(); !strings.Contains(string(out), step.want) {
					t.Errorf("producer %s: got %v\n%s\nwant %q in it", strings.Join(step.args, " "), err, out, step.want)
				}
			}
		})
	}
}
