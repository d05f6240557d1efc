package monitor

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
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
