//go:build browser

package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

// TestPrometheus_EveryExpressionAnswers has Debian's Prometheus scrape a yard at
// work, and asks for every expression of the dashboards.
func TestPrometheus_EveryExpressionAnswers(t *testing.T) {
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not on PATH: apt-get install prometheus")
	}
	y := openRealYard(t, 1)
	y.dead()
	y.broker.Client().ConfigSet(t.Context(), "maxmemory", "500mb") // a limit to be shown
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nscrape_configs:\n  - job_name: monitor\n    static_configs: [{targets: [%q]}]\n  - job_name: worker\n    static_configs: [{targets: [%q]}]\n",
		strings.TrimPrefix(y.home, "http://"), y.metrics)
	rules, err := os.ReadFile(filepath.Join("..", "..", "deployments", "prometheus", "rules.yml"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "rules.yml"), rules, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte("rule_files: [rules.yml]\n"+config), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	files, err := filepath.Glob(filepath.Join("..", "..", "deployments", "grafana", "dashboards", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	left := map[string]string{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(raw, &board); err != nil {
			t.Fatal(err)
		}
		for _, p := range board.Panels {
			for _, target := range p.Targets {
				left[target.Expr] = filepath.Base(f) + ", " + p.Title
			}
		}
	}
	count := len(left)
	for deadline := time.Now().Add(90 * time.Second); len(left) > 0 && time.Now().Before(deadline); {
		for expr := range left {
			if answers(at, expr) {
				delete(left, expr)
			}
		}
		select {
		case <-time.After(time.Second):
		case <-t.Context().Done():
		}
	}
	for expr, where := range left {
		t.Errorf("%s: no data for %s", where, expr)
	}
	t.Logf("%d of %d expressions returned data", count-len(left), count)
}

// answers reports whether Prometheus has data for an expression.
func answers(at, expr string) bool {
	r, err := http.Get("http://" + at + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return false
	}
	defer r.Body.Close()
	var got struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	return json.NewDecoder(r.Body).Decode(&got) == nil && len(got.Data.Result) > 0 && got.Data.Result[0].Value[1] != "NaN"
}

// TestRedis_TheDocumentedUserSuffices runs a yard as the user of docs/redis.md.
func TestRedis_TheDocumentedUserSuffices(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "redis.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```acl\nuser (.*?)```").FindStringSubmatch(string(raw))
	if m == nil {
		t.Fatal("docs/redis.md holds no acl block")
	}
	server := brokertest.Server(t, "")
	admin := brokertest.Open(t, server.URL)
	words := []any{"ACL", "SETUSER"}
	for w := range strings.FieldsSeq(strings.ReplaceAll(m[1], "PASSWORD", "hunter22hunter22")) {
		// Commands that this Redis does not have are of newer ones.
		if err := admin.Client().Do(t.Context(), "ACL", "SETUSER", "probe", w).Err(); err != nil && strings.HasPrefix(w, "+") {
			t.Logf("left out %s: %v", w, err)
			continue
		}
		words = append(words, w)
	}
	if err := admin.Client().Do(t.Context(), words...).Err(); err != nil {
		t.Fatal(err)
	}
	cfg := broker.DefaultConfig()
	cfg.URL = strings.Replace(server.URL, "unix://", "unix://jobyard@", 1)
	cfg.Password = "hunter22hunter22"
	b, err := broker.Open(t.Context(), cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	y := openRealYardOn(t, b, 1, mayChange)
	dead := y.dead()
	for _, path := range []string{"/metrics", "/api/tasks", "/api/tasks/" + dead, "/api/dead", "/asynqmon/api/queues", "/asynqmon/api/redis_info", "/asynqmon/api/queues/search/completed_tasks", "/scale"} {
		r, err := http.Get(y.home + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d", path, r.StatusCode)
		}
	}
	for _, path := range []string{"/api/tasks/" + dead + "/retry", "/api/nodes/" + y.workers[0].ID() + "/drain", "/api/nodes/" + y.workers[0].ID() + "/resume"} {
		r, err := http.Post(y.home+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d", path, r.StatusCode)
		}
	}
	denied, err := admin.Client().Do(t.Context(), "ACL", "LOG").Slice()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	for _, d := range denied {
		t.Errorf("denied: %v", d)
	}
}
