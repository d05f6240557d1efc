package blob

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

// clusterURL starts a Redis cluster of one node, which refuses scripts whose
// keys have several slots as every cluster does.
func clusterURL(t *testing.T) string {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on PATH: apt-get install redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	// The bus's own port would be 10000 more, which may be no port.
	cmd := exec.CommandContext(t.Context(), binary, "--port", fmt.Sprint(port), "--cluster-port", fmt.Sprint(20000+port%10000),
		"--cluster-enabled", "yes", "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) //nolint:errcheck // it was killed
	c := redis.NewClient(&redis.Options{Addr: at})
	defer c.Close()
	brokertest.Until(t, "the server answers", func() bool { return c.Ping(t.Context()).Err() == nil })
	if err := c.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	brokertest.Until(t, "the cluster is formed", func() bool {
		return strings.Contains(c.ClusterInfo(t.Context()).Val(), "cluster_state:ok")
	})
	return fmt.Sprintf("redis://%s,%s", at, at) // several hosts: a cluster
}

func TestStore_InACluster(t *testing.T) {
	t.Parallel()
	s := New(brokertest.Open(t, clusterURL(t)))
	if _, is := s.broker.Client().(*redis.ClusterClient); !is {
		t.Fatalf("got a %T", s.broker.Client())
	}
	wholeLife(t, s)
}

// The stand-in that standalone uses where there is no redis-server.
func TestStore_OnTheStandIn(t *testing.T) {
	t.Parallel()
	wholeLife(t, New(brokertest.Open(t, "redis://"+miniredis.RunT(t).Addr())))
}

// wholeLife takes blobs from their first reference to their sweep.
func wholeLife(t *testing.T, s *Store) {
	t.Helper()
	dead := func(h Held) bool { return h.Name == "dead" }
	var shas []string
	for i := range 20 {
		shas = append(shas, put(t, s, text(70_000+i), "dead").SHA)
	}
	held := put(t, s, text(70_000), "alive").SHA
	if missing, err := s.Refer(t.Context(), []Ref{{held, "more"}, {SHA(nil), "more"}}); err != nil || missing[0] || !missing[1] {
		t.Errorf("refer: got %v, %v", missing, err)
	}
	s.due(t)
	if n := clean(t, s, dead); n != len(shas)-1 {
		t.Errorf("got %d deleted, want %d", n, len(shas)-1)
	}
	if _, err := s.Get(t.Context(), held); err != nil {
		t.Error(err)
	}
	if err := s.Drop(t.Context(), Ref{held, "alive"}, Ref{held, "more"}); err != nil || s.exists(t, held) {
		t.Errorf("drop: got %v", err)
	}
}
