package deployments_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/jobyard/jobyard/internal/monitor"
)

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	var f struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(read(t, "prometheus", "rules.yml"), &f); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range f.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// tool finds a program, or skips the test.
func tool(t *testing.T, name, from string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not on PATH: apt-get install %s", name, from)
	}
	return path
}

func runs(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
}

func TestRules_ByPromtool(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "promtool", "prometheus")
	runs(t, promtool, "check", "rules", "prometheus/rules.yml")
	runs(t, promtool, "test", "rules", "prometheus/rules_test.yml")
	// It looks for the files that are named, which lie elsewhere in a container.
	dir := t.TempDir()
	for _, name := range []string{"prometheus.yml", "rules.yml"} {
		here, err := filepath.Abs("secrets")
		if err != nil {
			t.Fatal(err)
		}
		text := regexp.MustCompile(`/run/secrets/(\w+)`).ReplaceAllString(string(read(t, "prometheus", name)), here+"/$1.example")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runs(t, promtool, "check", "config", filepath.Join(dir, "prometheus.yml"))
}

func TestAlertmanager_ByAmtool(t *testing.T) {
	t.Parallel()
	runs(t, tool(t, "amtool", "prometheus-alertmanager"), "check-config", "alertmanager/alertmanager.yml")
}

// TestRules_EachIsTestedAndExplained: every alert has a test that it fires, and
// every rule of the monitor an alert and a section in the runbook.
func TestRules_EachIsTestedAndExplained(t *testing.T) {
	t.Parallel()
	var tests struct {
		Tests []struct {
			Cases []struct {
				Alert string `yaml:"alertname"`
				Want  []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal(read(t, "prometheus", "rules_test.yml"), &tests); err != nil {
		t.Fatal(err)
	}
	fires, holds := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, c := range test.Cases {
			fires[c.Alert] = fires[c.Alert] || len(c.Want) > 0
			holds[c.Alert] = holds[c.Alert] || len(c.Want) == 0
		}
	}
	headings := sections(t)
	known := map[string]bool{}
	for _, r := range rules(t) {
		known[r.Labels["rule"]] = true
		if !fires[r.Alert] || !holds[r.Alert] {
			t.Errorf("%s: got no test that it fires and that it does not", r.Alert)
		}
		if want := "docs/runbook.md#" + r.Labels["rule"]; r.Annotations["runbook_url"] != want || !headings[r.Labels["rule"]] {
			t.Errorf("%s: got runbook %q, want %s to be there", r.Alert, r.Annotations["runbook_url"], want)
		}
		if r.For == "" {
			t.Errorf("%s: got no time for which it must hold", r.Alert)
		}
		if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: got %+v, want a severity, a summary and a description", r.Alert, r)
		}
	}
	built := map[string]bool{"monitor_absent": true} // which no monitor can tell of itself
	for _, name := range monitor.Rules() {
		built[name] = true
		if !known[name] || !headings[name] {
			t.Errorf("the monitor's rule %s has alert %v, runbook section %v; want both", name, known[name], headings[name])
		}
	}
	for name := range known {
		if !built[name] {
			t.Errorf("the alerts of the rule %s have none in the monitor", name)
		}
	}
	for name := range headings {
		if !built[name] {
			t.Errorf("the runbook explains %s, which is no rule", name)
		}
	}
}

// sections are the headings of the runbook.
func sections(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## ([a-z_]+)$`).FindAllStringSubmatch(string(read(t, "..", "docs", "runbook.md")), -1) {
		found[m[1]] = true
	}
	return found
}

// metrics are the names of all metrics in the source, and what Prometheus makes
// of histograms.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(filepath.Join("..", "internal"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`Name:\s+"(jobyard_[a-z_]+)"|desc\("([a-z_]+)"`).FindAllSubmatch(raw, -1) {
			name := string(m[1])
			if name == "" {
				name = "jobyard_" + string(m[2])
			}
			names[name] = true
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				names[name+part] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

var metricName = regexp.MustCompile(`\bjobyard_[a-z_]+`)

// expressions are those of all dashboards, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("grafana/dashboards/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("got %v, %v, want the dashboards", files, err)
	}
	all := map[string]string{}
	for _, f := range files {
		var board struct {
			UID, Title string
			Panels     []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(read(t, f), &board); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if board.UID == "" || board.Title == "" || len(board.Panels) == 0 {
			t.Errorf("%s: got %+v", f, board)
		}
		for _, p := range board.Panels {
			for i, target := range p.Targets {
				all[board.UID+", "+p.Title+", "+string(rune('A'+i))] = target.Expr
			}
		}
	}
	return all
}

func TestMetrics_OfRulesAndDashboardsExist(t *testing.T) {
	t.Parallel()
	known := metrics(t)
	used := expressions(t)
	for _, r := range rules(t) {
		used[r.Alert] = r.Expr
	}
	for where, expr := range used {
		names := metricName.FindAllString(expr, -1)
		if len(names) == 0 {
			t.Errorf("%s: got no metric of ours in %q", where, expr)
		}
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s: nothing is called %s", where, name)
			}
		}
	}
}

// TestDashboards_CanBeRead has promtool parse every expression, as a rule.
func TestDashboards_CanBeRead(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "promtool", "prometheus")
	var names []string
	all := expressions(t)
	for where := range all {
		names = append(names, where)
	}
	slices.Sort(names)
	type recording struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var list []recording
	for i, where := range names {
		list = append(list, recording{"dashboard:expression:" + strings.Repeat("x", i+1), all[where]})
	}
	raw, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboards", "rules": list}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dashboards.yml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	runs(t, promtool, "check", "rules", file)
}
