// Package prometheus is the prometheus template: prometheus.yml with its scrape
// jobs, and a rule file if rules are given.
package prometheus

import (
	_ "embed"
	"encoding/json"
	"path"
	"slices"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

var (
	//go:embed parameters.json
	parametersSchema []byte
	//go:embed output.json
	outputSchema []byte
	//go:embed rules.json
	rulesSchema []byte
)

const example = `{
  "global": { "scrape_interval": "15s", "external_labels": { "site": "home" } },
  "scrape_configs": [
    { "job_name": "node", "static_configs": [{ "targets": ["node-1:9100", "node-2:9100"] }] },
    { "job_name": "workers", "dns_sd_configs": [{ "names": ["worker"], "type": "A", "port": 9091 }] }
  ],
  "alerting": { "alertmanagers": [{ "targets": ["alertmanager:9093"] }] },
  "rules": {
    "groups": [{
      "name": "availability",
      "rules": [{
        "alert": "TargetDown",
        "expr": "up == 0",
        "for": "5m",
        "labels": { "severity": "page" },
        "annotations": { "summary": "{{ $labels.instance }} is down" }
      }]
    }]
  }
}`

// Template describes prometheus.
func Template() template.Template {
	return template.Template{
		Name:        "prometheus",
		Version:     "1.0.0",
		Description: "prometheus.yml with scrape jobs and alerting, and a rule file.",
		Formats:     []string{"yaml"},
		Parameters:  parametersSchema,
		Outputs:     map[string][]byte{"prometheus": outputSchema, "rules": rulesSchema},
		Example:     example,
		Write:       template.Writer(write),
	}
}

type parameters struct {
	File          string        `json:"file"`
	Global        global        `json:"global"`
	ScrapeConfigs []scrape      `json:"scrape_configs"`
	RuleFiles     []string      `json:"rule_files"`
	Alerting      *alerting     `json:"alerting"`
	Rules         *rulesSection `json:"rules"`
}

type global struct {
	ScrapeInterval     string        `json:"scrape_interval"`
	ScrapeTimeout      string        `json:"scrape_timeout"`
	EvaluationInterval string        `json:"evaluation_interval"`
	ExternalLabels     template.Data `json:"external_labels"`
}

// scrape is a job. Its parameters have the names and the form of the file, so
// the parts that are not looked at stay as they are.
type scrape struct {
	JobName        string `json:"job_name"`
	ScrapeInterval string `json:"scrape_interval"`
	ScrapeTimeout  string `json:"scrape_timeout"`
	StaticConfigs  []struct {
		Targets []string `json:"targets"`
	} `json:"static_configs"`
	FileSD []json.RawMessage `json:"file_sd_configs"`
	DNSSD  []struct {
		Type string `json:"type"`
		Port int    `json:"port"`
	} `json:"dns_sd_configs"`
	Params        template.Ordered[[]string] `json:"params"`
	Authorization *struct{}                  `json:"authorization"`
	BasicAuth     *struct{}                  `json:"basic_auth"`
	whole         template.Data
}

// UnmarshalJSON implements json.Unmarshaler: it reads the fields and keeps the whole.
func (s *scrape) UnmarshalJSON(raw []byte) error {
	type plain scrape
	if err := json.Unmarshal(raw, (*plain)(s)); err != nil {
		return err
	}
	return s.whole.UnmarshalJSON(raw)
}

type alerting struct {
	Alertmanagers []struct {
		Targets    []string `json:"targets"`
		Scheme     string   `json:"scheme"`
		PathPrefix string   `json:"path_prefix"`
		Timeout    string   `json:"timeout"`
		APIVersion string   `json:"api_version"`
	} `json:"alertmanagers"`
}

type rulesSection struct {
	File   string `json:"file"`
	Groups []struct {
		Name     string `json:"name"`
		Interval string `json:"interval"`
		Rules    []struct {
			Alert  string `json:"alert"`
			Record string `json:"record"`
			Expr   string `json:"expr"`
			For    string `json:"for"`
			Keep   string `json:"keep_firing_for"`
		} `json:"rules"`
	} `json:"groups"`
	whole template.Data
}

// UnmarshalJSON implements json.Unmarshaler, as scrape's.
func (r *rulesSection) UnmarshalJSON(raw []byte) error {
	type plain rulesSection
	if err := json.Unmarshal(raw, (*plain)(r)); err != nil {
		return err
	}
	return r.whole.UnmarshalJSON(raw)
}

func write(p parameters, d *template.Draft) {
	d.CheckPath("file", p.File)
	check(p, d)
	jobs := make([]any, len(p.ScrapeConfigs))
	for i, s := range p.ScrapeConfigs {
		jobs[i] = s.whole.Value
	}
	data := tree.New().
		Set("global", tree.New().Put("scrape_interval", p.Global.ScrapeInterval).Put("scrape_timeout", p.Global.ScrapeTimeout).
			Put("evaluation_interval", p.Global.EvaluationInterval).Put("external_labels", p.Global.ExternalLabels.Value)).
		Put("alerting", managers(p.Alerting)).
		Put("rule_files", ruleFiles(p)).
		Set("scrape_configs", jobs)
	d.Add(template.File{Path: p.File, Format: "yaml", Data: data, Schema: "prometheus", Merge: template.Merge{
		Keep: d.KeepDefault(map[string][]string{
			"global.scrape_interval":     {"global", "scrape_interval"},
			"global.evaluation_interval": {"global", "evaluation_interval"},
		}),
		Union: [][]string{{"rule_files"}},
		ByKey: []template.ListKey{{Place: []string{"scrape_configs"}, Key: "job_name"}},
	}})
	if p.Rules == nil {
		return
	}
	d.CheckPath("rules.file", p.Rules.File)
	whole, _ := p.Rules.whole.Value.(*tree.Object)
	groups, _ := whole.Get("groups")
	d.Add(template.File{Path: rulesPath(p), Format: "yaml", Data: tree.New().Set("groups", groups), Schema: "rules", Merge: template.Merge{
		ByKey: []template.ListKey{{Place: []string{"groups"}, Key: "name"}},
	}})
}

func rulesPath(p parameters) string { return path.Join(path.Dir(p.File), p.Rules.File) }

func ruleFiles(p parameters) []string {
	if p.Rules == nil || slices.Contains(p.RuleFiles, p.Rules.File) {
		return p.RuleFiles
	}
	return append(slices.Clip(p.RuleFiles), p.Rules.File)
}

func managers(a *alerting) *tree.Object {
	if a == nil {
		return nil
	}
	var all []*tree.Object
	for _, m := range a.Alertmanagers {
		all = append(all, tree.New().Put("scheme", m.Scheme).Put("path_prefix", m.PathPrefix).Put("timeout", m.Timeout).Put("api_version", m.APIVersion).
			Set("static_configs", []*tree.Object{tree.New().Set("targets", m.Targets)}))
	}
	return tree.New().Set("alertmanagers", all)
}
